//! Writing and deleting objects.
//!
//! Decides how an object is stored: in one request, with its metadata and its checksum, which GCS compares before it
//! keeps anything. What names the version that it replaces may be sent again; nothing else is, unless it was never sent.
//! A repeated request whose first answer was lost finds its own work done: it ends in [`Error::Changed`], or in
//! [`Error::NotFound`] for a deletion, and only the caller can tell that from somebody else's.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/insert> and
//! <https://cloud.google.com/storage/docs/retry-strategy#idempotency-operations>.

use std::collections::BTreeMap;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout, timeout_at};

use super::call::{Call, Target};
use super::outgoing::{Meter, Outgoing};
use super::{Client, StatRequest, stat};
use crate::gcs::wire::RequestLine;
use crate::gcs::{Credential, Error, Source};
use crate::object::{BucketName, Crc32c, Generation, Metadata, ObjectName, ProjectId};

/// Custom metadata may have 8 KiB; escaped and with its frame it stays below this.
const LONGEST: usize = 128 * 1024;

/// What must be there for a write or a deletion to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever there is, is replaced. Such a request is never repeated.
    #[default]
    Anything,
    /// No object of this name.
    Nothing,
    /// This very version.
    Generation(Generation),
}

/// What is told about an object besides its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `x-goog-meta-…`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What to store where.
#[derive(Clone, Debug)]
pub struct WriteRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The object.
    pub object: ObjectName,
    /// What must be there now.
    pub expected: Expected,
    /// What is told about it.
    pub description: Description,
    /// The project that pays.
    pub project: Option<ProjectId>,
}

/// What to delete.
#[derive(Clone, Debug)]
pub struct DeleteRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The object.
    pub object: ObjectName,
    /// What must be there now.
    pub expected: Expected,
    /// The project that pays.
    pub project: Option<ProjectId>,
}

/// Sums that the maker of the bytes has announced, as base64; GCS compares them before it keeps anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Announced {
    /// CRC32C, big-endian.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<String>,
    /// MD5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5_hash: Option<String>,
}

/// An object's version and the metadata that its writer gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// Version of the content.
    pub generation: Generation,
    /// `x-goog-meta-…`.
    pub metadata: BTreeMap<String, String>,
}

impl Client {
    /// Stores bytes; needs `storage.objects.create`, and `storage.objects.delete` to replace something.
    pub async fn write(&self, credential: &Credential, request: WriteRequest, bytes: Bytes) -> Result<Metadata, Error> {
        let sum = crc32c::crc32c(&bytes);
        let announced = Announced { crc32c: Some(BASE64_STANDARD.encode(sum.to_be_bytes())), ..Announced::default() };
        let frame = Frame::new(&request, &announced)?;
        let mut body = BytesMut::with_capacity(frame.before.len() + bytes.len() + frame.after.len());
        for piece in [&frame.before, &bytes, &frame.after] {
            body.extend_from_slice(piece);
        }
        let call = self.upload(&request).carrying(&frame.content_type, body.freeze());
        let stored = self.json(credential, &call, stat::LONGEST, self.stat_reader()).await?;
        agree(&stored, sum)?;
        Ok(stored)
    }

    /// Stores a stream, of which only the piece under way is held; sent once, whatever is expected. A stream that breaks
    /// stores nothing. There is no limit to the time in all, only to silence.
    pub async fn write_stream<B>(
        &self,
        credential: &Credential,
        request: WriteRequest,
        stream: B,
    ) -> Result<Metadata, Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Source>,
    {
        self.write_announced(credential, request, &Announced::default(), stream).await
    }

