//! Uploads: simple and multipart.
//!
//! Decides what becomes an object; resumable uploads are not emulated.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/insert>.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::Value;

use super::auth::permit;
use super::body::Body;
use super::condition::number;
use super::json_api::{enter, mask};
use super::md5::md5;
use super::refusal::{Refusal, json_answer};
use super::service::Call;
use super::stored::{Object, Stored};
use super::tokens::collect;

/// The largest upload.
const MAX_UPLOAD: usize = 64 << 20;

/// `POST /upload/storage/v1/b/B/o?uploadType=…`
pub(super) async fn upload(call: &Call<'_>, name: &str, body: Incoming) -> Result<Response<Body>, Refusal> {
    if call.head.method != Method::POST {
        return Err(Refusal::method());
    }
    let (bucket, caller) = enter(call, name)?;
    permit(call, &bucket, &caller, "storage.objects.create")?;
    let bytes = collect(body, MAX_UPLOAD).await.ok_or_else(Refusal::too_large)?;
    let kind = call.header(CONTENT_TYPE).unwrap_or_default();
    let named = call.query.get("name").map(str::to_owned);
    let (name, object) = match call.query.get("uploadType") {
        Some("media") => (named, typed(Object::bytes(bytes), kind)),
        Some("multipart") => {
            let (about, kind, bytes) =
                parts(kind, &bytes).ok_or_else(|| Refusal::invalid("Malformed multipart body."))?;
            let announced = text(&about, "md5Hash");
            if announced.is_some_and(|sum| sum != BASE64_STANDARD.encode(md5(&bytes))) {
                return Err(Refusal::invalid("Provided MD5 hash does not match the calculated one."));
            }
            (named.or_else(|| text(&about, "name")), described(typed(Object::bytes(bytes), &kind), &about))
        }
        _ => return Err(Refusal::invalid("Invalid uploadType.")),
    };
    let name =
        name.filter(|name| (1..=1024).contains(&name.len())).ok_or_else(|| Refusal::invalid("Required: name"))?;
    if let Some(announced) = object.crc32c
        && object.content.crc32c().ok() != Some(announced)
    {
        return Err(Refusal::invalid("Provided CRC32C does not match the calculated one."));
    }
    let expected = expected(call)?;
    // Who replaces something also deletes it.
    if bucket.find(&name, None).await.is_some() {
        permit(call, &bucket, &caller, "storage.objects.delete")?;
    }
    let stored = Stored::new(name, object, call.state.next_generation(), call.state.now());
    let stored = bucket.put_if(stored, expected).ok_or_else(Refusal::precondition)?;
    let mut resource = stored.resource(&bucket.name);
    mask(call)?.apply(&mut resource);
    Ok(json_answer(StatusCode::OK, &resource))
}

/// What the preconditions make of what is there now; no object is generation 0.
fn expected(call: &Call<'_>) -> Result<impl FnOnce(Option<&Stored>) -> bool + use<>, Refusal> {
    let asked = |name: &str| number(name, call.query.get(name));
    let (same, other) = (asked("ifGenerationMatch")?, asked("ifGenerationNotMatch")?);
    let (meta, other_meta) = (asked("ifMetagenerationMatch")?, asked("ifMetagenerationNotMatch")?);
    Ok(move |now: Option<&Stored>| {
        let (generation, metageneration) = now.map_or((0, 0), |now| (now.generation, now.metageneration));
        same.is_none_or(|wanted| wanted == generation)
            && other.is_none_or(|wanted| wanted != generation)
            && meta.is_none_or(|wanted| wanted == metageneration)
            && other_meta.is_none_or(|wanted| wanted != metageneration)
    })
}

fn typed(object: Object, kind: &str) -> Object {
    if kind.is_empty() { object } else { object.content_type(kind) }
}

fn text(about: &Value, name: &str) -> Option<String> {
    about[name].as_str().map(str::to_owned)
}

fn described(mut object: Object, about: &Value) -> Object {
    let fields = &mut object.fields;
    for (field, name) in [
        (&mut fields.content_type, "contentType"),
        (&mut fields.content_encoding, "contentEncoding"),
        (&mut fields.content_language, "contentLanguage"),
        (&mut fields.content_disposition, "contentDisposition"),
        (&mut fields.cache_control, "cacheControl"),
        (&mut fields.storage_class, "storageClass"),
    ] {
        if let Some(value) = text(about, name) {
            *field = Some(value);
        }
    }
    let sum = text(about, "crc32c").and_then(|text| BASE64_STANDARD.decode(text).ok());
    object.crc32c = sum.and_then(|sum| sum.try_into().ok()).map(u32::from_be_bytes);
    for (name, value) in about["metadata"].as_object().into_iter().flatten() {
        fields.custom.insert(name.clone(), value.as_str().unwrap_or_default().to_owned());
    }
    object
}

/// The JSON, the content type and the bytes of a `multipart/related` body.
fn parts(kind: &str, body: &Bytes) -> Option<(Value, String, Bytes)> {
    let boundary = kind.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?.trim_matches(['"', '\'']);
    let line = format!("--{boundary}");
    let start = find(body, line.as_bytes())? + line.len();
    let rest = body.slice(start..);
    let second = find(&rest, format!("\r\n{line}").as_bytes())?;
    let (_, about) = part(&rest.slice(..second))?;
    let rest = rest.slice(second + 2 + line.len()..);
    let last = find(&rest, format!("\r\n{line}--").as_bytes())?;
    let (kind, bytes) = part(&rest.slice(..last))?;
    Some((serde_json::from_slice(&about).ok()?, kind, bytes))
}

/// One part's content type and bytes.
fn part(raw: &Bytes) -> Option<(String, Bytes)> {
    let end = find(raw, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&raw[..end]).ok()?;
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let kind = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-type"));
    Some((kind.map_or("", |(_, value)| value.trim()).to_owned(), raw.slice(end + 4..)))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipart_bodies_are_taken_apart() {
        let body = Bytes::from_static(
            b"--x\r\nContent-Type: application/json\r\n\r\n{\"name\":\"a\"}\r\n--x\r\nContent-Type: image/png\r\n\r\n\x00\r\n--y\r\n--x--\r\n",
        );
        let (about, kind, bytes) = parts("multipart/related; boundary=\"x\"", &body).expect("two parts");
        assert_eq!((about["name"].as_str(), kind.as_str(), &bytes[..]), (Some("a"), "image/png", &b"\x00\r\n--y"[..]));
        assert!(parts("multipart/related", &body).is_none() && parts("a; boundary=z", &body).is_none());
    }
}
