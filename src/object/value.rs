//! Stored texts as header values.
//!
//! Decides which of them need no memory of their own: a clone of those is no more than a copy of a reference, while all
//! who send another one count on it together, whichever core they are on.

use http::HeaderValue;

/// What media are often stored with, and what GCS adds.
const USUAL: [&str; 16] = [
    "application/json",
    "application/pdf",
    "attachment",
    "audio/mpeg",
    "audio/wav",
    "gzip",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/tiff",
    "image/webp",
    "inline",
    "text/csv",
    "text/plain",
    "video/mp4",
    "video/webm",
];

/// The text as a value, which may be UTF-8; `None` if it has a control character.
pub(super) fn value(text: &str) -> Option<HeaderValue> {
    match USUAL.iter().find(|usual| **usual == text) {
        Some(usual) => Some(HeaderValue::from_static(usual)),
        None => HeaderValue::from_bytes(text.as_bytes()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_text_whether_it_is_usual_or_not() {
        for text in USUAL.into_iter().chain(["", "Image/PNG", "image/png ", "inline; filename=\"ü\"", "a\tb"]) {
            assert_eq!(value(text).as_ref().map(HeaderValue::as_bytes), Some(text.as_bytes()), "{text:?}");
        }
        assert_eq!((value("image/png\n"), value("\0"), value("\u{7f}")), (None, None, None));
    }
}
