//! What Label Studio's own answers tell a user of tasks: which media each has.
//!
//! A page asks for tasks, and then for their media: what Label Studio has just shown need not be asked of it again.
//! Decides which answers are listened to, and what they say; never changes one. Only links that Label Studio writes for the
//! task itself count, and `gs://` URIs as they stand in its data.

use std::collections::HashSet;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{Method, StatusCode, Uri, response};
use serde::Deserialize;
use serde_json::Value;

use super::named;
use super::resolve::{Asked, Holder};

/// Longer answers are not listened to.
pub(super) const LONGEST: usize = 512 * 1024;
/// More tasks than any page has.
const MOST: usize = 1000;

/// Whether a request is for tasks, one or a page of them, in the one spelling that leaves no doubt.
pub(super) fn is_asked_for(head: &Parts) -> bool {
    let path = head.uri.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    let below =
        |start: &str, end: &str| path.strip_prefix(start).and_then(|rest| rest.strip_suffix(end)).is_some_and(is_id);
    let acts = || head.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "id=next_task"));
    match head.method {
        Method::GET => path == "/api/tasks" || below("/api/tasks/", "") || below("/api/projects/", "/next"),
        Method::POST => path == "/api/dm/actions" && acts(),
        _ => false,
    }
}

/// Whether an answer can be read.
pub(super) fn is_readable(answer: &response::Parts) -> bool {
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    answer.status == StatusCode::OK
        && kind.starts_with("application/json")
        && !answer.headers.contains_key(CONTENT_ENCODING)
}

/// The tasks of an answer, with what each names.
pub(super) fn read(answer: &[u8]) -> Vec<(Holder, HashSet<String>)> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Answer {
        Page { tasks: Vec<Task> },
        One(Task),
    }
    #[derive(Deserialize)]
    struct Task {
        id: u64,
        data: Value,
    }
    let tasks = match serde_json::from_slice(answer) {
        Ok(Answer::Page { tasks }) => tasks,
        Ok(Answer::One(task)) => vec![task],
        Err(_) => return Vec::new(),
    };
    let named = |Task { id, data }: Task| {
        let (holder, mut names) = (Holder::Task(id), HashSet::new());
        named::collect(&data, &mut names);
        named::each_text(&data, &mut |text| linked_in(text, holder, &mut names));
        (holder, names)
    };
    tasks.into_iter().take(MOST).map(named).collect()
}

/// Adds what is linked to as this task's.
fn linked_in(text: &str, holder: Holder, names: &mut HashSet<String>) {
    let start = holder.bare_path() + "?fileuri=";
    for (at, _) in text.match_indices(&start) {
        let rest = &text[at + start.len()..];
        let is_encoded = |letter: char| letter.is_ascii_alphanumeric() || "-_=%".contains(letter);
        let encoded = rest.split(|letter| !is_encoded(letter)).next().unwrap_or_default();
        if let Ok(target) = format!("{start}{encoded}").parse::<Uri>()
            && let Asked::Media(ask) = Asked::parse(&target)
        {
            names.insert(ask.uri.trim().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE;
    use http::Request;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_questions_for_tasks_are_listened_to() {
        for (method, target, listened) in [
            (Method::GET, "/api/tasks?page=1&page_size=30&view=2", true),
            (Method::GET, "/api/tasks/?project=1", true),
            (Method::GET, "/api/tasks/7?project=1", true),
            (Method::GET, "/api/tasks/7/", true),
            (Method::GET, "/api/projects/1/next/", true),
            (Method::POST, "/api/dm/actions?id=next_task&project=1", true),
            (Method::POST, "/api/dm/actions?id=delete_tasks&project=1", false),
            (Method::POST, "/api/tasks/7/", false),
            (Method::GET, "/api/tasks/7/annotations/", false),
            (Method::GET, "/api/tasks/%37/", false),
            (Method::GET, "/api//tasks/7/", false),
            (Method::GET, "/api/projects/1/", false),
            (Method::GET, "/tasks/7/", false),
        ] {
            let (head, ()) = Request::builder().method(&method).uri(target).body(()).expect("legal").into_parts();
            assert_eq!(is_asked_for(&head), listened, "{method} {target}");
        }
    }

    #[test]
    fn tasks_tell_what_is_linked_to_as_theirs() {
        let link = |task: u64, uri: &str| format!("/tasks/{task}/resolve/?fileuri={}", URL_SAFE.encode(uri));
        let seven = json!({ "id": 7, "data": {
            "image": link(7, "gs://b/1.jpg"),
            "html": format!("<img src=\"https://label.example{}\">, {}", link(7, "gs://b/2 ä.jpg"), link(7, "gs://b/3.jpg")),
            "deep": [{ "list": [link(7, "gs://b/4.jpg")] }, "gs://b/raw.jpg", 7, null],
            "of another": link(8, "gs://b/secret.jpg"),
            "broken": "/tasks/7/resolve/?fileuri=",
        }, "annotations": [{ "result": link(7, "gs://b/secret.jpg") }] });
        let expected = ["gs://b/1.jpg", "gs://b/2 ä.jpg", "gs://b/3.jpg", "gs://b/4.jpg", "gs://b/raw.jpg"];
        // Whatever has a scheme is named as it stands, too, and asked for by nobody.
        let whole = |name: &String| !name.starts_with("https://");
        let told = |answer: &Value| {
            let told = read(answer.to_string().as_bytes());
            let sorted = |names: HashSet<String>| {
                let mut names: Vec<_> = names.into_iter().filter(whole).collect();
                names.sort_unstable();
                names
            };
            told.into_iter().map(|(holder, names)| (holder, sorted(names))).collect::<Vec<_>>()
        };
        let expected: Vec<String> = expected.map(str::to_owned).to_vec();
        assert_eq!(told(&seven), [(Holder::Task(7), expected.clone())]);
        let page = json!({ "tasks": [seven, { "id": 9, "data": {} }], "total": 2 });
        assert_eq!(told(&page), [(Holder::Task(7), expected), (Holder::Task(9), vec![])]);
        for nonsense in [json!({}), json!([]), json!({ "id": "7", "data": {} }), json!({ "tasks": 7 }), json!(null)] {
            assert_eq!(told(&nonsense), [], "{nonsense}");
        }
    }
}
