//! Reading the head of a media answer, strictly.
//!
//! Decides what object version and which of its bytes an answer carries. Never guesses: a number that is missing or
//! malformed, or a part that was not asked for, is an error.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/get> and <https://cloud.google.com/storage/docs/transcoding>.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;

use crate::gcs::Error;
use crate::gcs::wire::{Answer, Field, Fields};
use crate::object::{
    ByteRange, CommonTexts, ContentRange, Crc32c, Generation, Metadata, Metageneration, Moment, Told, decimal,
};

/// How the bytes of a body relate to the stored ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The stored bytes, compressed or not.
    Stored,
    /// GCS decompressed a gzip-stored object, although we accept gzip: the length is unknown, and the body can be
    /// neither resumed nor checked. `Content-Encoding` does not apply to it.
    Decompressed,
}

/// What the head of a good answer says.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) metadata: Arc<Metadata>,
    pub(super) part: Option<ContentRange>,
    pub(super) form: Form,
}

impl Head {
    /// Reads the head of a 200 or 206 to a request for `asked`.
    pub(super) fn read<B>(answer: &Answer<B>, asked: Option<ByteRange>, texts: &CommonTexts) -> Result<Self, Error> {
        let headers = &answer.fields;
        let part = match (answer.status, asked) {
            (StatusCode::OK, _) => None,
            (StatusCode::PARTIAL_CONTENT, Some(asked)) => Some(part(headers, asked)?),
            (StatusCode::PARTIAL_CONTENT, None) => return Err(nonsense("206 to a request without a range")),
            (status, _) => return Err(nonsense(format!("unexpected status {}", status.as_u16()))),
        };
        let form = form(headers);
        let size = match (part, form) {
            (Some(part), Form::Stored) => part.total,
            (None, Form::Stored) => whole_size(headers)?,
            (None, Form::Decompressed) => decompressed_size(headers)?,
            (Some(_), Form::Decompressed) => return Err(nonsense("a part of a decompressed object")),
        };
        Ok(Self { metadata: Arc::new(metadata(headers, (size, form), texts)?), part, form })
    }

    /// How many bytes the body has, if that can be known.
    pub(super) fn length(&self) -> Option<u64> {
        match (self.form, self.part) {
            (Form::Decompressed, _) => None,
            (Form::Stored, Some(part)) => Some(part.span.len()),
            (Form::Stored, None) => Some(self.metadata.size),
        }
    }
}

/// The `Content-Range` of a 206, if it is what `asked` selects. A body that is announced shorter will be found to end
/// early, as any other.
fn part(headers: &Fields, asked: ByteRange) -> Result<ContentRange, Error> {
    let value = present(headers, Field::ContentRange).ok_or_else(|| nonsense("206 without Content-Range"))?;
    let part = std::str::from_utf8(value).ok().and_then(ContentRange::parse);
    let part = part.ok_or_else(|| nonsense("unreadable Content-Range"))?;
    if asked.resolve(part.total) != Some(part.span) {
        return Err(nonsense(format!("asked for {asked}, got {part}")));
    }
    match number(headers, Field::ContentLength)? {
        Some(length) if length > part.span.len() => Err(nonsense(format!("{part} with {length} bytes"))),
        _ => Ok(part),
    }
}

fn form(headers: &Fields) -> Form {
    let marked =
        |field, is: fn(&str) -> bool| headers.all(field).filter_map(|value| std::str::from_utf8(value).ok()).any(is);
    let gunzipped = marked(Field::Transformations, |value| value.contains("gunzipped"))
        || marked(Field::Warning, |value| value.trim_start().starts_with("214"));
    let gzip = |field| headers.get(field).is_some_and(|encoding| encoding.eq_ignore_ascii_case(b"gzip"));
    let unmarked = gzip(Field::StoredContentEncoding) && !headers.has(Field::ContentEncoding);
    if gunzipped || unmarked { Form::Decompressed } else { Form::Stored }
}

/// The size of an object that is sent whole as stored. A body that is announced shorter will be found to end early, as
/// any other.
fn whole_size(headers: &Fields) -> Result<u64, Error> {
    match (number(headers, Field::ContentLength)?, number(headers, Field::StoredContentLength)?) {
        (Some(sent), Some(stored)) if sent > stored => Err(nonsense(format!("{sent} bytes of an object of {stored}"))),
        (_, Some(size)) | (Some(size), None) => Ok(size),
        (None, None) => Err(nonsense("no length")),
    }
}

