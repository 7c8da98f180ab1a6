//! The `Range` header: one range of bytes, or none at all.
//!
//! Several ranges, other units and anything malformed count as no range, as RFC 9110 section 14.2 allows
//! (<https://www.rfc-editor.org/rfc/rfc9110#section-14.2>).

use http::HeaderMap;
use http::header::RANGE;

use crate::object::ByteRange;

/// The single range that the headers ask for.
pub(super) fn parse(headers: &HeaderMap) -> Option<ByteRange> {
    let mut values = headers.get_all(RANGE).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (unit, set) = value.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim_matches([' ', '\t']).split_once('-')?;
    match (position(first)?, position(last)?) {
        (Position::Absent, Position::At(length)) => Some(ByteRange::Suffix { length }),
        (Position::At(first), Position::Absent) => Some(ByteRange::From { first }),
        (Position::At(first), Position::At(last)) if first <= last => Some(ByteRange::FromTo { first, last }),
        _ => None,
    }
}

enum Position {
    Absent,
    At(u64),
}

/// Digits alone; a number too large for any object counts as the largest there is.
fn position(text: &str) -> Option<Position> {
    if text.is_empty() {
        return Some(Position::Absent);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Position::At(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn range(value: &str) -> Option<ByteRange> {
        parse(&HeaderMap::from_iter([(RANGE, HeaderValue::from_str(value).expect("legal"))]))
    }

    #[test]
    fn one_range_or_none() {
        for (value, expected) in [
            ("bytes=0-0", Some(ByteRange::FromTo { first: 0, last: 0 })),
            ("bytes=5-", Some(ByteRange::From { first: 5 })),
            ("bytes=-7", Some(ByteRange::Suffix { length: 7 })),
            ("Bytes=1-2", Some(ByteRange::FromTo { first: 1, last: 2 })),
            ("bytes= 1-2", Some(ByteRange::FromTo { first: 1, last: 2 })),
            ("bytes=0-99999999999999999999", Some(ByteRange::FromTo { first: 0, last: u64::MAX })),
            ("bytes=99999999999999999999-", Some(ByteRange::From { first: u64::MAX })),
            ("bytes=5-2", None),
            ("bytes=-", None),
            ("bytes=", None),
            ("bytes", None),
            ("bytes=0-1,3-4", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("bytes=1 - 2", None),
            ("bytes=0x1-2", None),
            ("items=0-1", None),
            ("bytes=--1", None),
        ] {
            assert_eq!(range(value), expected, "{value}");
        }
    }

    #[test]
    fn two_range_lines_are_no_range() {
        let mut headers = HeaderMap::new();
        headers.append(RANGE, HeaderValue::from_static("bytes=0-1"));
        headers.append(RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(parse(&headers), None);
    }

    proptest! {
        #[test]
        fn a_range_reads_back_as_written(first: u64, length in 0..u64::MAX) {
            let last = first.saturating_add(length);
            for range in [ByteRange::FromTo { first, last }, ByteRange::From { first }, ByteRange::Suffix { length }] {
                prop_assert_eq!(super::tests::range(&range.to_string()), Some(range));
            }
        }

        #[test]
        fn no_value_panics(value in "\\PC*") {
            if let Ok(value) = HeaderValue::from_str(&value) {
                let _ = parse(&HeaderMap::from_iter([(RANGE, value)]));
            }
        }
    }
}
