//! What GCS says about one stored object.
//!
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects#resource>.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use super::moment::Moment;
use super::texts::Texts;

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

/// A CRC32C, big-endian as GCS writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32c(pub [u8; 4]);

impl Crc32c {
    /// The sum as a number.
    pub fn value(self) -> u32 {
        u32::from_be_bytes(self.0)
    }
}

impl From<u32> for Crc32c {
    fn from(sum: u32) -> Self {
        Self(sum.to_be_bytes())
    }
}

/// One object's metadata, as far as the gateway needs it. Many are kept, so that each takes little room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Version of the content.
    pub generation: Generation,
    /// Version of the metadata.
    pub metageneration: Metageneration,
    /// Stored size in bytes (for a gzip-stored object: the compressed size).
    pub size: u64,
    /// What is stored in words, such as the type.
    pub texts: Texts,
    /// When this version of the metadata was written.
    pub last_modified: Option<Moment>,
    /// CRC32C of the stored bytes.
    pub crc32c: Option<Crc32c>,
    /// MD5 of the stored bytes; composite objects have none.
    pub md5: Option<[u8; 16]>,
}

impl Metadata {
    /// Whether the stored bytes are gzip that GCS or the gateway may decompress on the way out.
    pub fn is_gzip_stored(&self) -> bool {
        self.texts.is_gzip()
    }

    /// Whether `Cache-Control: no-store` is stored with the object, or GCS answers with it.
    pub fn forbids_storing(&self) -> bool {
        self.texts.forbids_storing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_takes_little_room() {
        assert_eq!(size_of::<Metadata>(), 64);
    }
}
