//! Where a request goes: the gateway's own pages under `/-/`, or an object of a connection.
//!
//! The path is taken as it stands on the wire and percent-decoded once, bytewise; nothing is normalised.
//! Follows RFC 3986 section 2.1 (<https://www.rfc-editor.org/rfc/rfc3986#section-2.1>).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use super::vendor::VendorRoute;

/// A connection's name: `[a-z0-9][a-z0-9-]{0,62}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ConnectionName(String);

/// Why a connection's name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection names are 1 to 63 lower-case letters, digits or '-', not beginning with '-'")]
pub struct ConnectionNameError;

impl ConnectionName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ConnectionName {
    type Error = ConnectionNameError;

    fn try_from(name: String) -> Result<Self, ConnectionNameError> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let good = (1..=63).contains(&name.len()) && name.bytes().all(legal) && !name.starts_with('-');
        if good { Ok(Self(name)) } else { Err(ConnectionNameError) }
    }
}

impl std::borrow::Borrow<str> for ConnectionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/-/healthz`: the process answers.
    Health,
    /// `/-/readyz`: the process wants traffic.
    Readiness,
    /// `/{connection}/{object…}`, or `/~{token}/{connection}/{object…}`.
    Media {
        /// The link that the path shows.
        token: Option<&'a str>,
        /// The first segment, as it stands.
        connection: &'a str,
        /// What follows, still percent-encoded.
        object: EncodedPath<'a>,
    },
    /// `/-/labelbox`, `/-/diffgram/…`, `/-/toloka/…`
    Vendor(VendorRoute<'a>),
    /// Anything else.
    Nowhere,
}

impl<'a> Route<'a> {
    /// Reads the path of a request target; the query is not part of it.
    pub fn parse(path: &'a str) -> Self {
        let Some((first, rest)) = path.strip_prefix('/').and_then(|rest| rest.split_once('/')) else {
            return Self::Nowhere;
        };
        match (first, rest) {
            ("-", "healthz") => Self::Health,
            ("-", "readyz") => Self::Readiness,
            ("-", rest) => VendorRoute::parse(rest).map_or(Self::Nowhere, Self::Vendor),
            ("", _) => Self::Nowhere,
            _ => match link_token(first) {
                None => Self::Media { token: None, connection: first, object: EncodedPath(rest) },
                token => match rest.split_once('/') {
                    None | Some(("-" | "", _)) => Self::Nowhere,
                    Some((connection, object)) => Self::Media { token, connection, object: EncodedPath(object) },
                },
            },
        }
    }

    /// The link that the path shows.
    pub fn token(&self) -> Option<&'a str> {
        match self {
            Self::Media { token, .. } => *token,
            Self::Health | Self::Readiness | Self::Vendor(_) | Self::Nowhere => None,
        }
    }
}

/// The token of a segment that begins with `~`, which no connection's name does; some clients write it as `%7E`.
fn link_token(segment: &str) -> Option<&str> {
    ["~", "%7E", "%7e"].into_iter().find_map(|mark| segment.strip_prefix(mark))
}

/// The part of a path that names an object, as it stood on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedPath<'a>(&'a str);

/// `%` without two hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path has a '%' that is not followed by two hexadecimal digits")]
pub struct EncodingError;

impl<'a> EncodedPath<'a> {
    /// A part of a path, as it stands on the wire.
    pub(super) fn new(part: &'a str) -> Self {
        Self(part)
    }

    /// The bytes that the path stands for, decoded exactly once.
    pub fn decode(self) -> Result<Cow<'a, [u8]>, EncodingError> {
        if !self.0.as_bytes().contains(&b'%') {
            return Ok(self.0.as_bytes().into());
        }
        let mut bytes = self.0.bytes();
        let mut decoded = Vec::with_capacity(self.0.len());
        while let Some(byte) = bytes.next() {
            if byte == b'%' {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(EncodingError) };
                decoded.push(u8::try_from(high * 16 + low).map_err(|_| EncodingError)?);
            } else {
                decoded.push(byte);
            }
        }
        Ok(decoded.into())
    }
}

impl EncodedPath<'_> {
    /// No object at all.
    pub const EMPTY: EncodedPath<'static> = EncodedPath("");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(path: &str) -> Option<(String, Result<Vec<u8>, EncodingError>)> {
        match Route::parse(path) {
            Route::Media { token: None, connection, object } => {
                Some((connection.to_owned(), object.decode().map(Cow::into_owned)))
            }
            _ => None,
        }
    }

    #[test]
    fn paths_lead_to_one_place() {
        assert_eq!(Route::parse("/-/healthz"), Route::Health);
        assert_eq!(Route::parse("/-/readyz"), Route::Readiness);
        for nowhere in ["/", "", "*", "//", "//x", "/-/", "/-/healthz/", "/-/other", "/street", "/-"] {
            assert_eq!(Route::parse(nowhere), Route::Nowhere, "{nowhere}");
        }
    }

    #[test]
    fn a_link_may_stand_before_the_connection() {
        for (path, token, connection, rest) in [
            ("/~abc/c/a/b.jpg", "abc", "c", "a/b.jpg"),
            ("/%7Eabc/c/a", "abc", "c", "a"),
            ("/%7eabc/c/a", "abc", "c", "a"),
            ("/~/c/a", "", "c", "a"),
            ("/~~/c/", "~", "c", ""),
            ("/~abc/~def/a", "abc", "~def", "a"),
        ] {
            let expected = Route::Media { token: Some(token), connection, object: EncodedPath(rest) };
            assert_eq!(Route::parse(path), expected, "{path}");
        }
        for nowhere in ["/~abc", "/~abc/", "/~abc/c", "/~abc//a", "/~abc/-/healthz", "/~"] {
            assert_eq!(Route::parse(nowhere), Route::Nowhere, "{nowhere}");
        }
    }

    #[test]
    fn object_paths_are_decoded_once_and_never_normalised() {
        for (path, object) in [
            ("/c/a/b.jpg", "a/b.jpg"),
            ("/c//a", "/a"),
            ("/c/a//b", "a//b"),
            ("/c/", ""),
            ("/c/a%2Fb", "a/b"),
            ("/c/a%2fb", "a/b"),
            ("/c/a%252Fb", "a%2Fb"),
            ("/c/a+b", "a+b"),
            ("/c/%23%3F%20", "#? "),
            ("/c/%C3%BC", "ü"),
            ("/c/ü", "ü"),
            ("/c/a\\b", "a\\b"),
            ("/c/../b", "../b"),
            ("/c/%2e%2e/b", "../b"),
        ] {
            assert_eq!(media(path), Some(("c".to_owned(), Ok(object.as_bytes().to_vec()))), "{path}");
        }
        for bad in ["/c/%", "/c/%2", "/c/%zz", "/c/100%.jpg", "/c/%+1"] {
            assert_eq!(media(bad), Some(("c".to_owned(), Err(EncodingError))), "{bad}");
        }
        assert_eq!(media("/c/%00%ff").map(|(_, bytes)| bytes), Some(Ok(vec![0, 0xFF])));
    }

    #[test]
    fn connection_names_are_plain() {
        for good in ["a", "0", "street", "a-b", &"x".repeat(63)] {
            assert!(ConnectionName::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "-", "-a", "A", "a_b", "a.b", "a/b", "ü", &"x".repeat(64)] {
            assert!(ConnectionName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
