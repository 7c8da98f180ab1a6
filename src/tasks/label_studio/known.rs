//! What a project has, by the names of objects.
//!
//! Decides which task stands for which object: `gs://` URIs and the gateway's URLs of the same object are the same. A name
//! is kept as a hash of 64 bits, so that a task costs about 40 bytes: two of a million objects are mistaken for each other
//! once in forty million imports. The hashes are keyed, so that nobody can choose names that collide.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::object::BucketName;

/// How the names of objects are read out of tasks.
#[derive(Clone, Debug)]
pub struct Names {
    /// `gs://bucket/`.
    gs: String,
    /// The gateway's URL of the connection, and the prefix that it stands for.
    gateway: Option<(String, String)>,
    /// What the names of the connection's objects begin with.
    prefix: String,
}

impl Names {
    /// For the objects of one connection; `public_url` has no slash at its end.
    pub fn new(bucket: &BucketName, prefix: &str, public_url: Option<&str>, label: &str) -> Self {
        Self {
            gs: format!("gs://{bucket}/"),
            gateway: public_url.map(|url| (format!("{url}/{label}/"), prefix.to_owned())),
            prefix: prefix.to_owned(),
        }
    }

    /// The object of the connection that a task's field names.
    pub(super) fn of(&self, data: &Map<String, Value>, key: &str) -> Option<String> {
        // Label Studio's own imports bind the only field of a task by this name until somebody looks at it.
        let value = data.get(key).or_else(|| data.get("$undefined$"))?.as_str()?;
        if let Some(name) = value.strip_prefix(&self.gs) {
            return name.starts_with(&self.prefix).then(|| name.to_owned());
        }
        let (base, prefix) = self.gateway.as_ref()?;
        // A link that is signed has a query.
        let path = value.strip_prefix(base)?.split(['?', '#']).next()?;
        let rest = percent_decode_str(path).decode_utf8().ok()?;
        Some(format!("{prefix}{rest}"))
    }
}

/// Tasks that are told of again when a run begins and ends: Label Studio may have stored them late, with ids that are lower
/// than the newest, and with some databases it gives the ids of deleted tasks to new ones.
const OVERLAP: u64 = 2000;

/// What is known.
#[derive(Debug, Default)]
pub struct Known {
    tasks: HashMap<u64, Task>,
    hashes: RandomState,
    newest: u64,
    /// The newest task when this run began.
    before: u64,
    /// Objects with several tasks that hold nothing else.
    doubles: HashMap<u64, BTreeSet<u64>>,
    run: u32,
}

/// What is known of an object's tasks.
#[derive(Debug, Default)]
struct Task {
    /// The oldest; 0: made, and not told of yet.
    id: u64,
    /// The oldest that holds nothing but the object; 0: none.
    plain: u64,
    /// The run in whose listing the object was seen.
    seen: u32,
}

/// Several tasks for one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Double {
    /// The object's hash.
    pub(super) object: u64,
    /// The tasks, the oldest first.
    pub(super) tasks: Vec<u64>,
}

impl Known {
    pub(super) fn begin(&mut self) {
        self.run += 1;
        self.newest = self.newest.saturating_sub(OVERLAP);
    }

    /// Takes down where this run began, once everything older is known.
    pub(super) fn started(&mut self) {
        self.before = self.newest;
    }

    /// Tasks above this id have come since this run began.
    pub(super) fn before(&self) -> u64 {
        self.before
    }

    /// The highest id that was told of; what is newer is asked for.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// A task that Label Studio told of; it is plain if it holds nothing but the object.
    pub(super) fn learn(&mut self, id: u64, name: Option<&str>, is_plain: bool) {
        self.newest = self.newest.max(id);
        let Some(name) = name else { return };
        let object = self.hashes.hash_one(name);
        let task = self.tasks.entry(object).or_default();
        task.id = if task.id == 0 { id } else { task.id.min(id) };
        if !is_plain {
            return;
        }
        if task.plain != 0 && task.plain != id {
            self.doubles.entry(object).or_default().extend([task.plain, id]);
        }
        task.plain = if task.plain == 0 { id } else { task.plain.min(id) };
    }

    /// An object that was listed; whether it has a task.
    pub(super) fn see(&mut self, name: &str) -> bool {
        let run = self.run;
        match self.tasks.get_mut(&self.hashes.hash_one(name)) {
            Some(task) => {
                task.seen = run;
                true
            }
            None => false,
        }
    }

    /// A task that Label Studio said it made.
    pub(super) fn made(&mut self, name: &str) {
        let run = self.run;
        self.tasks.entry(self.hashes.hash_one(name)).or_default().seen = run;
    }

    /// Forgets which tasks came since this run began, so that they can be told of again.
    pub(super) fn review(&mut self) {
        let (run, before) = (self.run, self.before);
        self.tasks.retain(|_, task| task.id <= before || task.seen == run);
        for task in self.tasks.values_mut().filter(|task| task.plain > before || task.id > before) {
            task.plain = if task.plain > before { 0 } else { task.plain };
            task.id = if task.id > before { 0 } else { task.id };
        }
        self.newest = before.saturating_sub(OVERLAP);
    }

