//! What GCS says about one stored object.
//!
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects#resource>.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::SystemTime;

/// The version of an object's content; changes with each overwrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// The version of an object's metadata within a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Metageneration(pub u64);

impl FromStr for Generation {
    type Err = ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl FromStr for Metageneration {
    type Err = ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Metageneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One object's metadata, as far as the gateway needs it. Text is as GCS sent it and may not be a valid header value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Version of the content.
    pub generation: Generation,
    /// Version of the metadata.
    pub metageneration: Metageneration,
    /// Stored size in bytes (for a gzip-stored object: the compressed size).
    pub size: u64,
    /// `Content-Type`, if one is stored.
    pub content_type: Option<String>,
    /// `Content-Encoding`, if one is stored.
    pub content_encoding: Option<String>,
    /// `Content-Language`, if one is stored.
    pub content_language: Option<String>,
    /// `Content-Disposition`, if one is stored.
    pub content_disposition: Option<String>,
    /// `Cache-Control` as stored with the object or as GCS answers.
    pub cache_control: Option<String>,
    /// When this version of the metadata was written, to the second.
    pub last_modified: Option<SystemTime>,
    /// CRC32C of the stored bytes.
    pub crc32c: Option<u32>,
    /// MD5 of the stored bytes; composite objects have none.
    pub md5: Option<[u8; 16]>,
}

impl Metadata {
    /// Whether the stored bytes are gzip that GCS or the gateway may decompress on the way out.
    pub fn is_gzip_stored(&self) -> bool {
        self.content_encoding.as_deref().is_some_and(|encoding| encoding.trim().eq_ignore_ascii_case("gzip"))
    }

    /// Whether `Cache-Control: no-store` is stored with the object, or GCS answers with it.
    pub fn forbids_storing(&self) -> bool {
        let directives = self.cache_control.as_deref().unwrap_or_default().split(',');
        directives.into_iter().any(|directive| directive.trim().eq_ignore_ascii_case("no-store"))
    }
}
