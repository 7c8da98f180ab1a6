//! The data plane: reads objects and their metadata from GCS, and writes those that an export makes.
//!
//! Decides how GCS is asked, how long and how often, and what of its answers is believed. An object costs one request
//! unless something breaks. Every piece of a body is the object's next bytes or the body ends in an error, never neatly.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/get>.

mod answer;
mod body;
mod bucket;
mod budget;
mod call;
mod list;
mod outgoing;
mod queue;
mod refusal;
mod retry;
mod stall;
mod stat;
mod tally;
mod upstream;
mod write;

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, timeout_at};

use crate::gcs::wire::ConnectorError;
use crate::gcs::{Config, Credential, Error};
use crate::metrics::Metrics;
use crate::object::{BucketName, ByteRange, ContentRange, Generation, Metadata, ObjectName, ProjectId};
use answer::Head;
use call::{Call, Target};
use upstream::Upstream;

pub use answer::Form;
pub use body::ReadBody;
pub use bucket::{Billing, BucketRequest, BucketSettings};
pub use list::{Depth, Detail, ListPage, ListRequest, Listed};
pub use retry::Backoff;
pub use write::{Announced, Custom, DeleteRequest, Description, Expected, WriteRequest};

/// Reads from GCS and writes to it; clones share connections, limits and budget.
#[derive(Clone, Debug)]
pub struct Client {
    upstream: Arc<Upstream>,
}

/// What to read.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The object.
    pub object: ObjectName,
    /// The part wanted; `None` for the whole.
    pub range: Option<ByteRange>,
    /// The generation wanted; `None` for the live one.
    pub generation: Option<Generation>,
    /// The project that pays.
    pub project: Option<ProjectId>,
    /// Whom GCS shall name in its own audit log.
    pub subject: Option<HeaderValue>,
}

/// Whose metadata to read.
#[derive(Clone, Debug)]
pub struct StatRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The object.
    pub object: ObjectName,
    /// The project that pays.
    pub project: Option<ProjectId>,
}

/// An object's bytes, about to stream.
#[derive(Debug)]
pub struct Read {
    /// The object's metadata, from the same answer.
    pub metadata: Arc<Metadata>,
    /// Which part the body is; `None`: the whole, which may come although a part was asked for.
    pub part: Option<ContentRange>,
    /// Whether the body's bytes are the stored ones.
    pub form: Form,
    /// The bytes.
    pub body: Box<ReadBody>,
}

impl Client {
    /// A client for the configured endpoint.
    pub fn new(config: &Config, metrics: Metrics) -> Result<Self, ConnectorError> {
        Self::with_backoff(config, metrics, Backoff::default())
    }

    /// A client whose retries wait otherwise than usual.
    pub fn with_backoff(config: &Config, metrics: Metrics, backoff: Backoff) -> Result<Self, ConnectorError> {
        Ok(Self { upstream: Arc::new(Upstream::new(config, metrics, backoff)?) })
    }

    /// Reads an object or a part of it: one request, whose answer also has the metadata.
    pub async fn read(&self, credential: &Credential, request: ReadRequest) -> Result<Read, Error> {
        let upstream = &self.upstream;
        let deadline = upstream.deadline();
        let place = upstream.queue.enter(deadline).await?;
        let ReadRequest { bucket, object, range, generation, project, subject } = request;
        let target = Target { bucket, object, project, subject };
        let call = Call::media(&upstream.endpoint, &target, range, generation);
        let answer = upstream.send(credential, &call, deadline).await?;
        let head = Head::read(&answer, range, &upstream.texts)?;
        let (metadata, part, form) = (Arc::clone(&head.metadata), head.part, head.form);
        let origin = body::Origin { upstream: Arc::clone(upstream), credential: credential.clone(), target, head };
        Ok(Read { metadata, part, form, body: Box::new(ReadBody::new(origin, answer.body, place)) })
    }

    /// Reads an object's metadata.
    pub async fn stat(&self, credential: &Credential, request: StatRequest) -> Result<Metadata, Error> {
        let target = Target { bucket: request.bucket, object: request.object, project: request.project, subject: None };
        let call = Call::stat(&self.upstream.endpoint, &target);
        self.json(credential, &call, stat::LONGEST, self.stat_reader()).await
    }

    /// What reads the answer to a metadata request.
    fn stat_reader(&self) -> impl Fn(&[u8]) -> Result<Metadata, Error> {
        |json| stat::read(json, &self.upstream.texts)
    }

    /// Lists one page of a bucket. A page may be empty and have a successor.
    pub async fn list(&self, credential: &Credential, request: ListRequest) -> Result<ListPage, Error> {
        let call = Call::list(&self.upstream.endpoint, &request)
            .ok_or_else(|| Error::Protocol("the offsets or the page token are too long for a URL".to_owned()))?;
        self.json(credential, &call, list::LONGEST, list::read).await
    }

    /// A small answer, which is read whole within one patience; a body that breaks is asked for again.
    async fn json<T>(
        &self,
        credential: &Credential,
        call: &Call,
        longest: usize,
        read: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let upstream = &self.upstream;
        let deadline = upstream.deadline();
        let _place = upstream.queue.enter(deadline).await?;
        let mut history = upstream.begin();
        loop {
            let answer = upstream.send_on(&mut history, credential, call, deadline).await?;
            if answer.status != StatusCode::OK {
                return Err(Error::Protocol(format!("unexpected status {}", answer.status.as_u16())));
            }
            let body = Limited::new(answer.body, longest).collect();
            // It is small: silence in it is no other than silence in an object's bytes.
            let outcome = match timeout_at(deadline.min(Instant::now() + upstream.stall_timeout), body).await {
                Ok(Ok(json)) => read(&json.to_bytes()),
                Ok(Err(error)) => Err(Error::Broken(error)),
                Err(_) if Instant::now() >= deadline => Err(Error::FirstByteTimeout(upstream.first_byte_timeout)),
                Err(_) => Err(Error::Stalled(upstream.stall_timeout)),
            };
            match outcome {
                Ok(told) => return Ok(told),
                Err(error) if !call.repeatable => return Err(error),
                Err(error) => upstream.pause(error.into(), &mut history, deadline).await?,
            }
        }
    }
}