/// The stored size of an object that is sent decompressed. Its body must end with a mark: without a length or chunks, a
/// broken connection would look like the end.
fn decompressed_size(headers: &Fields) -> Result<u64, Error> {
    let chunked = headers.get(Field::TransferEncoding).is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
    if !chunked && !headers.has(Field::ContentLength) {
        return Err(nonsense("a decompressed body that only the connection's end would end"));
    }
    number(headers, Field::StoredContentLength)?.ok_or_else(|| nonsense("no stored length"))
}

fn metadata(headers: &Fields, (size, form): (u64, Form), texts: &CommonTexts) -> Result<Metadata, Error> {
    let version = |field: Field| number(headers, field)?.ok_or_else(|| nonsense(format!("no {}", field.name())));
    let text = |field| headers.get(field).unwrap_or_default();
    let content_encoding = match (form, text(Field::StoredContentEncoding)) {
        (Form::Stored, _) => text(Field::ContentEncoding),
        (Form::Decompressed, b"" | b"identity") => b"gzip",
        (Form::Decompressed, stored) => stored,
    };
    let texts = texts.share(Told {
        content_type: text(Field::ContentType),
        content_encoding,
        content_language: text(Field::ContentLanguage),
        content_disposition: text(Field::ContentDisposition),
        cache_control: text(Field::CacheControl),
    });
    let hashes = Hashes::read(headers)?;
    Ok(Metadata {
        generation: Generation(version(Field::Generation)?),
        metageneration: Metageneration(version(Field::Metageneration)?),
        size,
        texts,
        last_modified: headers.get(Field::LastModified).and_then(Moment::parse),
        crc32c: hashes.crc32c,
        md5: hashes.md5,
    })
}

/// What `x-goog-hash` says of the whole stored object.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hashes {
    crc32c: Option<Crc32c>,
    md5: Option<[u8; 16]>,
}

impl Hashes {
    /// Reads one header or several; unknown algorithms are passed over, malformed sums are not.
    fn read(headers: &Fields) -> Result<Self, Error> {
        let mut hashes = Self::default();
        for hash in headers.all(Field::Hash).flat_map(|value| value.split(|byte| *byte == b',')) {
            let hash = Some(hash.trim_ascii()).filter(|hash| hash.is_ascii());
            let hash = hash.ok_or_else(|| nonsense("unreadable x-goog-hash"))?;
            if let Some(sum) = hash.strip_prefix(b"crc32c=") {
                hashes.crc32c = Some(crc32c(sum)?);
            } else if let Some(sum) = hash.strip_prefix(b"md5=") {
                hashes.md5 = Some(md5(sum)?);
            }
        }
        Ok(hashes)
    }
}

/// A CRC32C as GCS writes it: base64 of four bytes, big-endian.
pub(super) fn crc32c(base64: impl AsRef<[u8]>) -> Result<Crc32c, Error> {
    sum(base64).map(Crc32c).ok_or_else(|| nonsense("unreadable crc32c"))
}

/// An MD5 as GCS writes it: base64 of 16 bytes.
pub(super) fn md5(base64: impl AsRef<[u8]>) -> Result<[u8; 16], Error> {
    sum(base64).ok_or_else(|| nonsense("unreadable md5"))
}

fn sum<const LENGTH: usize>(base64: impl AsRef<[u8]>) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; 16];
    let length = BASE64_STANDARD.decode_slice(base64, &mut bytes).ok()?;
    bytes.get(..length)?.try_into().ok()
}

/// The number that `text` must be, called `name`.
pub(super) fn numeral(text: impl AsRef<[u8]>, name: &str) -> Result<u64, Error> {
    decimal(text).ok_or_else(|| nonsense(format!("{name} is not a number")))
}

/// A header that is a number, or absent; anything else is an error.
fn number(headers: &Fields, field: Field) -> Result<Option<u64>, Error> {
    let mut values = headers.all(field);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => numeral(value, field.name()).map(Some),
        (Some(_), Some(_)) => Err(nonsense(format!("{} occurs twice", field.name()))),
    }
}

/// A header that is not empty.
fn present(headers: &Fields, field: Field) -> Option<&[u8]> {
    headers.get(field).filter(|value| !value.is_empty())
}