    /// The same for bytes whose sums are known beforehand.
    pub async fn write_announced<B>(
        &self,
        credential: &Credential,
        request: WriteRequest,
        announced: &Announced,
        stream: B,
    ) -> Result<Metadata, Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Source>,
    {
        let upstream = &self.upstream;
        let _place = upstream.queue.enter(upstream.deadline()).await?;
        let (frame, meter) = (Frame::new(&request, announced)?, Meter::new());
        let call = self.upload(&request).carrying(&frame.content_type, Bytes::new());
        let body = Outgoing::stream((frame.before, stream, frame.after), meter.clone());
        let answer = self.patiently(&meter, self.send_all(credential, &call, body)).await?;
        let stored = stat::read(&answer, &upstream.texts)?;
        let agreed = agree(&stored, meter.crc32c());
        if agreed.is_err() {
            // Nobody shall read what was damaged on the way.
            let (bucket, object, project) = (request.bucket, request.object, request.project);
            let expected = Expected::Generation(stored.generation);
            let deleted = self.delete(credential, DeleteRequest { bucket, object, expected, project }).await;
            if let Err(error) = deleted {
                tracing::warn!(%error, "a damaged upload could not be deleted");
            }
        }
        agreed.map(|()| stored)
    }

    /// Deletes an object; needs `storage.objects.delete`.
    pub async fn delete(&self, credential: &Credential, request: DeleteRequest) -> Result<(), Error> {
        let upstream = &self.upstream;
        let deadline = upstream.deadline();
        let _place = upstream.queue.enter(deadline).await?;
        let repeatable = request.expected != Expected::Anything;
        let target = Target { bucket: request.bucket, object: request.object, project: request.project, subject: None };
        let line = request.expected.end(target.line(Method::DELETE).with("?prettyPrint=false"));
        let call = Call::writing("delete", &upstream.endpoint, line, target.project.as_ref(), repeatable);
        let answer = upstream.send(credential, &call, deadline).await?;
        // Read to its end, so that the connection can be used again; what it says is of no interest.
        let rest = Limited::new(answer.body, LONGEST).collect();
        let _ = timeout_at(deadline, rest).await;
        Ok(())
    }

    /// Reads the metadata that an object's writer gave it, and of which version it is.
    pub async fn custom(&self, credential: &Credential, request: StatRequest) -> Result<Custom, Error> {
        let target = Target { bucket: request.bucket, object: request.object, project: request.project, subject: None };
        let call = Call::custom(&self.upstream.endpoint, &target);
        self.json(credential, &call, LONGEST, custom).await
    }

    /// The call that stores an object, still without a body.
    fn upload(&self, request: &WriteRequest) -> Call {
        let line = RequestLine::new(Method::POST).with("/upload/storage/v1/b/").with(&request.bucket);
        let line = line.with("/o?uploadType=multipart&name=").with(&request.object).with("&fields=").with(stat::FIELDS);
        let (endpoint, repeatable) = (&self.upstream.endpoint, request.expected != Expected::Anything);
        Call::writing("write", endpoint, request.expected.end(line), request.project.as_ref(), repeatable)
    }

    /// Sends a stream and reads what GCS says of it.
    async fn send_all(&self, credential: &Credential, call: &Call, body: Outgoing) -> Result<Bytes, Error> {
        // Whoever waits decides how long: see `patiently`.
        let answer = self.upstream.send_once(credential, call, body, far_away()).await?;
        if answer.status != StatusCode::OK {
            return Err(Error::Protocol(format!("unexpected status {}", answer.status.as_u16())));
        }
        let body = Limited::new(answer.body, stat::LONGEST).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(Error::Broken)
    }

    /// Waits as long as bytes pass, and once more after the last.
    async fn patiently<T>(&self, meter: &Meter, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let patience = self.upstream.stall_timeout.max(self.upstream.first_byte_timeout);
        let mut work = std::pin::pin!(work);
        loop {
            let before = meter.bytes();
            match timeout(patience, work.as_mut()).await {
                Ok(outcome) => return outcome,
                Err(_) if meter.bytes() > before => {}
                Err(_) => return Err(Error::Stalled(patience)),
            }
        }
    }
}

impl Expected {
    /// Adds itself as the query's end.
    fn end(self, line: RequestLine) -> RequestLine {
        match self {
            Self::Anything => line,
            Self::Nothing => line.with("&ifGenerationMatch=0"),
            Self::Generation(generation) => line.with("&ifGenerationMatch=").with(generation),
        }
    }
}

/// What goes before and after an object's bytes in a `multipart/related` body.
struct Frame {
    content_type: HeaderValue,
    before: Bytes,
    after: Bytes,
}

