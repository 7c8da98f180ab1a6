//! Byte ranges: what was asked for, what it means for an object of a known size, and what was sent.
//!
//! Follows RFC 9110 section 14 (<https://www.rfc-editor.org/rfc/rfc9110#section-14>). One range only: GCS refuses several.

use std::fmt;

use super::decimal;

/// A single range as a client may ask for it; positions are bytes, counted from 0, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `a-b`
    FromTo {
        /// First byte.
        first: u64,
        /// Last byte, at least `first`.
        last: u64,
    },
    /// `a-`
    From {
        /// First byte.
        first: u64,
    },
    /// `-n`
    Suffix {
        /// How many bytes from the end.
        length: u64,
    },
}

impl ByteRange {
    /// The bytes that this range selects of an object of `size` bytes; `None` if it is unsatisfiable.
    pub fn resolve(self, size: u64) -> Option<Span> {
        let end = size.checked_sub(1)?;
        let (first, last) = match self {
            Self::FromTo { first, last } => (first, last.min(end)),
            Self::From { first } => (first, end),
            Self::Suffix { length: 0 } => return None,
            Self::Suffix { length } => (size.saturating_sub(length), end),
        };
        (first <= last).then_some(Span { first, last })
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromTo { first, last } => write!(f, "bytes={first}-{last}"),
            Self::From { first } => write!(f, "bytes={first}-"),
            Self::Suffix { length } => write!(f, "bytes=-{length}"),
        }
    }
}

/// A run of bytes inside an object, both ends inclusive, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub first: u64,
    /// Last byte, at least `first`.
    pub last: u64,
}

impl Span {
    /// How many bytes.
    #[allow(clippy::len_without_is_empty, reason = "a span is never empty")]
    pub fn len(self) -> u64 {
        self.last - self.first + 1
    }
}

impl From<Span> for ByteRange {
    fn from(span: Span) -> Self {
        Self::FromTo { first: span.first, last: span.last }
    }
}

/// The value of a `Content-Range` header with a known total: `bytes first-last/total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Which bytes.
    pub span: Span,
    /// The size of the whole object.
    pub total: u64,
}

impl ContentRange {
    /// Reads `bytes a-b/n`; anything else, or ends that do not fit the total, is `None`.
    pub fn parse(value: &str) -> Option<Self> {
        let (ends, total) = value.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = ends.split_once('-')?;
        let (first, last, total) = (decimal(first)?, decimal(last)?, decimal(total)?);
        (first <= last && last < total).then_some(Self { span: Span { first, last }, total })
    }

    /// Reads the size out of `bytes */n`, the form of an unsatisfiable range.
    pub fn parse_unsatisfied(value: &str) -> Option<u64> {
        decimal(value.strip_prefix("bytes */")?)
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/{}", self.span.first, self.span.last, self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_resolve_as_rfc_9110_says() {
        let from_to = |first, last| ByteRange::FromTo { first, last };
        let span = |first, last| Some(Span { first, last });
        for (range, size, expected) in [
            (from_to(0, 0), 10, span(0, 0)),
            (from_to(2, 99), 10, span(2, 9)),
            (from_to(10, 12), 10, None),
            (ByteRange::From { first: 9 }, 10, span(9, 9)),
            (ByteRange::From { first: 10 }, 10, None),
            (ByteRange::Suffix { length: 3 }, 10, span(7, 9)),
            (ByteRange::Suffix { length: 99 }, 10, span(0, 9)),
            (ByteRange::Suffix { length: 0 }, 10, None),
            (ByteRange::From { first: 0 }, 0, None),
            (ByteRange::Suffix { length: 1 }, 0, None),
        ] {
            assert_eq!(range.resolve(size), expected, "{range} of {size}");
        }
    }

    #[test]
    fn content_range_is_read_strictly() {
        let good = ContentRange { span: Span { first: 0, last: 4 }, total: 5 };
        assert_eq!(ContentRange::parse("bytes 0-4/5"), Some(good));
        for bad in ["bytes 0-5/5", "bytes 3-2/5", "bytes 0-4/*", "bytes */5", "0-4/5", "bytes +0-4/5", "bytes 0-4/5 "] {
            assert_eq!(ContentRange::parse(bad), None, "{bad}");
        }
        assert_eq!(ContentRange::parse_unsatisfied("bytes */5"), Some(5));
        assert_eq!(ContentRange::parse_unsatisfied("bytes */"), None);
    }
}