fn nonsense(what: impl Into<String>) -> Error {
    Error::Protocol(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Text;

    const WHOLE: &[(&str, &str)] = &[
        ("x-goog-generation", "7"),
        ("x-goog-metageneration", "2"),
        ("content-length", "10"),
        ("x-goog-stored-content-length", "10"),
        ("x-goog-hash", "crc32c=AAAAAQ=="),
        ("x-goog-hash", "md5=AAAAAAAAAAAAAAAAAAAAAA==,sha0=x"),
        ("content-type", "image/png"),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];

    /// `WHOLE` with some headers put in place of those of the same name; an empty value takes one away.
    fn head(status: u16, changes: &[(&str, &str)], asked: Option<ByteRange>) -> Result<Head, Error> {
        let status = StatusCode::from_u16(status).expect("a legal status");
        let kept = WHOLE.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let fields = kept.chain(changes.iter().filter(|(_, value)| !value.is_empty())).copied().collect();
        Head::read(&Answer { status, fields, body: () }, asked, &CommonTexts::default())
    }

    #[test]
    fn a_whole_answer_gives_all_metadata() {
        let head = head(200, &[], None).expect("a good head");
        assert_eq!((head.part, head.form, head.length()), (None, Form::Stored, Some(10)));
        let metadata = head.metadata;
        assert_eq!((metadata.generation, metadata.metageneration), (Generation(7), Metageneration(2)));
        assert_eq!((metadata.size, metadata.crc32c, metadata.md5), (10, Some(1.into()), Some([0; 16])));
        assert_eq!(metadata.texts.content_type.as_ref().map(Text::as_str), Some("image/png"));
        assert!(metadata.last_modified.is_some());
    }

    #[test]
    fn a_part_is_exactly_what_was_asked_for() {
        let asked = Some(ByteRange::FromTo { first: 2, last: 99 });
        let part = [("content-range", "bytes 2-9/10"), ("content-length", "8")];
        let good = head(206, &part, asked).expect("a good part");
        assert_eq!((good.metadata.size, good.length()), (10, Some(8)));
        for (status, changes, asked, why) in [
            (206, &part[..], None, "not asked for"),
            (206, &[("content-range", "bytes 1-9/10"), ("content-length", "9")], asked, "earlier"),
            (206, &[("content-range", "bytes 2-8/10"), ("content-length", "7")], asked, "shorter"),
            (206, &[("content-range", "bytes 2-9/10"), ("content-length", "9")], asked, "too long"),
            (206, &[("content-range", "bytes 2-9/*"), ("content-length", "8")], asked, "no total"),
            (206, &[("content-length", "8")], asked, "no Content-Range"),
            (204, &[], asked, "another status"),
        ] {
            assert!(matches!(head(status, changes, asked), Err(Error::Protocol(_))), "{why}");
        }
        assert!(head(200, &[], asked).is_ok_and(|head| head.part.is_none()), "the whole may come instead");
    }

    #[test]
    fn numbers_are_strict() {
        for (name, value) in [
            ("x-goog-generation", ""),
            ("x-goog-generation", "+7"),
            ("x-goog-generation", "7 8"),
            ("x-goog-generation", "99999999999999999999"),
            ("x-goog-metageneration", ""),
            ("x-goog-metageneration", "-1"),
            ("x-goog-stored-content-length", "9"),
            ("x-goog-hash", "crc32c=AAAA"),
            ("x-goog-hash", "crc32c=!"),
            ("x-goog-hash", "md5=AAAAAQ=="),
        ] {
            assert!(matches!(head(200, &[(name, value)], None), Err(Error::Protocol(_))), "{name}: {value}");
        }
        let lengths = [("content-length", ""), ("x-goog-stored-content-length", "")];
        assert!(head(200, &lengths, None).is_err(), "no length at all");
        assert!(head(200, &lengths[..1], None).is_ok_and(|head| head.length() == Some(10)));
        assert!(head(200, &lengths[1..], None).is_ok_and(|head| head.length() == Some(10)));
        let short = [("content-length", "9")];
        assert!(head(200, &short, None).is_ok_and(|head| head.length() == Some(10)), "it will end early");
    }

    #[test]
    fn a_decompressed_answer_is_known_as_such() {
        for mark in
            [("x-guploader-response-body-transformations", "gunzipped"), ("warning", "214 UploadServer gunzipped")]
        {
            let stored = [mark, ("content-length", ""), ("transfer-encoding", "chunked")];
            let head = head(200, &stored, None).expect("a good head");
            assert_eq!((head.form, head.length(), head.metadata.size), (Form::Decompressed, None, 10));
            assert!(head.metadata.is_gzip_stored());
        }
        let unmarked = [("x-goog-stored-content-encoding", "gzip"), ("content-length", "20")];
        assert!(head(200, &unmarked, None).is_ok_and(|head| head.form == Form::Decompressed));
        let endless = [("warning", "214 x"), ("content-length", "")];
        assert!(head(200, &endless, None).is_err(), "only the connection's end would end it");
    }
}