impl Frame {
    fn new(request: &WriteRequest, announced: &Announced) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Resource<'a> {
            #[serde(flatten)]
            announced: &'a Announced,
            #[serde(flatten)]
            description: &'a Description,
        }
        let resource = serde_json::to_string(&Resource { announced, description: &request.description })
            .map_err(|error| Error::Protocol(format!("unwritable metadata: {error}")))?;
        let mut dice = [0; 16];
        // Whoever made the bytes must not be able to guess it.
        rand::fill(&mut dice).map_err(|_| Error::Protocol("no random numbers for a boundary".to_owned()))?;
        let boundary = format!("gsgate-{:032x}", u128::from_be_bytes(dice));
        let before = format!(
            "--{boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{resource}\r\n\
             --{boundary}\r\ncontent-type: application/octet-stream\r\n\r\n"
        );
        let content_type = HeaderValue::try_from(format!("multipart/related; boundary={boundary}"))
            .expect("a boundary has only letters, digits and a dash");
        Ok(Self { content_type, before: before.into(), after: format!("\r\n--{boundary}--\r\n").into() })
    }
}

/// Whether what is stored is what was sent.
fn agree(stored: &Metadata, actual: u32) -> Result<(), Error> {
    match stored.crc32c.map(Crc32c::value) {
        Some(expected) if expected != actual => Err(Error::Corrupt { expected, actual }),
        _ => Ok(()),
    }
}

/// A time that no upload lives to see.
fn far_away() -> Instant {
    Instant::now() + std::time::Duration::from_hours(24 * 365)
}

fn custom(json: &[u8]) -> Result<Custom, Error> {
    #[derive(Deserialize)]
    struct Resource {
        generation: String,
        #[serde(default)]
        metadata: BTreeMap<String, String>,
    }
    let resource: Resource = serde_json::from_slice(json).map_err(|error| {
        if error.is_eof() {
            Error::Broken(error.into())
        } else {
            Error::Protocol(format!("unreadable metadata: {error}"))
        }
    })?;
    let generation = resource.generation.parse();
    let generation = generation.map_err(|_| Error::Protocol("generation is not a number".to_owned()))?;
    Ok(Custom { generation, metadata: resource.metadata })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_has_the_metadata_and_the_sum() {
        let description = Description {
            content_type: Some("application/json".to_owned()),
            metadata: BTreeMap::from([("a\"b".to_owned(), "\u{fc}\r\n--x".to_owned())]),
            ..Description::default()
        };
        let request = WriteRequest {
            bucket: BucketName::new("my-bucket").expect("a legal bucket"),
            object: ObjectName::new("a/b").expect("a legal name"),
            expected: Expected::Nothing,
            description,
            project: None,
        };
        let announced = Announced { crc32c: Some("AAAAAQ==".to_owned()), ..Announced::default() };
        let frame = Frame::new(&request, &announced).expect("a frame");
        let before = std::str::from_utf8(&frame.before).expect("text");
        let json = "{\"crc32c\":\"AAAAAQ==\",\"contentType\":\"application/json\",\"metadata\":{\"a\\\"b\":\"\u{fc}\\r\\n--x\"}}";
        assert!(before.contains(json), "{before}");
        let other = Frame::new(&request, &Announced::default()).expect("a frame");
        assert_ne!(frame.after, other.after, "no two boundaries are the same");
    }

    #[test]
    fn what_is_expected_ends_the_query() {
        for (expected, query) in [
            (Expected::Anything, ""),
            (Expected::Nothing, "&ifGenerationMatch=0"),
            (Expected::Generation(Generation(7)), "&ifGenerationMatch=7"),
        ] {
            assert_eq!(expected.end(RequestLine::new(Method::GET)).target(), query.as_bytes());
        }
    }

    #[test]
    fn custom_metadata_may_be_missing_but_the_version_not() {
        let read = custom(br#"{"generation":"7","metadata":{"updated":"x"}}"#).expect("good");
        assert_eq!((read.generation, read.metadata["updated"].as_str()), (Generation(7), "x"));
        assert!(custom(br#"{"generation":"7"}"#).expect("good").metadata.is_empty());
        assert!(matches!(custom(br#"{"metadata":{}}"#), Err(Error::Protocol(_))));
        assert!(matches!(custom(br#"{"gener"#), Err(Error::Broken(_))));
    }
}
