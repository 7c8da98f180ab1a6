//! What a project has, by the names of objects.
//!
//! Decides which task stands for which object: `gs://` URIs and the gateway's URLs of the same object are the same. A name
//! is kept as a hash of 64 bits, so that a task costs about 40 bytes: two of a million objects are mistaken for each other
//! once in forty million imports. The hashes are keyed, so that nobody can choose names that collide.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
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

/// What is known.
#[derive(Debug, Default)]
pub struct Known {
    tasks: HashMap<u64, Task>,
    hashes: RandomState,
    newest: u64,
    /// The newest task when this run began: what is older is nobody's business.
    before: u64,
    doubles: Vec<Double>,
    run: u32,
}

#[derive(Debug)]
struct Task {
    /// 0: made, and not told of yet.
    id: u64,
    /// The run in whose listing the object was seen.
    seen: u32,
    /// Whether this process asked for it.
    ours: bool,
}

/// Two tasks for one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Double {
    pub(super) first: u64,
    pub(super) second: u64,
}

impl Known {
    pub(super) fn begin(&mut self) {
        self.run += 1;
        self.before = self.newest;
    }

    /// Takes down where this run began, once everything older is known.
    pub(super) fn started(&mut self) {
        self.before = self.newest;
    }

    /// The highest id that was told of.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// A task that Label Studio told of.
    pub(super) fn learn(&mut self, id: u64, name: Option<&str>) {
        self.newest = self.newest.max(id);
        let Some(name) = name else { return };
        match self.tasks.entry(self.hashes.hash_one(name)) {
            Entry::Vacant(vacant) => _ = vacant.insert(Task { id, seen: 0, ours: false }),
            Entry::Occupied(mut held) => {
                let held = held.get_mut();
                if held.id == 0 {
                    held.id = id;
                } else if held.id != id {
                    if held.ours {
                        self.doubles.push(Double { first: held.id.min(id), second: held.id.max(id) });
                    }
                    held.id = held.id.min(id);
                }
            }
        }
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
        let task = self.tasks.entry(self.hashes.hash_one(name)).or_insert(Task { id: 0, seen: self.run, ours: true });
        task.ours = true;
    }

    /// A task that was asked for, and perhaps made: it may turn up by itself.
    pub(super) fn sent(&mut self, name: &str) {
        self.made(name);
    }

    /// Whether an object has a task that Label Studio told of.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tasks.get(&self.hashes.hash_one(name)).is_some_and(|task| task.id != 0)
    }

    /// The doubles of what this process asked for.
    pub(super) fn doubles(&mut self) -> Vec<Double> {
        let before = self.before;
        std::mem::take(&mut self.doubles).into_iter().filter(|double| double.second > before).collect()
    }

    /// The tasks whose object was not in this run's listing.
    pub(super) fn vanished(&self) -> Vec<u64> {
        let mut ids: Vec<u64> =
            self.tasks.values().filter(|task| task.seen != self.run && task.id != 0).map(|task| task.id).collect();
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
    fn doubles_are_those_of_this_run_alone() {
        let mut known = Known::default();
        known.begin();
        known.learn(1, Some("a"));
        known.learn(2, Some("a"));
        known.started();
        known.made("b");
        known.learn(5, Some("b"));
        known.learn(4, Some("b"));
        known.learn(6, Some("a"));
        assert_eq!(known.doubles(), [Double { first: 4, second: 5 }], "a was there before, and is left alone");
        assert!(known.has("b") && !known.has("c") && known.newest() == 6);
    }

    #[test]
    fn what_is_not_listed_has_vanished() {
        let mut known = Known::default();
        known.begin();
        known.learn(1, Some("a"));
        known.learn(2, Some("b"));
        known.learn(3, None);
        assert!(known.see("a") && !known.see("c"));
        assert_eq!(known.vanished(), [2]);
        known.begin();
        assert_eq!(known.vanished(), [1, 2], "each run looks anew");
    }
}
