//! The header fields of an answer, left where they were read.
//!
//! An answer has about twenty field lines, of which a dozen are asked for once: each name is looked at once, when the
//! head is read, and nothing is kept of those that nobody asks for.
//! Follows <https://www.rfc-editor.org/rfc/rfc9110#section-5>.

mod field;

use std::ops::Range;

use bytes::Bytes;
use http::StatusCode;

pub(in crate::gcs) use self::field::Field;

/// No line; more than there may be.
const NONE: u8 = u8::MAX;

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

/// The lines of known fields, in their order.
#[derive(Debug)]
pub(in crate::gcs) struct Fields {
    head: Bytes,
    lines: Vec<Line>,
    /// The first line of each field.
    first: [u8; Field::COUNT],
}

/// A line of a field, and where its value stands in the head.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) field: Field,
    /// The next line of the same field.
    next: u8,
    /// Heads are far shorter than 4 GiB.
    value: Range<u32>,
}

impl Line {
    pub(super) fn new(field: Field, value: Range<usize>) -> Self {
        let place = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { field, next: NONE, value: place(value.start)..place(value.end) }
    }

    /// Its value.
    pub(super) fn value_in<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        head.get(self.value.start as usize..self.value.end as usize).unwrap_or_default()
    }
}

impl Fields {
    /// The lines of a head; only the first 255 count, and a head has fewer.
    pub(super) fn new(head: Bytes, mut lines: Vec<Line>) -> Self {
        lines.truncate(usize::from(NONE));
        let mut first = [NONE; Field::COUNT];
        for (number, line) in (0..NONE).zip(&mut lines).rev() {
            line.next = std::mem::replace(&mut first[line.field as usize], number);
        }
        Self { head, lines, first }
    }

    /// The values of all lines of a field.
    pub(in crate::gcs) fn all(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        let line = |number: u8| self.lines.get(usize::from(number));
        let lines = std::iter::successors(line(self.first[field as usize]), move |before| line(before.next));
        lines.map(|line| line.value_in(&self.head))
    }

    /// The value of a field's first line.
    pub(in crate::gcs) fn get(&self, field: Field) -> Option<&[u8]> {
        self.all(field).next()
    }

    /// The same as text, if it is.
    pub(in crate::gcs) fn text(&self, field: Field) -> Option<&str> {
        self.get(field).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Whether there is a line of this field.
    pub(in crate::gcs) fn has(&self, field: Field) -> bool {
        self.first[field as usize] != NONE
    }
}

#[cfg(test)]
impl<'a> FromIterator<(&'a str, &'a str)> for Fields {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(fields: T) -> Self {
        let (mut head, mut lines) = (Vec::new(), Vec::new());
        for (name, value) in fields {
            let field = Field::of(name.as_bytes()).expect("a known field");
            head.extend_from_slice(value.as_bytes());
            lines.push(Line::new(field, head.len() - value.len()..head.len()));
        }
        Self::new(head.into(), lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_lines_an_order() {
        let fields: Fields = [("X-Goog-Hash", "a"), ("Warning", "b"), ("x-goog-hash", "c")].into_iter().collect();
        assert_eq!(fields.all(Field::Hash).collect::<Vec<_>>(), [b"a", b"c"]);
        assert_eq!((fields.text(Field::Warning), fields.text(Field::RetryAfter)), (Some("b"), None));
        assert!(fields.has(Field::Hash) && !fields.has(Field::Date));
        assert_eq!(fields.all(Field::Date).count(), 0);
    }
}
