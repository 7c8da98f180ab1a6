//! The header fields of an answer, left where they were read.
//!
//! An answer has about twenty fields and is asked for ten of them once: looking through them costs less than a map.
//! Follows <https://www.rfc-editor.org/rfc/rfc9110#section-5>.

use std::ops::Range;

use bytes::Bytes;
use http::StatusCode;

/// The head of an answer and its body.
#[derive(Debug)]
pub(in crate::gcs) struct Answer<B> {
    /// What became of the request.
    pub(in crate::gcs) status: StatusCode,
    /// What else is said.
    pub(in crate::gcs) fields: Fields,
    /// The content.
    pub(in crate::gcs) body: B,
}

/// Field lines in their order; names are compared without regard to case.
#[derive(Debug, Default)]
pub(in crate::gcs) struct Fields {
    head: Bytes,
    lines: Vec<Line>,
}

/// Where a line's name and value stand in the head.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

impl Fields {
    pub(super) fn new(head: Bytes, lines: Vec<Line>) -> Self {
        Self { head, lines }
    }

    /// The values of all lines of this name, which is in lower case.
    pub(in crate::gcs) fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let text = |range: &Range<usize>| self.head.get(range.clone()).unwrap_or_default();
        let called =
            move |line: &&Line| line.name.len() == name.len() && text(&line.name).eq_ignore_ascii_case(name.as_bytes());
        self.lines.iter().filter(called).map(move |line| text(&line.value))
    }

    /// The value of the first line of this name.
    pub(in crate::gcs) fn get(&self, name: &'static str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The same as text, if it is.
    pub(in crate::gcs) fn text(&self, name: &'static str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Whether there is a line of this name.
    pub(in crate::gcs) fn has(&self, name: &'static str) -> bool {
        self.get(name).is_some()
    }
}

#[cfg(test)]
impl<'a> FromIterator<(&'a str, &'a str)> for Fields {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(fields: T) -> Self {
        let (mut head, mut lines) = (Vec::new(), Vec::new());
        let mut put = |text: &str| {
            head.extend_from_slice(text.as_bytes());
            head.len() - text.len()..head.len()
        };
        for (name, value) in fields {
            lines.push(Line { name: put(name), value: put(value) });
        }
        Self { head: head.into(), lines }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_lines_an_order() {
        let fields: Fields = [("X-Goog-Hash", "a"), ("x-goog-has", "b"), ("x-goog-hash", "c")].into_iter().collect();
        assert_eq!(fields.all("x-goog-hash").collect::<Vec<_>>(), [b"a", b"c"]);
        assert_eq!((fields.text("x-goog-has"), fields.text("x-goog")), (Some("b"), None));
        assert!(fields.has("x-goog-hash") && !fields.has("date"));
    }
}
