//! The names that are ever asked for in an answer's head.
//!
//! Names have no case. A name is told by its length and its last letter, and then compared as a whole, eight letters at
//! once.

/// A field that means something to us; all others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gcs) enum Field {
    CacheControl,
    Connection,
    ContentDisposition,
    ContentEncoding,
    ContentLanguage,
    ContentLength,
    ContentRange,
    ContentType,
    Date,
    Generation,
    Hash,
    LastModified,
    Metageneration,
    RetryAfter,
    StoredContentEncoding,
    StoredContentLength,
    TransferEncoding,
    Transformations,
    Warning,
}

/// The bit that makes a letter small, in eight letters.
const SMALL: u64 = u64::from_ne_bytes([b' '; 8]);

impl Field {
    /// How many there are.
    pub(super) const COUNT: usize = Self::Warning as usize + 1;

    /// The name, in lower case.
    pub(in crate::gcs) const fn name(self) -> &'static str {
        match self {
            Self::CacheControl => "cache-control",
            Self::Connection => "connection",
            Self::ContentDisposition => "content-disposition",
            Self::ContentEncoding => "content-encoding",
            Self::ContentLanguage => "content-language",
            Self::ContentLength => "content-length",
            Self::ContentRange => "content-range",
            Self::ContentType => "content-type",
            Self::Date => "date",
            Self::Generation => "x-goog-generation",
            Self::Hash => "x-goog-hash",
            Self::LastModified => "last-modified",
            Self::Metageneration => "x-goog-metageneration",
            Self::RetryAfter => "retry-after",
            Self::StoredContentEncoding => "x-goog-stored-content-encoding",
            Self::StoredContentLength => "x-goog-stored-content-length",
            Self::TransferEncoding => "transfer-encoding",
            Self::Transformations => "x-guploader-response-body-transformations",
            Self::Warning => "warning",
        }
    }

    /// The field of this name, which is a token; `None` if nobody asks for it.
    pub(in crate::gcs::wire) fn of(token: &[u8]) -> Option<Self> {
        let field = match (token.len(), token.last()? | b' ') {
            (4, b'e') => Self::Date,
            (7, b'g') => Self::Warning,
            (10, b'n') => Self::Connection,
            (11, b'h') => Self::Hash,
            (11, b'r') => Self::RetryAfter,
            (12, b'e') => Self::ContentType,
            (13, b'd') => Self::LastModified,
            (13, b'e') => Self::ContentRange,
            (13, b'l') => Self::CacheControl,
            (14, b'h') => Self::ContentLength,
            (16, b'e') => Self::ContentLanguage,
            (16, b'g') => Self::ContentEncoding,
            (17, b'g') => Self::TransferEncoding,
            (17, b'n') => Self::Generation,
            (19, b'n') => Self::ContentDisposition,
            (21, b'n') => Self::Metageneration,
            (28, b'h') => Self::StoredContentLength,
            (30, b'g') => Self::StoredContentEncoding,
            (41, b's') => Self::Transformations,
            _ => return None,
        };
        is_called(token, field.name().as_bytes()).then_some(field)
    }
}

/// Whether a token is this name of the same length, which has small letters and dashes alone: no other character of a
/// token becomes one of those by the bit that makes letters small.
fn is_called(token: &[u8], name: &[u8]) -> bool {
    let same = |token: &[u8; 8], name: &[u8; 8]| u64::from_ne_bytes(*token) | SMALL == u64::from_ne_bytes(*name);
    match (token.last_chunk(), name.last_chunk()) {
        (Some(end), Some(of)) => {
            let (words, names) = (token.as_chunks().0, name.as_chunks().0);
            same(end, of) && words.iter().zip(names).all(|(word, name)| same(word, name))
        }
        _ => token.eq_ignore_ascii_case(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Field; Field::COUNT] = [
        Field::CacheControl,
        Field::Connection,
        Field::ContentDisposition,
        Field::ContentEncoding,
        Field::ContentLanguage,
        Field::ContentLength,
        Field::ContentRange,
        Field::ContentType,
        Field::Date,
        Field::Generation,
        Field::Hash,
        Field::LastModified,
        Field::Metageneration,
        Field::RetryAfter,
        Field::StoredContentEncoding,
        Field::StoredContentLength,
        Field::TransferEncoding,
        Field::Transformations,
        Field::Warning,
    ];

    #[test]
    fn every_field_is_known_by_its_name_in_any_case() {
        for (number, field) in ALL.into_iter().enumerate() {
            let name = field.name();
            assert_eq!(field as usize, number, "{name}");
            assert_eq!(Field::of(name.as_bytes()), Some(field), "{name}");
            assert_eq!(Field::of(name.to_ascii_uppercase().as_bytes()), Some(field), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
        }
    }

    #[test]
    fn no_other_token_is_taken_for_a_name() {
        let tokens: Vec<u8> = (b'!'..=b'~').filter(|byte| !b"\"(),/:;<=>?@[\\]{}".contains(byte)).collect();
        for field in ALL {
            let name = field.name().as_bytes();
            for at in 0..name.len() {
                for other in tokens.iter().filter(|byte| !byte.eq_ignore_ascii_case(&name[at])) {
                    let mut token = name.to_vec();
                    token[at] = *other;
                    assert_ne!(Field::of(&token), Some(field), "{}", String::from_utf8_lossy(&token));
                }
            }
            assert_eq!(Field::of(&name[1..]), None, "{}", field.name());
            assert_eq!(Field::of(&[name, b"s"].concat()), None, "{}", field.name());
        }
        assert_eq!(Field::of(b""), None);
    }
}
