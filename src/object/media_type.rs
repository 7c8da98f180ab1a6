//! What a `Content-Type` means to whom it is sent.
//!
//! Decides whether it says anything, and whether a browser might run what it names. Pure.
//! Follows <https://mimesniff.spec.whatwg.org/>.

use http::HeaderValue;

use super::value::value;

/// Types that a browser may run scripts of, besides all XML and all that has parts.
const ACTIVE: [&str; 5] = ["text/html", "text/xml", "application/xml", "application/pdf", "text/xsl"];
/// Types that say nothing.
const UNKNOWN: [&str; 3] = ["", "application/octet-stream", "binary/octet-stream"];

/// A type, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    value: HeaderValue,
    is_active: bool,
}

impl MediaType {
    /// Reads a type that came with an object; `None` if it says nothing or is no legal value.
    pub fn read(told: &str) -> Option<Self> {
        let told = told.trim();
        let essence = essence(told);
        if UNKNOWN.iter().any(|unknown| essence.eq_ignore_ascii_case(unknown)) {
            return None;
        }
        value(told).map(|value| Self { value, is_active: is_active(told) })
    }

    /// A type that we know.
    pub fn known(name: &'static str) -> Self {
        Self { value: HeaderValue::from_static(name), is_active: is_active(name) }
    }

    /// The type with its parameters.
    pub fn as_str(&self) -> &str {
        // It was made of text.
        std::str::from_utf8(self.value.as_bytes()).unwrap_or_default()
    }

    /// The type as the header's value.
    pub fn value(&self) -> HeaderValue {
        self.value.clone()
    }

    /// Whether a browser might run it.
    pub fn is_active(&self) -> bool {
        self.is_active
    }
}

/// Types that a browser may run scripts of, or that a plug-in may.
///
/// A browser takes the last type of a list, or the last that it can read
/// (<https://fetch.spec.whatwg.org/#content-type-header>), so any of them counts.
pub fn is_active(content_type: &str) -> bool {
    content_type.split(',').map(essence).any(|essence| {
        let is_xml = essence.as_bytes().last_chunk().is_some_and(|end: &[u8; 4]| end.eq_ignore_ascii_case(b"+xml"));
        let has_parts =
            essence.as_bytes().first_chunk().is_some_and(|start: &[u8; 10]| start.eq_ignore_ascii_case(b"multipart/"));
        is_xml || has_parts || ACTIVE.iter().any(|active| essence.eq_ignore_ascii_case(active))
    })
}

fn essence(content_type: &str) -> &str {
    let end = content_type.bytes().position(|byte| byte == b';').unwrap_or(content_type.len());
    content_type[..end].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_taken_as_it_is_unless_it_says_nothing() {
        for (told, sent) in [
            (" image/png ", Some("image/png")),
            ("text/plain; charset=ü", Some("text/plain; charset=ü")),
            ("a\tb", Some("a\tb")),
            ("", None),
            ("; charset=x", None),
            ("Application/Octet-Stream; x=y", None),
            ("binary/octet-stream", None),
            ("image/\npng", None),
            ("image/png\u{7f}", None),
        ] {
            assert_eq!(MediaType::read(told).as_ref().map(MediaType::as_str), sent, "{told:?}");
        }
    }

    #[test]
    fn what_a_browser_might_run_is_active_wherever_it_stands() {
        for (told, active) in [
            ("image/png", false),
            ("text/plain", false),
            ("text/HTML; charset=utf-8", true),
            ("image/svg+xml", true),
            ("image/png, text/html", true),
            ("Multipart/mixed", true),
            ("application/pdf ;x", true),
        ] {
            assert_eq!(MediaType::read(told).map(|told| told.is_active()), Some(active), "{told}");
        }
        assert!(!MediaType::known("video/mp4").is_active() && MediaType::known("text/xsl").is_active());
    }
}
