//! Names: buckets, objects, prefixes, projects and `gs://` URIs.
//!
//! Object names are flat and nothing is normalised: `a//b` and `/a` are names of their own.
//! Names that some URL parser on the way would rewrite are refused (`.` and `..` segments, control characters).
//! Follows <https://cloud.google.com/storage/docs/objects#naming> and <https://cloud.google.com/storage/docs/buckets#naming>.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Deserialize;

/// Everything but RFC 3986's unreserved characters, which is what GCS percent-encodes.
pub const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same, with `/` kept.
const PATH: &AsciiSet = &RESERVED.remove(b'/');
/// GCS's limit for object names.
const MAX_OBJECT_NAME: usize = 1024;

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// Over the length that GCS allows.
    #[error("the name is longer than {0} bytes")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("the name is not UTF-8")]
    NotUtf8,
    /// U+0000 to U+001F, U+007F to U+009F.
    #[error("the name has a control character")]
    ControlCharacter,
    /// A `.` or `..` segment.
    #[error("the name has a '.' or '..' segment, which URL parsers rewrite")]
    DotSegment,
    /// Not what GCS allows as a bucket's name.
    #[error(
        "bucket names are 3 to 63 lower-case letters, digits, '-', '_' or '.', with a letter or digit at both ends"
    )]
    Bucket,
    /// Not what Google Cloud allows as a project's id or number.
    #[error("project ids are lower-case letters, digits, '-', ':' and '.', 1 to 100 of them")]
    Project,
    /// Not `gs://bucket/…`.
    #[error("expected gs://bucket/path")]
    Scheme,
}

/// A bucket's name. Clones are the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(Arc<str>);

impl BucketName {
    /// Reads a bucket's name.
    pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
        let name = name.as_ref();
        let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = name.as_bytes();
        let ends = bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
        let inside = bytes.iter().all(|byte| alphanumeric(byte) || b"-_.".contains(byte));
        let labels = name.split('.').all(|label| (1..=63).contains(&label.len()));
        if ends && inside && labels && (3..=222).contains(&name.len()) {
            Ok(Self(name.into()))
        } else {
            Err(NameError::Bucket)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object's full name, safe to put into any URL. Clones are the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(Arc<str>);

impl ObjectName {
    /// Reads an object's name: 1 to 1024 bytes, no control character, no `.` or `..` segment.
    pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
        let name = name.as_ref();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        acceptable(name)?;
        Ok(Self(name.into()))
    }

    /// Reads an object's name from bytes.
    pub fn from_bytes(name: impl AsRef<[u8]>) -> Result<Self, NameError> {
        std::str::from_utf8(name.as_ref()).map_err(|_| NameError::NotUtf8).and_then(Self::new)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, for those who know no names of objects; nothing is copied.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The name as one path segment, as the JSON API takes it: `/` becomes `%2F`.
    pub fn as_segment(&self) -> PercentEncode<'_> {
        utf8_percent_encode(&self.0, RESERVED)
    }

    /// The name as path segments, as the XML API and signed URLs take it: `/` stays.
    pub fn as_path(&self) -> PercentEncode<'_> {
        utf8_percent_encode(&self.0, PATH)
    }

    /// The part after the last `.` of the last segment, if any.
    pub fn extension(&self) -> Option<&str> {
        let file = self.0.rsplit('/').next()?;
        file.rsplit_once('.').map(|(_, extension)| extension)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a connection's object names begin with; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectPrefix(String);

impl ObjectPrefix {
    /// Reads a prefix: the same rules as for a name, but it may be empty.
    pub fn new(prefix: impl Into<String>) -> Result<Self, NameError> {
        let prefix = prefix.into();
        acceptable(&prefix)?;
        Ok(Self(prefix))
    }

    /// The prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The object whose name is this prefix followed by `rest`, which is bytes from a URL, already decoded.
    pub fn join(&self, rest: &[u8]) -> Result<ObjectName, NameError> {
        if rest.is_empty() {
            return Err(NameError::Empty);
        }
        let (prefix, mut name) = (self.0.as_bytes(), [0; MAX_OBJECT_NAME]);
        let (start, end) = name.split_at_mut(prefix.len());
        let Some(end) = end.get_mut(..rest.len()) else {
            let too_long = NameError::TooLong(MAX_OBJECT_NAME);
            return Err(std::str::from_utf8(rest).map_or(NameError::NotUtf8, |_| too_long));
        };
        start.copy_from_slice(prefix);
        end.copy_from_slice(rest);
        ObjectName::from_bytes(&name[..prefix.len() + rest.len()])
    }

    /// What follows the prefix in `name`; `None` if the object is not under it.
    pub fn strip<'a>(&self, name: &'a ObjectName) -> Option<&'a str> {
        name.as_str().strip_prefix(self.as_str())
    }
}

impl fmt::Display for ObjectPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `gs://bucket/rest`, where the rest may be empty, a prefix or an object's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct GsUri {
    /// The bucket.
    pub bucket: BucketName,
    /// What follows the slash after the bucket.
    pub path: ObjectPrefix,
}

impl FromStr for GsUri {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let rest = text.strip_prefix("gs://").ok_or(NameError::Scheme)?;
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self { bucket: BucketName::new(bucket)?, path: ObjectPrefix::new(path)? })
    }
}

