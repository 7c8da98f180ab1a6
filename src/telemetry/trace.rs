//! Whom a request belongs to: its id and the trace that it is part of.
//!
//! Pure parsers of what a client or a load balancer sent; a value that is not exactly as specified is as good as absent.
//! Follows <https://www.w3.org/TR/trace-context/> and <https://cloud.google.com/trace/docs/trace-context#legacy-http-header>.

use std::fmt;

use http::{HeaderName, HeaderValue};

const LONGEST_REQUEST_ID: usize = 64;

/// The id under which a request is logged and answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
    /// The header that carries it, both ways.
    pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

    /// The id that a client sent, if it is 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let good = (1..=LONGEST_REQUEST_ID).contains(&value.len())
            && value.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b));
        let text = std::str::from_utf8(value).ok()?;
        good.then(|| Self(text.to_owned()))
    }

    /// A fresh one: 32 hexadecimal digits.
    #[expect(clippy::missing_panics_doc, reason = "digits are text")]
    pub fn random() -> Self {
        let (one, other) = (fastrand::u64(..), fastrand::u64(..));
        let digits = [one, one >> 4, other, other >> 4].map(hexadecimal);
        Self(str::from_utf8(digits.as_flattened()).expect("digits are text").to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a header value.
    #[expect(clippy::missing_panics_doc, reason = "an id consists of header characters")]
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("an id consists of header characters")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a distributed trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    trace_id: String,
    span_id: Option<String>,
    sampled: bool,
}

impl Trace {
    /// `00-{32 hex}-{16 hex}-{2 hex}`, lower case; later versions may append fields.
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let mut fields = text.splitn(5, '-');
        let (version, trace_id) = (fields.next()?, fields.next()?);
        let (span_id, flags) = (fields.next()?, fields.next()?);
        let lower = |text: &str, length| text.len() == length && text.bytes().all(|b| b"0123456789abcdef".contains(&b));
        let shaped = lower(version, 2) && lower(trace_id, 32) && lower(span_id, 16) && lower(flags, 2);
        let appended = fields.next().is_some();
        if !shaped || version == "ff" || (version == "00" && appended) || zero(trace_id) || zero(span_id) {
            return None;
        }
        let sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        Some(Self { trace_id: trace_id.to_owned(), span_id: Some(span_id.to_owned()), sampled })
    }

    /// `{32 hex}[/{decimal}][;o={0..3}]`.
    pub fn from_cloud(text: &str) -> Option<Self> {
        let (ids, options) = text.split_once(';').map_or((text, None), |(ids, options)| (ids, Some(options)));
        let (trace_id, span) = ids.split_once('/').map_or((ids, None), |(id, span)| (id, Some(span)));
        if trace_id.len() != 32 || !trace_id.bytes().all(|b| b.is_ascii_hexdigit()) || zero(trace_id) {
            return None;
        }
        let span_id = match span {
            None => None,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse::<u64>().ok().filter(|span| *span != 0).map(|span| format!("{span:016x}"))
            }
            Some(_) => return None,
        };
        let sampled = match options {
            None | Some("o=0" | "o=2") => false,
            Some("o=1" | "o=3") => true,
            Some(_) => return None,
        };
        Some(Self { trace_id: trace_id.to_ascii_lowercase(), span_id, sampled })
    }

    /// 32 lower-case hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// 16 lower-case hexadecimal digits, if the caller named its span.
    pub fn span_id(&self) -> Option<&str> {
        self.span_id.as_deref()
    }

    /// Whether the caller records this trace.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }
}

fn zero(digits: &str) -> bool {
    digits.bytes().all(|b| b == b'0')
}

/// A digit for the lower half of each byte, all at once.
fn hexadecimal(word: u64) -> [u8; 8] {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let numbers = word & (EACH * 0xf);
    // From ten on, six more make sixteen.
    let letters = ((numbers + EACH * 6) >> 4) & EACH;
    (numbers + EACH * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_short_and_plain() {
        for good in ["a", "A-Z_0.9", &"x".repeat(64)] {
            assert_eq!(RequestId::parse(good.as_bytes()).map(|id| id.to_string()), Some(good.to_owned()));
        }
        for bad in ["", "a b", "a\nb", "ä", "a;b", "<script>", &"x".repeat(65)] {
            assert_eq!(RequestId::parse(bad.as_bytes()), None, "{bad}");
        }
        assert!(RequestId::parse(RequestId::random().as_str().as_bytes()).is_some());
    }

    #[test]
    fn fresh_ids_are_hexadecimal_and_differ() {
        let (one, other) = (RequestId::random(), RequestId::random());
        assert!(one.as_str().len() == 32 && one.as_str().bytes().all(|b| b"0123456789abcdef".contains(&b)), "{one}");
        assert_ne!(one, other);
        assert_eq!(hexadecimal(u64::from_ne_bytes(*b"\x00\x11\x22\x33\xf4\xe5\xd6\xc7")), *b"01234567");
        assert_eq!(hexadecimal(u64::from_ne_bytes(*b"\x88\xf9\x0a\xbb\xfc\x0d\xee\xff")), *b"89abcdef");
    }

    #[test]
    fn traceparent_is_read_strictly() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let trace = Trace::from_traceparent(&format!("00-{id}-00f067aa0ba902b7-01")).unwrap();
        assert_eq!((trace.trace_id(), trace.span_id(), trace.is_sampled()), (id, Some("00f067aa0ba902b7"), true));
        assert!(Trace::from_traceparent(&format!("01-{id}-00f067aa0ba902b7-00-more")).is_some());
        for bad in [
            String::new(),
            format!("00-{id}-00f067aa0ba902b7"),
            format!("00-{id}-00f067aa0ba902b7-01-more"),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{id}-0000000000000000-01"),
            format!("00-{id}-00f067aa0ba902b7-0g"),
            format!(" 00-{id}-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(Trace::from_traceparent(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_cloud_header_is_read_strictly() {
        let id = "105445aa7843bc8bf206b12000100000";
        let trace = Trace::from_cloud(&format!("{id}/1;o=1")).unwrap();
        assert_eq!((trace.trace_id(), trace.span_id(), trace.is_sampled()), (id, Some("0000000000000001"), true));
        for good in [id.to_owned(), format!("{id}/0"), format!("{id};o=0"), id.to_uppercase()] {
            assert_eq!(Trace::from_cloud(&good).map(|trace| trace.trace_id), Some(id.to_owned()), "{good}");
        }
        for bad in ["", "1/1;o=1", &format!("{id}/x"), &format!("{id}/-1"), &format!("{id}/1;p=1"), &"0".repeat(32)] {
            assert_eq!(Trace::from_cloud(bad), None, "{bad}");
        }
    }
}
