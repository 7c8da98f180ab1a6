//! The head of a proxied answer, made from metadata.
//!
//! Only what is written here leaves: nothing is copied from GCS's answer, and a stored value that is no legal field value is left out.
//! An uploaded object must not script the gateway's origin, so active types are sandboxed.
//! Follows RFC 9110 section 8, <https://mimesniff.spec.whatwg.org/> and <https://www.w3.org/TR/CSP3/#directive-sandbox>.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED, VARY,
};
use http::{HeaderMap, HeaderValue};

use super::connection::Connection;
use super::decide::Delivery;
use super::fetch::{Encoding, Validator};
use crate::object::{ContentRange, MediaType, Metadata, ObjectName, Text};

/// More fields than an answer has, so that its head never grows.
const MOST_FIELDS: usize = 24;

/// With both sums.
const LONGEST_HASH: usize = "crc32c=,md5=".len() + 8 + 24;

const X_GOOG_GENERATION: HeaderName = HeaderName::from_static("x-goog-generation");
const X_GOOG_HASH: HeaderName = HeaderName::from_static("x-goog-hash");

/// One representation of an object, about to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Representation<'a> {
    /// The object.
    pub object: &'a ObjectName,
    /// What GCS says about it.
    pub metadata: &'a Metadata,
    /// Gzip as stored, or identity.
    pub encoding: Encoding,
}

impl Representation<'_> {
    /// Whether the gateway decompresses on the way, so that neither length nor ranges are known.
    pub fn is_decompressed(&self) -> bool {
        self.encoding == Encoding::Identity && self.metadata.is_gzip_stored()
    }

    /// What it is told apart by.
    pub fn validator(&self) -> Validator {
        Validator::new(self.metadata, self.encoding)
    }

    /// The head that 200, 206 and HEAD have in common with 304.
    pub fn cache_headers(&self, connection: &Connection) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(MOST_FIELDS);
        headers.insert(ETAG, self.validator().into_header());
        headers.insert(CACHE_CONTROL, cache_control(self.metadata, connection));
        if let Some(date) = self.metadata.last_modified.and_then(|moment| HeaderValue::try_from(moment.to_http()).ok())
        {
            headers.insert(LAST_MODIFIED, date);
        }
        if self.metadata.is_gzip_stored() {
            headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        vary_by_mode(&mut headers, connection);
        headers
    }

    /// The whole head; `part` if only a range is sent.
    pub fn headers(&self, part: Option<ContentRange>, connection: &Connection) -> HeaderMap {
        let mut headers = self.cache_headers(connection);
        let metadata = self.metadata;
        self.describe_content(&mut headers);
        insert(&mut headers, X_GOOG_GENERATION, itoa::Buffer::new().format(metadata.generation.0));
        if self.is_decompressed() {
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
            return headers;
        }
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let length = part.map_or(metadata.size, |part| part.span.len());
        insert(&mut headers, CONTENT_LENGTH, itoa::Buffer::new().format(length));
        if let Some(part) = part {
            insert(&mut headers, CONTENT_RANGE, part.to_string());
        }
        if let Some(hash) = hash(metadata) {
            headers.insert(X_GOOG_HASH, hash);
        }
        headers
    }

    fn describe_content(&self, headers: &mut HeaderMap) {
        let metadata = self.metadata;
        let content_type = content_type(self.object, metadata);
        if content_type.is_active() {
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
        }
        headers.insert(CONTENT_TYPE, content_type.value());
        if !self.is_decompressed() {
            insert_stored(headers, CONTENT_ENCODING, metadata.texts.content_encoding.as_ref());
        }
        insert_stored(headers, CONTENT_LANGUAGE, metadata.texts.content_language.as_ref());
        insert_stored(headers, CONTENT_DISPOSITION, metadata.texts.content_disposition.as_ref());
    }
}

/// In `auto` the request's mode decides: a kept redirect must not answer a script, nor the other way round.
pub(super) fn vary_by_mode(headers: &mut HeaderMap, connection: &Connection) {
    if connection.config.delivery == Delivery::Auto {
        headers.append(VARY, const { HeaderValue::from_static("Sec-Fetch-Mode") });
    }
}

/// Inserts a value unless it is no legal field value, or empty.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: impl AsRef<[u8]>) {
    // `from_bytes`, since stored values may be UTF-8; control characters are refused by it.
    let value = value.as_ref();
    if !value.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(value)
    {
        headers.insert(name, value);
    }
}

fn insert_stored(headers: &mut HeaderMap, name: HeaderName, text: Option<&Text>) {
    if let Some(value) = text.and_then(Text::as_value) {
        headers.insert(name, value.clone());
    }
}

/// The stored type, or one guessed from the name's extension where the stored one says nothing.
pub fn content_type<'a>(object: &ObjectName, metadata: &'a Metadata) -> Cow<'a, MediaType> {
    metadata.texts.media_type().map_or_else(|| Cow::Owned(guess(object)), Cow::Borrowed)
}

fn guess(object: &ObjectName) -> MediaType {
    let guess = object.extension().and_then(|extension| mime_guess::from_ext(extension).first_raw());
    MediaType::known(guess.unwrap_or("application/octet-stream"))
}

/// The connection's policy; what is stored with the object can only make it stricter.
fn cache_control(metadata: &Metadata, connection: &Connection) -> HeaderValue {
    if metadata.forbids_storing() {
        HeaderValue::from_static("private, no-store")
    } else {
        connection.cache_control.clone()
    }
}

/// `x-goog-hash` as GCS writes it: CRC32C big-endian, then MD5.
fn hash(metadata: &Metadata) -> Option<HeaderValue> {
    let (mut text, mut length) = ([0; LONGEST_HASH], 0);
    let mut add = |part: &[u8]| {
        text[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    };
    if let Some(sum) = metadata.crc32c {
        add(b"crc32c=");
        add(&base64::<8>(&sum.0)?);
    }
    if let Some(sum) = metadata.md5 {
        add(if metadata.crc32c.is_some() { b",md5=" } else { b"md5=" });
        add(&base64::<24>(&sum)?);
    }
    text.get(..length).filter(|text| !text.is_empty()).and_then(|text| HeaderValue::from_bytes(text).ok())
}

/// Base64 of a sum that takes so many characters.
fn base64<const LENGTH: usize>(sum: &[u8]) -> Option<[u8; LENGTH]> {
    let mut text = [0; LENGTH];
    BASE64.encode_slice(sum, &mut text).is_ok_and(|length| length == LENGTH).then_some(text)
}
