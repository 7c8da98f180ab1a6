//! Delivery by streaming: one object's bytes, in the order and with the head that RFC 9110 wants.
//!
//! A plain GET costs one upstream request, whose answer also carries the metadata.
//! Conditions are decided on metadata first, fetched or cached; what is then read is pinned to that generation.
//! Nothing is ever mixed of two versions: what turns out to be outdated is looked at once more.

use std::time::Instant;

use http::{HeaderMap, Response, StatusCode};

use super::access::Admitted;
use super::body::Body;
use super::connection::Connection;
use super::decide::Decision;
use super::exchange::Exchange;
use super::fetch::{AcceptedEncoding, Encoding, Fetch, FetchMethod, Framing, Outcome, RangeValidity};
use super::headers::Representation;
use super::reject::Rejection;
use crate::cache::{Known, MetadataCache};
use crate::gcs::{self, Client, Form, Read, ReadRequest, StatRequest};
use crate::object::{ByteRange, Generation, Metadata, Metageneration, ObjectName};

/// What one delivery works with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) client: &'a Client,
    pub(super) cache: &'a MetadataCache,
    pub(super) connection: &'a Connection,
    pub(super) object: &'a ObjectName,
}

/// What an opened object turned out to be: something to send, or too large for the proxy.
pub(super) enum Opened {
    /// Status, head and body.
    Answer(Response<Body>, Decision),
    /// `auto` redirects objects of this size.
    Redirect(Decision),
}

/// Answers GET and HEAD. `decide` is asked once the size is known.
///
/// What was known may be outdated. Then the object is looked at once more and the request answered by what it is now;
/// an object that changes again meanwhile is the client's to ask for again.
pub(super) async fn deliver(
    source: Source<'_>,
    _proof: &Admitted,
    fetch: &Fetch,
    exchange: &mut Exchange,
    decide: impl Fn(u64) -> Decision,
) -> Result<Opened, Rejection> {
    let cached = source.cache.lookup(&source.connection.label, source.object, exchange.started()).await;
    exchange.cached(if cached.is_some() { "hit" } else { "miss" });
    let knowledge = match cached {
        Some(Known::Missing) => return Err(gcs::Error::NotFound { message: "remembered".to_owned() }.into()),
        Some(Known::Present(metadata)) => Knowledge::Remembered(metadata),
        None if fetch.method == FetchMethod::Head || !fetch.conditions.is_empty() => {
            Knowledge::Asked(source.stat().await?)
        }
        None => Knowledge::Nothing,
    };
    match attempt(source, fetch, exchange, &decide, knowledge.metadata()).await {
        Err(rejection) if knowledge.may_be_outdated(&rejection) => {
            if matches!(knowledge, Knowledge::Remembered(_)) {
                exchange.cached("stale");
            }
            source.cache.forget(&source.connection.label, source.object).await;
            let metadata = source.stat().await?;
            attempt(source, fetch, exchange, &decide, Some(&metadata)).await
        }
        outcome => outcome,
    }
}

/// What is known of an object before it is read.
enum Knowledge {
    Nothing,
    Remembered(Metadata),
    Asked(Metadata),
}

impl Knowledge {
    fn metadata(&self) -> Option<&Metadata> {
        match self {
            Self::Nothing => None,
            Self::Remembered(metadata) | Self::Asked(metadata) => Some(metadata),
        }
    }

    /// Whether another look might turn a refusal into an answer.
    fn may_be_outdated(&self, rejection: &Rejection) -> bool {
        match rejection {
            // GCS's 416 counts stored bytes, which mean nothing to whom they are decompressed for.
            Rejection::Upstream(gcs::Error::Changed | gcs::Error::RangeNotSatisfiable { .. }) => true,
            Rejection::PreconditionFailed | Rejection::RangeNotSatisfiable { .. } => {
                matches!(self, Self::Remembered(_))
            }
            _ => false,
        }
    }
}

/// Delivers by what is known.
async fn attempt(
    source: Source<'_>,
    fetch: &Fetch,
    exchange: &mut Exchange,
    decide: impl Fn(u64) -> Decision,
    known: Option<&Metadata>,
) -> Result<Opened, Rejection> {
    let plan = match known {
        None => Plan { range: fetch.range, pinned: None },
        Some(metadata) => {
            let decision = decide(metadata.size);
            if matches!(decision, Decision::SignedUrl(_)) {
                return Ok(Opened::Redirect(decision));
            }
            exchange.found(metadata.generation);
            match plan(source, fetch, metadata)? {
                Step::Answer(response) => return Ok(Opened::Answer(response, decision)),
                Step::Read(plan) => plan,
            }
        }
    };
    let read = source.open(plan).await?;
    let decision = decide(read.metadata.size);
    if matches!(decision, Decision::SignedUrl(_)) {
        return Ok(Opened::Redirect(decision));
    }
    exchange.found(read.metadata.generation);
    answer(source, fetch, read).await.map(|response| Opened::Answer(response, decision))
}

/// What to do about an object that is known.
enum Step {
    /// No byte of it is needed.
    Answer(Response<Body>),
    Read(Plan),
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    range: Option<ByteRange>,
    pinned: Option<(Generation, Metageneration)>,
}

