//! The Range header as GCS reads it: one range of bytes; several ranges or anything malformed is ignored.
//!
//! Follows <https://cloud.google.com/storage/docs/xml-api/reference-headers#range>.

use crate::object::{ByteRange, Span};

use super::refusal::Refusal;

/// What a Range header asks of an object of a known size; `None` means the whole.
pub(super) fn select(header: Option<&str>, size: u64) -> Result<Option<Span>, Refusal> {
    match header.and_then(parse) {
        None => Ok(None),
        Some(range) => range.resolve(size).map(Some).ok_or_else(|| Refusal::range(size)),
    }
}

fn parse(header: &str) -> Option<ByteRange> {
    let (unit, spec) = header.trim().split_once('=')?;
    let (first, last) = spec.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first.trim(), last.trim()) {
        ("", length) => Some(ByteRange::Suffix { length: number(length)? }),
        (first, "") => Some(ByteRange::From { first: number(first)? }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::FromTo { first, last })
        }
    }
}

/// Digits alone; a number beyond 64 bits is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges_are_served_others_ignored_and_unsatisfiable_ones_refused() {
        let span = |first, last| Ok(Some(Span { first, last }));
        for (header, expected) in [
            ("bytes=0-0", span(0, 0)),
            ("bytes=2-", span(2, 9)),
            ("bytes=-3", span(7, 9)),
            ("bytes=-99", span(0, 9)),
            ("bytes=5-999", span(5, 9)),
            ("BYTES = 1-2", span(1, 2)),
            ("bytes=10-", Err(Refusal::range(10))),
            ("bytes=-0", Err(Refusal::range(10))),
            ("bytes=99999999999999999999999-", Err(Refusal::range(10))),
            ("bytes=0-1,3-4", Ok(None)),
            ("bytes=4-2", Ok(None)),
            ("bytes=a-b", Ok(None)),
            ("bytes=-", Ok(None)),
            ("bytes=+1-2", Ok(None)),
            ("items=0-1", Ok(None)),
            ("", Ok(None)),
        ] {
            assert_eq!(select(Some(header), 10), expected, "{header}");
        }
        assert_eq!(select(None, 10), Ok(None));
        assert_eq!(select(Some("bytes=0-"), 0), Err(Refusal::range(0)));
    }
}
