//! Objects: what a test puts into a bucket and what the bucket keeps.
//!
//! Decides an object's metadata and its JSON resource; never who may see it.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects#resource>.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use serde_json::{Value, json};

use super::content::Content;
use super::mask::Mask;

/// An object to put into a bucket.
#[derive(Clone, Debug)]
pub struct Object {
    pub(super) content: Content,
    pub(super) fields: Fields,
    pub(super) generation: Option<u64>,
    pub(super) metageneration: u64,
    pub(super) updated: Option<SystemTime>,
    pub(super) crc32c: Option<u32>,
    pub(super) composite: bool,
}

/// The metadata that a user may set.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) storage_class: Option<String>,
    pub(super) custom: BTreeMap<String, String>,
}

impl Object {
    /// An object held in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::new(Content::Memory(bytes.into()))
    }

    /// An object of any size whose bytes are made up and depend on the seed alone.
    pub fn generated(size: u64, seed: u64) -> Self {
        Self::new(Content::generated(size, seed))
    }

    fn new(content: Content) -> Self {
        Self {
            content,
            fields: Fields::default(),
            generation: None,
            metageneration: 1,
            updated: None,
            crc32c: None,
            composite: false,
        }
    }

    /// Sets `Content-Type`.
    pub fn content_type(mut self, value: impl Into<String>) -> Self {
        self.fields.content_type = Some(value.into());
        self
    }

    /// Sets `Content-Encoding`.
    pub fn content_encoding(mut self, value: impl Into<String>) -> Self {
        self.fields.content_encoding = Some(value.into());
        self
    }

    /// Sets `Content-Language`.
    pub fn content_language(mut self, value: impl Into<String>) -> Self {
        self.fields.content_language = Some(value.into());
        self
    }

    /// Sets `Content-Disposition`.
    pub fn content_disposition(mut self, value: impl Into<String>) -> Self {
        self.fields.content_disposition = Some(value.into());
        self
    }

    /// Sets `Cache-Control`.
    pub fn cache_control(mut self, value: impl Into<String>) -> Self {
        self.fields.cache_control = Some(value.into());
        self
    }

    /// Sets the storage class.
    pub fn storage_class(mut self, value: impl Into<String>) -> Self {
        self.fields.storage_class = Some(value.into());
        self
    }

    /// Adds custom metadata (`x-goog-meta-…`).
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.custom.insert(name.into(), value.into());
        self
    }

    /// Fixes the generation.
    pub fn generation(mut self, generation: u64) -> Self {
        self.generation = Some(generation);
        self
    }

    /// Fixes the metageneration.
    pub fn metageneration(mut self, metageneration: u64) -> Self {
        self.metageneration = metageneration;
        self
    }

    /// Fixes the time of the last change.
    pub fn updated(mut self, time: SystemTime) -> Self {
        self.updated = Some(time);
        self
    }

    /// Announces this checksum, right or wrong.
    pub fn crc32c(mut self, sum: u32) -> Self {
        self.crc32c = Some(sum);
        self
    }

    /// Makes it a composite object: it has no MD5.
    pub fn composite(mut self) -> Self {
        self.composite = true;
        self
    }
}

/// One generation of an object in a bucket.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) content: Content,
    pub(super) fields: Fields,
    pub(super) generation: u64,
    pub(super) metageneration: u64,
    pub(super) updated: SystemTime,
    pub(super) composite: bool,
    crc32c: OnceLock<u32>,
    md5: OnceLock<Option<[u8; 16]>>,
}

impl Stored {
    /// Keeps an object under a name and a generation.
    pub(super) fn new(name: String, object: Object, generation: u64, now: SystemTime) -> Self {
        Self {
            name,
            content: object.content,
            fields: object.fields,
            generation,
            metageneration: object.metageneration,
            updated: object.updated.unwrap_or(now),
            composite: object.composite,
            crc32c: object.crc32c.map(OnceLock::from).unwrap_or_default(),
            md5: OnceLock::new(),
        }
    }

    /// A file seen in a folder.
    pub(super) fn file(name: String, path: std::path::PathBuf, size: u64, updated: SystemTime) -> Self {
        let generation = updated.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let mut object = Object::new(Content::File { path, size });
        object.fields.content_type = mime_guess::from_path(&name).first_raw().map(str::to_owned);
        object.composite = true;
        Self::new(name, object, u64::try_from(generation).unwrap_or(1).max(1), updated)
    }

    /// Stored size.
    pub(super) fn size(&self) -> u64 {
        self.content.size()
    }

