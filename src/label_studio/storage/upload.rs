//! Uploads: what is to be stored where, by whichever of Google's three ways it comes.
//!
//! An upload is one request to Cloud Storage, streamed: it is stored whole or not at all, and nothing is kept here. So a
//! resumable upload has no memory, either. Its first request gets a URL that has all that was said, its second brings the
//! bytes in one piece, and one that broke off begins anew; each is checked as if it were the first.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/insert> and
//! <https://cloud.google.com/storage/docs/performing-resumable-uploads>.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use serde::{Deserialize, Serialize};

use super::query::Query;
use super::refusal::Refusal;
use crate::gcs::{Announced, Description, Expected};
use crate::object::{BucketName, Generation, ObjectName};

/// What was said at the beginning has to fit into a URL.
const LONGEST_ID: usize = 6 * 1024;

/// Which of Google's ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The body is the content.
    Simple,
    /// Resource and content in one body.
    Multipart,
    /// The resource first, the content by another request.
    Resumable,
}

/// What is to be stored: said by the client, and not yet allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Under which name.
    pub(super) object: ObjectName,
    /// What is told about it.
    pub(super) description: Description,
    /// What must be there now.
    pub(super) expected: Expected,
    /// Its sums.
    pub(super) announced: Announced,
}

/// An object's resource, as far as it can be written here. Whatever else stands in it would be lost without a word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Resource {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing)]
    bucket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc32c: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5_hash: Option<String>,
}

/// What the URL of a resumable upload has in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Begun {
    resource: Resource,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    generation: Option<u64>,
}

/// What the second request of a resumable upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The whole content, and how long it is, if that was said.
    Whole(Option<u64>),
    /// A question how much is there: nothing is, until all is.
    Question,
}

impl Way {
    /// Reads `uploadType`, and refuses parameters that are not served.
    pub(super) fn parse(query: &Query) -> Result<Self, Refusal> {
        query.only(&["uploadType", "name", "ifGenerationMatch", "alt"])?;
        match query.get("uploadType") {
            Some("media") => Ok(Self::Simple),
            Some("multipart") => Ok(Self::Multipart),
            Some("resumable") => Ok(Self::Resumable),
            _ => Err(Refusal::Invalid("uploadType is media, multipart or resumable.".to_owned())),
        }
    }
}

impl Plan {
    /// What a query and a resource say together; `content_type` is what stands above the content.
    pub(super) fn new(
        (bucket, query): (&BucketName, &Query),
        resource: &[u8],
        content_type: Option<&str>,
    ) -> Result<Self, Refusal> {
        let mut resource: Resource = if resource.is_empty() {
            Resource::default()
        } else {
            serde_json::from_slice(resource).map_err(|error| Refusal::Invalid(format!("The resource: {error}.")))?
        };
        if resource.bucket.as_ref().is_some_and(|named| named != bucket.as_str()) {
            return Err(Refusal::Invalid("The resource names another bucket than the URL.".to_owned()));
        }
        resource.name = query.get("name").map(str::to_owned).or(resource.name);
        resource.content_type = resource.content_type.or(content_type.map(str::to_owned));
        Self::of(resource, query.number("ifGenerationMatch")?)
    }

    fn of(resource: Resource, generation: Option<u64>) -> Result<Self, Refusal> {
        let name = resource.name.ok_or_else(|| Refusal::Invalid("Required: name.".to_owned()))?;
        Ok(Self {
            object: ObjectName::new(name).map_err(Refusal::name)?,
            description: Description {
                content_type: resource.content_type,
                content_encoding: resource.content_encoding,
                content_language: resource.content_language,
                content_disposition: resource.content_disposition,
                cache_control: resource.cache_control,
                metadata: resource.metadata,
            },
            expected: expected(generation),
            announced: Announced { crc32c: resource.crc32c, md5_hash: resource.md5_hash },
        })
    }

    /// The id of a resumable upload: all that was said. It gives no right to anything.
    pub(super) fn id(&self) -> Result<String, Refusal> {
        let Description {
            content_type,
            content_encoding,
            content_language,
            content_disposition,
            cache_control,
            metadata,
        } = self.description.clone();
        let resource = Resource {
            name: Some(self.object.to_string()),
            bucket: None,
            content_type,
            content_encoding,
            content_language,
            content_disposition,
            cache_control,
            metadata,
            crc32c: self.announced.crc32c.clone(),
            md5_hash: self.announced.md5_hash.clone(),
        };
        let generation = match self.expected {
            Expected::Anything => None,
            Expected::Nothing => Some(0),
            Expected::Generation(generation) => Some(generation.0),
        };
        let text = serde_json::to_string(&Begun { resource, generation }).unwrap_or_default();
        let id = URL_SAFE_NO_PAD.encode(text);
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(Refusal::Invalid("There is too much metadata for a resumable upload here.".to_owned()));
        }
        Ok(id)
    }

    /// What the second request of a resumable upload goes on with.
    pub(super) fn begun(query: &Query, headers: &HeaderMap) -> Result<Self, Refusal> {
        query.only(&["uploadType", "upload_id", "alt"])?;
        let wrong = || Refusal::Invalid("Invalid upload_id.".to_owned());
        let text = query.get("upload_id").and_then(|id| URL_SAFE_NO_PAD.decode(id).ok()).ok_or_else(wrong)?;
        let begun: Begun = serde_json::from_slice(&text).map_err(|_| wrong())?;
        let mut plan = Self::of(begun.resource, begun.generation)?;
        for sum in headers.get_all("x-goog-hash").iter().filter_map(|value| value.to_str().ok()) {
            for (name, value) in sum.split(',').filter_map(|part| part.trim().split_once('=')) {
                match name {
                    "crc32c" => plan.announced.crc32c = Some(value.to_owned()),
                    "md5" => plan.announced.md5_hash = Some(value.to_owned()),
                    _ => {}
                }
            }
        }
        Ok(plan)
    }
}