impl GsUri {
    /// The object that the URI names; an error if it names only a bucket.
    pub fn object(&self) -> Result<ObjectName, NameError> {
        ObjectName::new(self.path.as_str())
    }
}

impl fmt::Display for GsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gs://{}/{}", self.bucket, self.path)
    }
}

/// A Google Cloud project's id or number, as sent in `x-goog-user-project`. Clones are the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ProjectId(Arc<str>);

impl ProjectId {
    /// Reads a project's id.
    pub fn new(id: impl AsRef<str>) -> Result<Self, NameError> {
        let id = id.as_ref();
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-:.".contains(&byte);
        if (1..=100).contains(&id.len()) && id.bytes().all(legal) {
            Ok(Self(id.into()))
        } else {
            Err(NameError::Project)
        }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for GsUri {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl TryFrom<String> for ProjectId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

/// The rules that names and prefixes share.
fn acceptable(name: &str) -> Result<(), NameError> {
    if name.len() > MAX_OBJECT_NAME {
        return Err(NameError::TooLong(MAX_OBJECT_NAME));
    }
    if !is_suspect(name.as_bytes()) {
        return Ok(());
    }
    if name.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter);
    }
    if name.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(NameError::DotSegment);
    }
    Ok(())
}

/// Whether a name may have a control character or a dot segment: it has the first byte of one. Hardly any name does.
#[allow(clippy::needless_bitwise_bool, reason = "branches would keep it from looking at sixteen at once")]
fn is_suspect(name: &[u8]) -> bool {
    let begins_control = |byte: u8| (byte < b' ') | (byte == 0x7f) | (byte == 0xc2);
    let begins_segment = |before: u8, byte: u8| (before == b'/') & (byte == b'.');
    let pairs = name.iter().zip(name.get(1..).unwrap_or_default());
    let inside =
        pairs.fold(false, |any, (before, byte)| any | begins_control(*before) | begins_segment(*before, *byte));
    inside || name.first() == Some(&b'.') || name.last().is_some_and(|last| begins_control(*last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_names_are_taken_as_they_are_or_refused() {
        for good in ["a", "/a", "a//b", "a/", "ü/🦀 #?+%2F", "...", ".a", "a..b", "x/..y"] {
            assert_eq!(ObjectName::new(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("", NameError::Empty),
            (".", NameError::DotSegment),
            ("a/../b", NameError::DotSegment),
            ("a/.", NameError::DotSegment),
            ("../a", NameError::DotSegment),
            ("a\0b", NameError::ControlCharacter),
            ("a\nb", NameError::ControlCharacter),
            ("a\u{85}b", NameError::ControlCharacter),
        ] {
            assert_eq!(ObjectName::new(bad), Err(why), "{bad:?}");
        }
        assert_eq!(ObjectName::new("x".repeat(1025)), Err(NameError::TooLong(1024)));
        assert_eq!(ObjectName::from_bytes(vec![0xC0, 0xAF]), Err(NameError::NotUtf8));
    }

    #[test]
    fn a_prefix_cannot_be_left() {
        let prefix = ObjectPrefix::new("data/").expect("a legal prefix");
        assert_eq!(prefix.join(b"x").map(|name| name.to_string()), Ok("data/x".to_owned()));
        assert_eq!(prefix.join(b"../x"), Err(NameError::DotSegment));
        assert_eq!(prefix.join(b""), Err(NameError::Empty));
        assert_eq!(prefix.join(b"\xc0"), Err(NameError::NotUtf8));
        let longest = [b'x'; MAX_OBJECT_NAME];
        assert!(prefix.join(&longest[5..]).is_ok());
        assert_eq!(prefix.join(&longest[4..]), Err(NameError::TooLong(MAX_OBJECT_NAME)));
        assert_eq!(prefix.join(&[0xc0; MAX_OBJECT_NAME]), Err(NameError::NotUtf8));
        let none = ObjectPrefix::default();
        assert_eq!(none.join(&longest).map(|name| name.as_str().len()), Ok(MAX_OBJECT_NAME));
    }

    #[test]
    fn names_are_encoded_for_both_apis() {
        let name = ObjectName::new("a/b c*ü~").expect("a legal name");
        assert_eq!(name.as_segment().to_string(), "a%2Fb%20c%2A%C3%BC~");
        assert_eq!(name.as_path().to_string(), "a/b%20c%2A%C3%BC~");
    }

    #[test]
    fn bucket_names_follow_gcs() {
        for good in ["abc", "my-bucket", "a.b.c", "my_bucket9", "123"] {
            assert!(BucketName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", "Abc", "-abc", "abc-", "a..b", "a b", "a/b", &"x".repeat(64)] {
            assert_eq!(BucketName::new(bad), Err(NameError::Bucket), "{bad}");
        }
    }

    #[test]
    fn gs_uris_are_split_at_the_first_slash() {
        let uri: GsUri = "gs://my-bucket/a/b//c".parse().expect("a legal URI");
        assert_eq!((uri.bucket.as_str(), uri.path.as_str()), ("my-bucket", "a/b//c"));
        assert_eq!("gs://my-bucket".parse::<GsUri>().map(|uri| uri.to_string()), Ok("gs://my-bucket/".to_owned()));
        for (bad, why) in
            [("s3://x/y", NameError::Scheme), ("my-bucket", NameError::Scheme), ("gs://X/y", NameError::Bucket)]
        {
            assert_eq!(bad.parse::<GsUri>(), Err(why), "{bad}");
        }
    }
}