    /// The checksum; for a file only once [`Self::summed`] has read it.
    pub(super) fn known_crc32c(&self) -> Option<u32> {
        if matches!(self.content, Content::File { .. }) {
            return self.crc32c.get().copied();
        }
        Some(*self.crc32c.get_or_init(|| self.content.crc32c().unwrap_or_default()))
    }

    /// Reads a file's checksum, if that was not done before.
    pub(super) fn summed(&self) -> std::io::Result<u32> {
        match self.crc32c.get() {
            Some(sum) => Ok(*sum),
            None => self.content.crc32c().map(|sum| *self.crc32c.get_or_init(|| sum)),
        }
    }

    /// The MD5, unless the object is composite, generated or a file.
    pub(super) fn md5(&self) -> Option<[u8; 16]> {
        if self.composite { None } else { *self.md5.get_or_init(|| self.content.md5()) }
    }

    /// The JSON API's entity tag: opaque, changes with the metadata.
    pub(super) fn etag(&self) -> String {
        BASE64_STANDARD.encode(format!("{}/{}", self.generation, self.metageneration))
    }

    /// The XML API's entity tag: the MD5 where there is one.
    pub(super) fn xml_etag(&self) -> String {
        match self.md5() {
            Some(sum) => format!("\"{}\"", super::key::hex(&sum)),
            None => format!("\"-{}\"", self.etag()),
        }
    }

    /// Whether the stored bytes are gzip and say so.
    pub(super) fn is_gzip(&self) -> bool {
        let says = self.fields.content_encoding.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("gzip"));
        says && self.content.slice(0, 2).as_ref() == [0x1f, 0x8b]
    }

    /// The object's JSON resource.
    pub(super) fn resource(&self, bucket: &str) -> Value {
        let mut value = json!({});
        self.fields(bucket, &|_| true, &mut |name, text| value[name] = text.into());
        if self.composite && !matches!(self.content, Content::File { .. }) {
            value["componentCount"] = 2.into();
        }
        if !self.fields.custom.is_empty() {
            value["metadata"] = json!(self.fields.custom);
        }
        value
    }

    /// Appends the resource, as far as the mask keeps it.
    pub(super) fn write(&self, bucket: &str, mask: &Mask, out: &mut String) {
        if self.composite || !self.fields.custom.is_empty() {
            let mut value = self.resource(bucket);
            mask.apply(&mut value);
            out.push_str(&value.to_string());
            return;
        }
        let start = out.len();
        self.fields(bucket, &|name| mask.below(name).is_some(), &mut |name, text| {
            out.push_str(if out.len() == start { "{\"" } else { ",\"" });
            out.push_str(name);
            out.push_str("\":");
            push_text(out, text);
        });
        out.push_str(if out.len() == start { "{}" } else { "}" });
    }

    /// The resource's texts that are wanted, by name.
    fn fields(&self, bucket: &str, wanted: &dyn Fn(&str) -> bool, field: &mut dyn FnMut(&str, &str)) {
        let mut give = |name: &str, text: &dyn Fn() -> Option<String>| {
            if wanted(name)
                && let Some(text) = text()
            {
                field(name, &text);
            }
        };
        let stored = &self.fields;
        let time = || Some(humantime::format_rfc3339_millis(self.updated).to_string());
        give("kind", &|| Some("storage#object".to_owned()));
        give("id", &|| Some(format!("{bucket}/{}/{}", self.name, self.generation)));
        give("name", &|| Some(self.name.clone()));
        give("bucket", &|| Some(bucket.to_owned()));
        give("generation", &|| Some(self.generation.to_string()));
        give("metageneration", &|| Some(self.metageneration.to_string()));
        give("storageClass", &|| Some(stored.storage_class.as_deref().unwrap_or("STANDARD").to_owned()));
        give("size", &|| Some(self.size().to_string()));
        give("timeCreated", &time);
        give("updated", &time);
        give("timeStorageClassUpdated", &time);
        give("etag", &|| Some(self.etag()));
        give("contentType", &|| stored.content_type.clone());
        give("contentEncoding", &|| stored.content_encoding.clone());
        give("contentLanguage", &|| stored.content_language.clone());
        give("contentDisposition", &|| stored.content_disposition.clone());
        give("cacheControl", &|| stored.cache_control.clone());
        give("crc32c", &|| self.known_crc32c().map(|sum| BASE64_STANDARD.encode(sum.to_be_bytes())));
        give("md5Hash", &|| self.md5().map(|sum| BASE64_STANDARD.encode(sum)));
    }
}

/// Appends a JSON string.
fn push_text(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}