/// What a precondition says; generation 0 is that of an object that does not exist.
pub(super) fn expected(generation: Option<u64>) -> Expected {
    match generation {
        None => Expected::Anything,
        Some(0) => Expected::Nothing,
        Some(generation) => Expected::Generation(Generation(generation)),
    }
}

/// A header, if it is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// How long the body is said to be, if it is.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH.as_str())?.parse().ok()
}

/// The type that a simple upload's head has.
pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    text(headers, CONTENT_TYPE.as_str())
}

impl Piece {
    /// Reads `Content-Range`: `bytes 0-9/10`, `bytes */10`, or none.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(range) = text(headers, CONTENT_RANGE.as_str()) else { return Ok(Self::Whole(length(headers))) };
        let in_one = || {
            let cure =
                "Uploads are taken in one piece here: set the client's chunk_size to the size of the object or more.";
            Refusal::Invalid(cure.to_owned())
        };
        let (span, total) = range.strip_prefix("bytes ").and_then(|rest| rest.split_once('/')).ok_or_else(in_one)?;
        // Nothing to send is a whole piece for an empty object, and a question for all others.
        if span == "*" {
            return Ok(if total == "0" { Self::Whole(Some(0)) } else { Self::Question });
        }
        let (first, last) = span.split_once('-').ok_or_else(in_one)?;
        let (first, last): (u64, u64) = first.parse().ok().zip(last.parse().ok()).ok_or_else(in_one)?;
        let total: u64 = total.parse().map_err(|_| in_one())?;
        let whole =
            first == 0 && last.checked_add(1) == Some(total) && length(headers).is_none_or(|long| long == total);
        if whole { Ok(Self::Whole(Some(total))) } else { Err(in_one()) }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).expect("legal")
    }

    fn bucket() -> BucketName {
        BucketName::new("my-bucket").expect("legal")
    }

    #[test]
    fn a_plan_survives_its_id() {
        let resource = br#"{"name":"a/b","contentType":"text/plain","metadata":{"k":"v"},"md5Hash":"x=="}"#;
        for generation in ["", "&ifGenerationMatch=0", "&ifGenerationMatch=7"] {
            let plan = Plan::new((&bucket(), &query(&format!("uploadType=resumable{generation}"))), resource, None)
                .expect("good");
            let id = plan.id().expect("short");
            assert_eq!(Plan::begun(&query(&format!("upload_id={id}")), &HeaderMap::new()).ok(), Some(plan));
        }
        let huge = format!(r#"{{"name":"a","metadata":{{"k":"{}"}}}}"#, "x".repeat(LONGEST_ID));
        assert!(Plan::new((&bucket(), &query("")), huge.as_bytes(), None).expect("legal").id().is_err());
        for bad in ["", "upload_id=", "upload_id=%25", "upload_id=e30", "upload_id=AAAA"] {
            assert!(Plan::begun(&query(bad), &HeaderMap::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_that_a_resource_says_is_lost_without_a_word() {
        for bad in [
            r#"{"name":"a","acl":[]}"#,
            r#"{"name":"a","storageClass":"NEARLINE"}"#,
            "[]",
            "{",
            r#"{"name":1}"#,
            r#"{"name":"a","bucket":"other"}"#,
            "{}",
        ] {
            assert!(Plan::new((&bucket(), &query("")), bad.as_bytes(), None).is_err(), "{bad}");
        }
        for name in ["..", "a/../b", "a\u{0}", ""] {
            let resource = serde_json::json!({ "name": name }).to_string();
            assert!(Plan::new((&bucket(), &query("")), resource.as_bytes(), None).is_err(), "{name:?}");
        }
        let plan = Plan::new((&bucket(), &query("name=b")), br#"{"name":"a"}"#, Some("image/png")).expect("good");
        assert_eq!((plan.object.as_str(), plan.description.content_type.as_deref()), ("b", Some("image/png")));
    }

    #[test]
    fn only_a_whole_piece_is_taken() {
        let parse = |range: &str| {
            let range = HeaderValue::from_str(range).expect("legal");
            Piece::parse(&HeaderMap::from_iter([(CONTENT_RANGE, range)]))
        };
        assert!(matches!(parse("bytes 0-9/10"), Ok(Piece::Whole(Some(10)))));
        assert!(matches!(parse("bytes */0"), Ok(Piece::Whole(Some(0)))));
        assert!(
            matches!(parse("bytes */10"), Ok(Piece::Question)) && matches!(parse("bytes */*"), Ok(Piece::Question))
        );
        for bad in
            ["bytes 0-9/*", "bytes 0-9/11", "bytes 1-9/10", "bytes 0-18446744073709551615/0", "x", "bytes 9-0/10"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
