//! The gateway's own entity tags: strong, made of generation and metageneration.
//!
//! GCS's own `ETag` says nothing about the representation that is sent, so it is never passed on.
//! Follows RFC 9110 section 8.8.3 (<https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3>).

use std::time::SystemTime;

use http::HeaderValue;

use crate::object::Metadata;

/// Which representation of a gzip-stored object is meant; they are different bytes and so have different tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is, or decompressed.
    Identity,
    /// The stored gzip bytes, marked as such.
    Gzip,
}

/// What a representation is told apart by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    tag: String,
    last_modified: Option<SystemTime>,
}

impl Validator {
    /// The validator of an object's representation.
    pub fn new(metadata: &Metadata, encoding: Encoding) -> Self {
        let end = if encoding == Encoding::Gzip { "-gz\"" } else { "\"" };
        let (mut generation, mut metageneration) = (itoa::Buffer::new(), itoa::Buffer::new());
        let generation = generation.format(metadata.generation.0);
        let metageneration = metageneration.format(metadata.metageneration.0);
        // Neither more room than it takes, so that it becomes a header's value as it is.
        let mut tag = String::with_capacity(generation.len() + metageneration.len() + end.len() + 2);
        tag.push('"');
        tag.push_str(generation);
        tag.push('-');
        tag.push_str(metageneration);
        tag.push_str(end);
        Self { tag, last_modified: metadata.last_modified.map(SystemTime::from) }
    }

    /// The `ETag`, quotes included.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The `ETag` header.
    pub fn into_header(self) -> HeaderValue {
        HeaderValue::try_from(self.tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
    }

    /// The `Last-Modified` date, to the second.
    pub fn last_modified(&self) -> Option<SystemTime> {
        self.last_modified
    }
}
