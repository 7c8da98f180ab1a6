//! Reading an object's metadata resource.
//!
//! Decides what of GCS's JSON is believed: 64-bit numbers are decimal strings, sums are base64. Never keeps unknown keys.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects#resource>.

use serde::Deserialize;

use super::answer::{crc32c, md5, numeral};
use crate::gcs::Error;
use crate::object::{CommonTexts, Generation, Metadata, Metageneration, Moment, Told};

/// The keys asked for: custom metadata and access lists would only cost time.
pub(super) const FIELDS: &str = "generation,metageneration,size,contentType,contentEncoding,contentLanguage,\
                                 contentDisposition,cacheControl,updated,crc32c,md5Hash";
/// No legal answer is longer.
pub(super) const LONGEST: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    generation: String,
    metageneration: String,
    size: String,
    content_type: Option<String>,
    content_encoding: Option<String>,
    content_language: Option<String>,
    content_disposition: Option<String>,
    cache_control: Option<String>,
    updated: Option<String>,
    crc32c: Option<String>,
    md5_hash: Option<String>,
}

/// Reads the answer to a metadata request. One that ends too early is a broken one, which another attempt may cure.
pub(super) fn read(json: &[u8], texts: &CommonTexts) -> Result<Metadata, Error> {
    let unreadable = |error: serde_json::Error| {
        if error.is_eof() {
            Error::Broken(error.into())
        } else {
            Error::Protocol(format!("unreadable metadata: {error}"))
        }
    };
    let resource: Resource = serde_json::from_slice(json).map_err(unreadable)?;
    let texts = texts.share(Told {
        content_type: resource.content_type.as_ref().map_or(&[][..], String::as_bytes),
        content_encoding: resource.content_encoding.as_ref().map_or(&[][..], String::as_bytes),
        content_language: resource.content_language.as_ref().map_or(&[][..], String::as_bytes),
        content_disposition: resource.content_disposition.as_ref().map_or(&[][..], String::as_bytes),
        cache_control: resource.cache_control.as_ref().map_or(&[][..], String::as_bytes),
    });
    Ok(Metadata {
        generation: Generation(numeral(&resource.generation, "generation")?),
        metageneration: Metageneration(numeral(&resource.metageneration, "metageneration")?),
        size: numeral(&resource.size, "size")?,
        texts,
        last_modified: resource.updated.as_deref().and_then(whole_second),
        crc32c: resource.crc32c.as_deref().map(crc32c).transpose()?,
        md5: resource.md5_hash.as_deref().map(md5).transpose()?,
    })
}

/// An RFC 3339 time without its fraction, as `Last-Modified` of the same object has it.
fn whole_second(text: &str) -> Option<Moment> {
    text.is_ascii().then(|| humantime::parse_rfc3339(text).ok())?.and_then(Moment::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &[u8]) -> Result<Metadata, Error> {
        super::read(json, &CommonTexts::default())
    }

    #[test]
    fn a_resource_becomes_metadata() {
        let metadata = read(
            br#"{"generation":"1700000000000001","metageneration":"3","size":"5","contentType":"text/plain",
                "contentEncoding":"","updated":"2026-01-02T03:04:05.678Z","crc32c":"AAAAAQ==","surprise":[1]}"#,
        )
        .expect("a good resource");
        assert_eq!(metadata.generation, Generation(1_700_000_000_000_001));
        assert_eq!((metadata.size, metadata.crc32c, metadata.md5), (5, Some(1.into()), None));
        assert_eq!(metadata.texts.content_encoding, None);
        assert_eq!(metadata.last_modified, Moment::parse(b"Fri, 02 Jan 2026 03:04:05 GMT"));
    }

    #[test]
    fn a_resource_without_its_numbers_is_nonsense() {
        for bad in [
            &b"[]"[..],
            br#"{"metageneration":"3","size":"5"}"#,
            br#"{"generation":1,"metageneration":"3","size":"5"}"#,
            br#"{"generation":"+1","metageneration":"3","size":"5"}"#,
            br#"{"generation":"1","metageneration":"3","size":"-5"}"#,
            br#"{"generation":"1","metageneration":"3","size":"5","crc32c":"x"}"#,
        ] {
            assert!(matches!(read(bad), Err(Error::Protocol(_))), "{}", String::from_utf8_lossy(bad));
        }
        for short in [&b""[..], b"{", br#"{"generation":"1","#] {
            assert!(matches!(read(short), Err(Error::Broken(_))), "{}", String::from_utf8_lossy(short));
        }
    }
}
