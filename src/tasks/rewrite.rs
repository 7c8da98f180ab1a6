//! `gs://` URIs inside of task data: found wherever they stand, and replaced by the gateway's URLs.
//!
//! Pure: decides where a URI in a text begins and ends. A text that is a URI may have spaces in it; in quotes, as in
//! HTML, a URI ends with the quote, and anywhere else with a space or a bracket. What no connection covers stays as it is.

use serde_json::Value;

use super::cover::{Cover, Links};

const SCHEME: &str = "gs://";

/// What became of the URIs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// How many were replaced.
    pub(super) replaced: u64,
    /// How many are covered by no connection.
    pub(super) left: u64,
    /// One that was left.
    pub(super) example: Option<String>,
}

impl Rewritten {
    /// Replaces all URIs in a value.
    pub(super) fn value(&mut self, value: &mut Value, cover: &Cover) {
        if cover.links() == Links::GsUri {
            return;
        }
        match value {
            Value::String(text) => {
                if let Some(new) = self.text(text, cover) {
                    *text = new;
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value, cover)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.value(value, cover)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The text with its URIs replaced; `None` if nothing changes.
    fn text(&mut self, text: &str, cover: &Cover) -> Option<String> {
        let first = text.find(SCHEME)?;
        if first == 0 && !text[1..].contains(SCHEME) && !text.contains(['"', '\'', '<', '>', '\n']) {
            return self.uri(text, cover);
        }
        let (mut new, mut rest, mut changed) = (String::new(), text, false);
        while let Some(at) = rest.find(SCHEME) {
            let quote = rest[..at].chars().next_back().filter(|before| matches!(before, '"' | '\''));
            new.push_str(&rest[..at]);
            let (uri, after) = rest[at..].split_at(end(&rest[at..], quote));
            // In HTML a quoted value may have its `&` and quotes written out.
            let plain = if quote.is_some() { unescape(uri) } else { uri.to_owned() };
            match self.uri(&plain, cover) {
                Some(url) => {
                    new.push_str(&url);
                    changed = true;
                }
                None => new.push_str(uri),
            }
            rest = after;
        }
        new.push_str(rest);
        changed.then_some(new)
    }

    fn uri(&mut self, uri: &str, cover: &Cover) -> Option<String> {
        let url = cover.url(uri);
        if url.is_some() {
            self.replaced += 1;
        } else {
            self.left += 1;
            self.example.get_or_insert_with(|| uri.chars().take(200).collect());
        }
        url
    }
}

/// Where the URI that `text` begins with ends; at least behind its scheme.
fn end(text: &str, quote: Option<char>) -> usize {
    let rest = &text[SCHEME.len()..];
    let quoted = quote.and_then(|quote| rest.find(quote));
    let bare =
        |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>' | '(' | ')' | ',' | '|');
    SCHEME.len() + quoted.or_else(|| rest.find(bare)).unwrap_or(rest.len())
}

fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&apos;", "'"), ("&amp;", "&")];
    pairs.into_iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn rewritten(mut value: Value) -> (Value, Rewritten) {
        let config = toml::from_str("uri = \"gs://my-bucket/d/\"").expect("a legal connection");
        let label: Arc<str> = "c".into();
        let cover = Cover::new(Links::Gateway, "https://g", [(&label, &config)]);
        let mut outcome = Rewritten::default();
        outcome.value(&mut value, &cover);
        (value, outcome)
    }

    #[test]
    fn uris_are_found_wherever_they_stand() {
        for (text, expected) in [
            ("gs://my-bucket/d/a b.png", "https://g/c/a%20b.png"),
            ("gs://my-bucket/d/a(1), b.png", "https://g/c/a%281%29%2C%20b.png"),
            ("see gs://my-bucket/d/a.png, please", "see https://g/c/a.png, please"),
            ("<img src=\"gs://my-bucket/d/a b.png\"/>", "<img src=\"https://g/c/a%20b.png\"/>"),
            ("<img src='gs://my-bucket/d/a&amp;b.png'>", "<img src='https://g/c/a%26b.png'>"),
            ("<a href=gs://my-bucket/d/a.png>x</a>", "<a href=https://g/c/a.png>x</a>"),
            ("gs://my-bucket/d/a\ngs://my-bucket/d/b", "https://g/c/a\nhttps://g/c/b"),
            ("gs://my-bucket/d/a|gs://elsewhere/b", "https://g/c/a|gs://elsewhere/b"),
            ("\"gs://my-bucket/d/a", "\"https://g/c/a"),
            ("gs://", "gs://"),
            ("gs://my-bucket/e/a", "gs://my-bucket/e/a"),
            ("gsx://my-bucket/d/a", "gsx://my-bucket/d/a"),
            ("https://x/y", "https://x/y"),
        ] {
            assert_eq!(rewritten(json!(text)).0, json!(expected), "{text}");
        }
    }

    #[test]
    fn nested_values_are_searched_and_outcomes_counted() {
        let (value, outcome) = rewritten(
            json!({"a": [1, {"b": "gs://my-bucket/d/x"}], "c": "gs://other/x", "d": null, "e": "gs://other/y"}),
        );
        assert_eq!(value["a"][1]["b"], "https://g/c/x");
        assert_eq!((outcome.replaced, outcome.left), (1, 2));
        assert_eq!(outcome.example.as_deref(), Some("gs://other/x"));
    }
}
