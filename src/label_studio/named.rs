//! Which objects a task or a project names: the `gs://` URIs in its data, also nested, and in the attributes of HTML.
//!
//! Pure. A URI is named if it is a whole value, or if it stands in quotes inside one, as Label Studio finds it.
//! URIs of other storages count as well: Label Studio serves those, and nothing but what its task names either.

use std::collections::HashSet;

use serde_json::Value;

/// Deeper than any task; what lies below names nothing.
const DEEPEST: usize = 64;
const AFTER_SCHEME: &str = "://";

/// Adds what `value` names.
pub(super) fn collect(value: &Value, found: &mut HashSet<String>) {
    each_text(value, &mut |text| collect_text(text, found));
}

/// Every text in `value`, however it is nested.
pub(super) fn each_text(value: &Value, take: &mut impl FnMut(&str)) {
    each_text_at(value, 0, take);
}

fn each_text_at(value: &Value, depth: usize, take: &mut impl FnMut(&str)) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::String(text) => take(text),
        Value::Array(items) => items.iter().for_each(|item| each_text_at(item, depth + 1, take)),
        Value::Object(fields) => fields.values().for_each(|field| each_text_at(field, depth + 1, take)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn collect_text(text: &str, found: &mut HashSet<String>) {
    let whole = text.trim();
    let blank = text.len() - text.trim_start().len();
    for (at, _) in text.match_indices(AFTER_SCHEME) {
        let scheme = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.');
        let before = text[..at].trim_end_matches(scheme);
        let uri = &text[before.len()..];
        if uri.starts_with(AFTER_SCHEME) {
            continue;
        }
        match before.chars().next_back() {
            Some(quote @ ('"' | '\'')) => found.extend(uri.find(quote).map(|end| uri[..end].to_owned())),
            _ if before.len() <= blank => {
                found.insert(whole.to_owned());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_named_by_values_and_by_quotes_inside_of_values() {
        let data = json!({
            "image": "gs://b/a.jpg",
            "spaced": "  gs://b/a b.jpg \n",
            "list": ["gs://b/1.jpg", { "deep": ["gs://b/2.jpg", 7, null, true] }],
            "html": "<img src=\"gs://b/3.jpg\" alt='x'><img src='gs://b/it is 4.jpg'>",
            "text": "see gs://b/5.jpg for more",
            "open": "<img src=\"gs://b/6.jpg",
            "other": "https://example.com/gs://b/7.jpg",
            "foreign": ["s3://c/8.jpg", "<a href='azure-blob://c/9.jpg'>", "://", "'://'"],
        });
        let mut found = HashSet::new();
        collect(&data, &mut found);
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable();
        let expected = [
            "azure-blob://c/9.jpg",
            "gs://b/1.jpg",
            "gs://b/2.jpg",
            "gs://b/3.jpg",
            "gs://b/a b.jpg",
            "gs://b/a.jpg",
            "gs://b/it is 4.jpg",
            "https://example.com/gs://b/7.jpg",
            "s3://c/8.jpg",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn depth_is_bounded() {
        let mut deep = json!("gs://b/a.jpg");
        for _ in 0..100 {
            deep = json!([deep]);
        }
        let mut found = HashSet::new();
        collect(&deep, &mut found);
        assert!(found.is_empty());
    }
}
