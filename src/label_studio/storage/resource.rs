//! The JSON that Google's client reads: buckets, objects, and only the fields that were asked for.
//!
//! Pure. Tells what the gateway knows and nothing that it would have to make up; 64-bit numbers are strings.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects#resource> and
//! <https://cloud.google.com/storage/docs/json_api#partial-response>.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::gcs::Listed;
use crate::object::{BucketName, Metadata, Text};

/// A mask within a mask within a mask.
const DEEPEST: usize = 8;

/// A bucket.
pub(super) fn bucket(bucket: &BucketName) -> Value {
    let name = bucket.as_str();
    json!({ "kind": "storage#bucket", "id": name, "name": name, "metageneration": "1", "etag": "1" })
}

/// An object, by its metadata.
pub(super) fn object(bucket: &BucketName, name: &str, metadata: &Metadata) -> Value {
    let mut fields = common(bucket, name, (metadata.generation.0, metadata.metageneration.0, metadata.size));
    let texts = &metadata.texts;
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
    put(&mut fields, "contentType", text(&texts.content_type));
    put(&mut fields, "contentEncoding", text(&texts.content_encoding));
    put(&mut fields, "contentLanguage", text(&texts.content_language));
    put(&mut fields, "contentDisposition", text(&texts.content_disposition));
    put(&mut fields, "cacheControl", text(&texts.cache_control));
    put(&mut fields, "updated", metadata.last_modified.map(SystemTime::from).map(time));
    put(&mut fields, "crc32c", metadata.crc32c.map(|sum| STANDARD.encode(sum.0)));
    put(&mut fields, "md5Hash", metadata.md5.map(|sum| STANDARD.encode(sum)));
    Value::Object(fields)
}

/// An object, as a listing tells of it.
pub(super) fn listed(bucket: &BucketName, listed: Listed) -> Value {
    let mut fields = common(bucket, &listed.name, (listed.generation.0, listed.metageneration.0, listed.size));
    put(&mut fields, "contentType", listed.content_type);
    put(&mut fields, "contentEncoding", listed.content_encoding);
    put(&mut fields, "updated", listed.updated.map(time));
    put(&mut fields, "crc32c", listed.crc32c.map(|sum| STANDARD.encode(sum.to_be_bytes())));
    put(&mut fields, "md5Hash", listed.md5.map(|sum| STANDARD.encode(sum)));
    Value::Object(fields)
}

fn common(bucket: &BucketName, name: &str, (generation, metageneration, size): (u64, u64, u64)) -> Map<String, Value> {
    let fields = json!({
        "kind": "storage#object",
        "id": format!("{bucket}/{name}/{generation}"),
        "name": name,
        "bucket": bucket.as_str(),
        "generation": generation.to_string(),
        "metageneration": metageneration.to_string(),
        "size": size.to_string(),
        "etag": format!("{generation}-{metageneration}"),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Option<String>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value.into());
    }
}

fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// What is left of a value under a mask such as `items(name,size),nextPageToken`; one that cannot be read leaves all.
pub(super) fn masked(value: Value, mask: Option<&str>) -> Value {
    match mask.map(|mask| parts(mask, 0)) {
        Some(Some(parts)) => keep(value, &parts),
        _ => value,
    }
}

/// A field, and which of its own.
struct Part<'a> {
    name: &'a str,
    inner: Option<Vec<Part<'a>>>,
}

/// Splits a mask at the commas that stand outside of parentheses.
fn parts(mask: &str, depth: usize) -> Option<Vec<Part<'_>>> {
    let (mut found, mut open, mut begin) = (Vec::new(), 0_usize, 0);
    for (at, letter) in mask.char_indices().chain([(mask.len(), ',')]) {
        match letter {
            '(' => open += 1,
            ')' => open = open.checked_sub(1)?,
            ',' if open == 0 => {
                found.push(part(mask.get(begin..at)?.trim(), depth)?);
                begin = at + 1;
            }
            _ => {}
        }
    }
    (open == 0).then_some(found)
}

fn part(text: &str, depth: usize) -> Option<Part<'_>> {
    if depth > DEEPEST {
        return None;
    }
    let split = text.find(['(', '/']);
    let Some(at) = split else { return Some(Part { name: text, inner: None }) };
    let (name, rest) = text.split_at(at);
    let inner = match rest.strip_prefix('/') {
        Some(rest) => rest,
        None => rest.strip_prefix('(')?.strip_suffix(')')?,
    };
    Some(Part { name, inner: Some(parts(inner, depth + 1)?) })
}

fn keep(value: Value, parts: &[Part<'_>]) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(|item| keep(item, parts)).collect()),
        Value::Object(fields) => {
            let kept = fields.into_iter().filter_map(|(name, value)| {
                let part = parts.iter().find(|part| part.name == name || part.name == "*")?;
                let value = part.inner.as_ref().map_or_else(|| value.clone(), |inner| keep(value.clone(), inner));
                Some((name, value))
            });
            Value::Object(kept.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_leave_what_they_name() {
        let value = json!({ "items": [{ "name": "a", "size": "1", "x": { "y": 1, "z": 2 } }], "nextPageToken": "t" });
        for (mask, expected) in [
            ("items(name),nextPageToken", json!({ "items": [{ "name": "a" }], "nextPageToken": "t" })),
            ("items/size", json!({ "items": [{ "size": "1" }] })),
            ("items(name, x/z)", json!({ "items": [{ "name": "a", "x": { "z": 2 } }] })),
            ("nextPageToken", json!({ "nextPageToken": "t" })),
            ("*", value.clone()),
            ("items(name", value.clone()),
            ("items)name(", value.clone()),
            ("nothing", json!({})),
        ] {
            assert_eq!(masked(value.clone(), Some(mask)), expected, "{mask}");
        }
        assert_eq!(masked(value.clone(), None), value);
        assert_eq!(masked(value.clone(), Some(&"a(".repeat(4000))), value);
        assert_eq!(masked(value.clone(), Some(&"a/".repeat(4000))), value);
    }
}
