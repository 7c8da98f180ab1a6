//! Which of several equal tasks stay.
//!
//! Pure. Only tasks whose data are the same to the letter are equal. What somebody has annotated, drafted or predicted on
//! stays, and otherwise the oldest: everybody who looks decides alike, so that two imports never take back each other's.

use std::collections::BTreeMap;

use crate::label_studio::task::Annotated;

/// What becomes of tasks for one object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Tasks that go.
    pub(super) doomed: Vec<u64>,
    /// How many are there twice and stay, because there is work in both.
    pub(super) kept: u64,
    /// Whether none of them is there any more.
    pub(super) is_gone: bool,
}

/// Judges the tasks of one object, as far as they are still there.
pub(super) fn judge<'a>(tasks: impl IntoIterator<Item = &'a Annotated>) -> Verdict {
    let mut equal: BTreeMap<String, Vec<&Annotated>> = BTreeMap::new();
    for task in tasks {
        let data = task.rest.get("data").map(ToString::to_string).unwrap_or_default();
        equal.entry(data).or_default().push(task);
    }
    let mut verdict = Verdict { is_gone: equal.is_empty(), ..Verdict::default() };
    for mut tasks in equal.into_values() {
        tasks.sort_unstable_by_key(|task| task.id);
        let touched = tasks.iter().filter(|task| is_touched(task)).count();
        let untouched = tasks.iter().filter(|task| !is_touched(task)).map(|task| task.id);
        verdict.doomed.extend(untouched.skip(usize::from(touched == 0)));
        verdict.kept += touched.saturating_sub(1) as u64;
    }
    verdict
}

fn is_touched(task: &Annotated) -> bool {
    !(task.annotations.is_empty() && task.drafts.is_empty() && task.predictions.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn task(id: u64, image: &str, work: &str) -> Annotated {
        let mut task = json!({ "id": id, "project": 1, "data": { "image": image } });
        if !work.is_empty() {
            task[work] = Value::Array(vec![json!({ "id": 1 })]);
        }
        serde_json::from_value(task).expect("a task")
    }

    #[test]
    fn the_oldest_stays_or_what_has_work_in_it() {
        let judged = |tasks: &[(u64, &str, &str)]| {
            let tasks: Vec<_> = tasks.iter().map(|(id, image, work)| task(*id, image, work)).collect();
            let Verdict { doomed, kept, is_gone } = judge(&tasks);
            (doomed, kept, is_gone)
        };
        assert_eq!(judged(&[(5, "a", ""), (4, "a", ""), (9, "a", "")]), (vec![5, 9], 0, false));
        for work in ["annotations", "drafts", "predictions"] {
            assert_eq!(judged(&[(4, "a", ""), (5, "a", work), (6, "a", "")]), (vec![4, 6], 0, false), "{work}");
            assert_eq!(judged(&[(4, "a", work), (5, "a", work), (6, "a", "")]), (vec![6], 1, false), "{work}");
        }
        assert_eq!(judged(&[(4, "a", ""), (5, "b", "")]), (vec![], 0, false), "not equal");
        assert_eq!(judged(&[(4, "a", "")]), (vec![], 0, false));
        assert_eq!(judged(&[]), (vec![], 0, true));
    }
}