/// Decides conditions and range.
fn plan(source: Source<'_>, fetch: &Fetch, metadata: &Metadata) -> Result<Step, Rejection> {
    let representation = source.representation(fetch, metadata);
    let validator = representation.validator();
    match fetch.conditions.evaluate(&validator) {
        Outcome::Proceed => {}
        Outcome::NotModified => return Ok(Step::Answer(not_modified(representation.cache_headers(source.connection)))),
        Outcome::Failed => return Err(Rejection::PreconditionFailed),
    }
    if fetch.method == FetchMethod::Head {
        return head(source, fetch, metadata).map(Step::Answer);
    }
    let current = fetch.conditions.range_validity(&validator) == RangeValidity::Current;
    let range = fetch.range.filter(|_| current && !representation.is_decompressed());
    if range.is_some_and(|range| range.resolve(metadata.size).is_none()) {
        return Err(Rejection::RangeNotSatisfiable { size: metadata.size });
    }
    // A decision that hangs on this very version must be carried out on it.
    let pinned = (!fetch.conditions.is_empty()).then_some((metadata.generation, metadata.metageneration));
    Ok(Step::Read(Plan { range, pinned }))
}

fn not_modified(headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.headers_mut() = headers;
    response
}

/// The head that GET would have; ranges mean nothing to HEAD.
fn head(source: Source<'_>, fetch: &Fetch, metadata: &Metadata) -> Result<Response<Body>, Rejection> {
    let representation = source.representation(fetch, metadata);
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = whole_or_broken(fetch, &representation)?.headers(None, source.connection);
    Ok(response)
}

/// A body of unknown length that breaks must not look whole, as it would where only the connection's close ends it.
fn whole_or_broken<'a, 'b>(fetch: &Fetch, sent: &'a Representation<'b>) -> Result<&'a Representation<'b>, Rejection> {
    let hidden = sent.is_decompressed() && fetch.framing == Framing::Close;
    if hidden { Err(Rejection::NeedsFraming) } else { Ok(sent) }
}

/// Turns an opened read into an answer.
async fn answer(source: Source<'_>, fetch: &Fetch, read: Read) -> Result<Response<Body>, Rejection> {
    let of_no_use = read.part.is_some() && source.representation(fetch, &read.metadata).is_decompressed();
    let read = if of_no_use {
        // Only the answer told that this is gzip for a client that wants none; a range of it cannot be decompressed.
        source.open(Plan { range: None, pinned: None }).await?
    } else {
        read
    };
    let mut representation = source.representation(fetch, &read.metadata);
    if read.form == Form::Decompressed {
        // GCS did it in spite of our Accept-Encoding.
        representation.encoding = Encoding::Identity;
    }
    let headers = whole_or_broken(fetch, &representation)?.headers(read.part, source.connection);
    let status = if read.part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let body = match read.form {
        Form::Stored if representation.is_decompressed() => Body::decompressed(read.body).await?,
        Form::Stored | Form::Decompressed => Body::object(read.body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

impl<'a> Source<'a> {
    fn representation<'b>(self, fetch: &Fetch, metadata: &'b Metadata) -> Representation<'b>
    where
        'a: 'b,
    {
        let stored = metadata.is_gzip_stored() && fetch.encoding == AcceptedEncoding::Gzip;
        let encoding = if stored { Encoding::Gzip } else { Encoding::Identity };
        Representation { object: self.object, metadata, encoding }
    }

    async fn stat(self) -> Result<Metadata, Rejection> {
        let request = StatRequest {
            bucket: self.connection.config.uri.bucket.clone(),
            object: self.object.clone(),
            project: self.connection.project().cloned(),
        };
        let outcome = self.client.stat(&self.connection.credential, request).await;
        self.remember(outcome.as_ref()).await;
        Ok(outcome?)
    }

    /// Opens the object, which must still be the version that the plan was made for.
    async fn open(self, plan: Plan) -> Result<Read, Rejection> {
        let outcome = self.read(plan).await;
        self.remember(outcome.as_ref().map(|read| &read.metadata)).await;
        let read = outcome?;
        match plan.pinned {
            Some((_, planned)) if read.metadata.metageneration != planned => Err(gcs::Error::Changed.into()),
            _ => Ok(read),
        }
    }

    async fn read(self, plan: Plan) -> Result<Read, gcs::Error> {
        let request = ReadRequest {
            bucket: self.connection.config.uri.bucket.clone(),
            object: self.object.clone(),
            range: plan.range,
            generation: plan.pinned.map(|(generation, _)| generation),
            project: self.connection.project().cloned(),
        };
        self.client.read(&self.connection.credential, request).await
    }

    async fn remember(self, outcome: Result<&Metadata, &gcs::Error>) {
        let known = match outcome {
            Ok(metadata) => Known::Present(metadata.clone()),
            Err(gcs::Error::NotFound { .. }) => Known::Missing,
            Err(_) => return,
        };
        self.cache.insert(&self.connection.label, self.object, known, Instant::now()).await;
    }
}
