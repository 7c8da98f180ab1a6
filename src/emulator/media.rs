//! An object's bytes as GCS serves them: headers, ranges, and gzip undone for those who do not take it.
//!
//! Decides the answer to a read that is allowed; both APIs use it.
//! Follows <https://cloud.google.com/storage/docs/transcoding> and
//! <https://cloud.google.com/storage/docs/xml-api/reference-headers>.

use std::io::{Cursor, SeekFrom};
use std::sync::Arc;

use async_compression::tokio::bufread::GzipDecoder;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED, RANGE, VARY, WARNING,
};
use http::{HeaderMap, Response, StatusCode};
use tokio::io::AsyncSeekExt as _;

use crate::object::{ContentRange, Span};

use super::body::Body;
use super::condition::Verdict;
use super::content::Content;
use super::range;
use super::refusal::{Refusal, Style};
use super::service::Call;
use super::stored::Stored;

/// Files above this have no checksum: reading them through would hold the answer back for seconds.
const MAX_SUMMED: u64 = 256 << 20;

/// Serves an object.
pub(super) async fn serve(call: &Call<'_>, object: &Arc<Stored>, verdict: Verdict) -> Result<Response<Body>, Refusal> {
    prepare(object).await?;
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), object, call.style);
    if verdict == Verdict::NotModified {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(CONTENT_TYPE);
        return Ok(response);
    }
    if object.is_gzip() {
        response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Content::Memory(packed) = &object.content
            && !takes_gzip(call)
            && !is_fixed(object)
        {
            return Ok(transcoded(response, packed.clone()));
        }
    }
    let size = object.size();
    let span = range::select(call.header(RANGE), size)?;
    if let Some(span) = span {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        put(response.headers_mut(), CONTENT_RANGE, &ContentRange { span, total: size }.to_string());
    }
    let (first, length) = span.map_or((0, size), |span: Span| (span.first, span.len()));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    *response.body_mut() = bytes(object, first, length).await?;
    Ok(response)
}

/// Reads a file's checksum away from the async threads.
async fn prepare(object: &Arc<Stored>) -> Result<(), Refusal> {
    if object.known_crc32c().is_some() || object.size() > MAX_SUMMED {
        return Ok(());
    }
    let object = Arc::clone(object);
    let summed = tokio::task::spawn_blocking(move || object.summed()).await;
    summed.map_err(|_| Refusal::backend())?.map(drop).map_err(|_| Refusal::backend())
}

async fn bytes(object: &Stored, first: u64, length: u64) -> Result<Body, Refusal> {
    match &object.content {
        Content::File { path, .. } => {
            let mut file = tokio::fs::File::open(path).await.map_err(|_| Refusal::backend())?;
            file.seek(SeekFrom::Start(first)).await.map_err(|_| Refusal::backend())?;
            Ok(Body::reader(file, Some(length)))
        }
        content => Ok(Body::content(content.clone(), first, length)),
    }
}

/// Decompresses on the way out: no length, no ranges. Only objects in memory are gzip.
fn transcoded(mut response: Response<Body>, packed: Bytes) -> Response<Body> {
    let headers = response.headers_mut();
    headers.remove(CONTENT_ENCODING);
    headers.remove(ACCEPT_RANGES);
    headers.insert(WARNING, HeaderValue::from_static("214 UploadServer gunzipped"));
    let mark = HeaderName::from_static("x-guploader-response-body-transformations");
    headers.insert(mark, HeaderValue::from_static("gunzipped"));
    let mut plain = GzipDecoder::new(Cursor::new(packed));
    plain.multiple_members(true);
    *response.body_mut() = Body::reader(plain, None);
    response
}

/// Whether the client takes gzip.
fn takes_gzip(call: &Call<'_>) -> bool {
    let values = call.head.headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|text| text.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q <= 0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Whether the object forbids transcoding.
fn is_fixed(object: &Stored) -> bool {
    object.fields.cache_control.as_deref().is_some_and(|value| value.to_ascii_lowercase().contains("no-transform"))
}

/// The headers that every read of an object has.
fn describe(headers: &mut HeaderMap, object: &Stored, style: Style) {
    let fields = &object.fields;
    let etag = if style == Style::Xml { object.xml_etag() } else { object.etag() };
    let size = object.size().to_string();
    let (generation, metageneration) = (object.generation.to_string(), object.metageneration.to_string());
    let modified = httpdate::fmt_http_date(object.updated);
    for (name, value) in [
        (CONTENT_TYPE, fields.content_type.as_deref().or(Some("application/octet-stream"))),
        (CONTENT_ENCODING, fields.content_encoding.as_deref()),
        (CONTENT_LANGUAGE, fields.content_language.as_deref()),
        (CONTENT_DISPOSITION, fields.content_disposition.as_deref()),
        (CACHE_CONTROL, fields.cache_control.as_deref().or(Some("private, max-age=0"))),
        (ETAG, Some(etag.as_str())),
        (LAST_MODIFIED, Some(modified.as_str())),
        (ACCEPT_RANGES, Some("bytes")),
        (HeaderName::from_static("x-goog-generation"), Some(generation.as_str())),
        (HeaderName::from_static("x-goog-metageneration"), Some(metageneration.as_str())),
        (HeaderName::from_static("x-goog-stored-content-length"), Some(size.as_str())),
        (
            HeaderName::from_static("x-goog-stored-content-encoding"),
            fields.content_encoding.as_deref().or(Some("identity")),
        ),
        (HeaderName::from_static("x-goog-storage-class"), fields.storage_class.as_deref().or(Some("STANDARD"))),
    ] {
        if let Some(value) = value {
            put(headers, name, value);
        }
    }
    for (name, value) in &fields.custom {
        if let Ok(name) = HeaderName::try_from(format!("x-goog-meta-{name}")) {
            put(headers, name, value);
        }
    }
    hashes(headers, object, style);
}

/// `x-goog-hash`: one line in the JSON API, a line each in the XML API.
fn hashes(headers: &mut HeaderMap, object: &Stored, style: Style) {
    let crc = object.known_crc32c().map(|sum| format!("crc32c={}", BASE64_STANDARD.encode(sum.to_be_bytes())));
    let md5 = object.md5().map(|sum| format!("md5={}", BASE64_STANDARD.encode(sum)));
    let all: Vec<String> = [crc, md5].into_iter().flatten().collect();
    let lines = if style == Style::Xml { all } else { vec![all.join(",")] };
    for line in lines.iter().filter(|line| !line.is_empty()) {
        if let Ok(value) = HeaderValue::try_from(line) {
            headers.append(HeaderName::from_static("x-goog-hash"), value);
        }
    }
}

/// Sets a header as it is stored; what no header can hold is left out.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}