    /// An object whose tasks are all gone.
    pub(super) fn lose(&mut self, object: u64) {
        if let Some(task) = self.tasks.get_mut(&object) {
            *task = Task { seen: task.seen, ..Task::default() };
        }
    }

    /// Forgets the objects that have no task although they had one; whether there are any.
    pub(super) fn forget_lost(&mut self) -> bool {
        let before = self.tasks.len();
        self.tasks.retain(|_, task| task.id != 0);
        self.tasks.len() < before
    }

    /// The objects with several equal tasks, as it seems, in the order of the oldest.
    pub(super) fn take_doubles(&mut self) -> Vec<Double> {
        let doubles = std::mem::take(&mut self.doubles).into_iter();
        let mut doubles: Vec<Double> =
            doubles.map(|(object, tasks)| Double { object, tasks: tasks.into_iter().collect() }).collect();
        doubles.sort_unstable_by(|one, other| one.tasks.cmp(&other.tasks));
        doubles
    }

    /// The tasks whose object was not in this run's listing; what came since it began says nothing.
    pub(super) fn vanished(&self) -> Vec<u64> {
        let gone = |task: &&Task| task.seen != self.run && (1..=self.before).contains(&task.id);
        let mut ids: Vec<u64> = self.tasks.values().filter(gone).map(|task| task.id).collect();
        ids.sort_unstable();
        ids
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        let bucket = BucketName::new("my-bucket").expect("a legal bucket");
        Names::new(&bucket, "d/", Some("https://media.example.com"), "street")
    }

    #[test]
    fn one_object_has_one_name_in_every_spelling() {
        for (value, expected) in [
            (json!("gs://my-bucket/d/a b.jpg"), Some("d/a b.jpg")),
            (json!("https://media.example.com/street/a%20b.jpg"), Some("d/a b.jpg")),
            (json!("https://media.example.com/street/a%20b.jpg?sig=x&v=1"), Some("d/a b.jpg")),
            (json!("https://media.example.com/street/%C3%BC%2F%3F.jpg"), Some("d/\u{fc}/?.jpg")),
            (json!("gs://my-bucket/e/a.jpg"), None),
            (json!("gs://other-bucket/d/a.jpg"), None),
            (json!("https://media.example.com/other/a.jpg"), None),
            (json!("https://media.example.com/street/%ff"), None),
            (json!(["gs://my-bucket/d/a.jpg"]), None),
            (json!(7), None),
        ] {
            let data = Map::from_iter([("image".to_owned(), value.clone())]);
            assert_eq!(names().of(&data, "image").as_deref(), expected, "{value}");
            assert_eq!(names().of(&data, "audio"), None);
        }
        let own = Map::from_iter([("$undefined$".to_owned(), json!("gs://my-bucket/d/a.jpg"))]);
        assert_eq!(names().of(&own, "image").as_deref(), Some("d/a.jpg"));
    }

    #[test]
    fn doubles_are_found_whoever_made_them() {
        let mut known = Known::default();
        known.begin();
        for (id, name, is_plain) in [(1, "a", true), (2, "a", true), (3, "b", false), (4, "b", true), (5, "b", true)] {
            known.learn(id, Some(name), is_plain);
        }
        known.started();
        known.made("c");
        for (id, name) in [(7, "c"), (6, "c"), (7, "c"), (8, "a")] {
            known.learn(id, Some(name), true);
        }
        let doubles: Vec<Vec<u64>> = known.take_doubles().into_iter().map(|double| double.tasks).collect();
        assert_eq!(doubles, [vec![1, 2, 8], vec![4, 5], vec![6, 7]], "3 holds more than its object");
        assert!(known.take_doubles().is_empty() && known.newest() == 8);
    }

    #[test]
    fn what_was_made_and_is_gone_again_is_new() {
        let mut known = Known::default();
        known.begin();
        known.learn(1, Some("a"), true);
        known.started();
        known.made("b");
        known.made("c");
        known.learn(2, Some("b"), true);
        known.learn(3, Some("c"), true);
        known.learn(4, Some("somebody else's"), true);
        known.review();
        known.learn(1, Some("a"), true);
        known.learn(3, Some("c"), true);
        assert!(known.forget_lost() && !known.see("b") && known.see("a") && known.see("c"));
        assert!(!known.see("somebody else's"), "told of again, or not there");
        assert!(!known.forget_lost());
        known.lose(known.hashes.hash_one("a"));
        assert!(known.forget_lost() && !known.see("a"));
    }

    #[test]
    fn what_is_not_listed_has_vanished() {
        let mut known = Known::default();
        known.begin();
        known.learn(1, Some("a"), true);
        known.learn(2, Some("b"), true);
        known.learn(3, None, true);
        known.started();
        known.learn(4, Some("d"), true);
        assert!(known.see("a") && !known.see("c"));
        assert_eq!(known.vanished(), [2], "d came while we looked");
        known.begin();
        known.learn(4, Some("d"), true);
        known.started();
        assert_eq!(known.vanished(), [1, 2, 4], "each run looks anew");
    }
}
