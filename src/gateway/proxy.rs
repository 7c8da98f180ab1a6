//! Delivery by streaming: one object's bytes, in the order and with the head that RFC 9110 wants.
//!
//! A plain GET costs one upstream request, whose answer also carries the metadata.
//! Conditions are decided on metadata first, fetched or cached; what is then read is pinned to that generation.
//! Nothing is ever mixed of two versions: what turns out to be outdated is looked at once more.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};

use super::access::Admitted;
use super::body::Body;
use super::decide::Decision;
use super::exchange::Exchange;
use super::fetch::{Encoding, Fetch, FetchMethod, Framing, Outcome, RangeValidity};
use super::headers::Representation;
use super::reject::Rejection;
use super::supply::{Plan, Source, Supply};
use crate::cache::Known;
use crate::gcs::{self, Form};
use crate::object::Metadata;

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
    let cached = source.cache.lookup(&source.connection.label, source.object, exchange.started());
    exchange.cached(if cached.is_some() { "hit" } else { "miss" });
    let knowledge = match cached {
        Some(Known::Missing) => return Err(gcs::Error::NotFound { message: "remembered".to_owned() }.into()),
        Some(Known::Present(metadata)) => Knowledge::Remembered(metadata),
        None if fetch.method == FetchMethod::Head || !fetch.conditions.is_empty() => {
            Knowledge::Asked(source.stat().await?)
        }
        // Its bytes are here: whether they are current costs less to ask than they do.
        None if source.objects.holds(source.place()) => {
            let metadata = source.stat().await?;
            exchange.revalidating();
            Knowledge::Asked(metadata)
        }
        None => Knowledge::Nothing,
    };
    match attempt(source, fetch, exchange, &decide, knowledge.metadata()).await {
        Err(rejection) if knowledge.may_be_outdated(&rejection) => {
            if matches!(knowledge, Knowledge::Remembered(_)) {
                exchange.cached("stale");
            }
            source.cache.forget(&source.connection.label, source.object);
            let metadata = source.stat().await?;
            Box::pin(attempt(source, fetch, exchange, &decide, Some(&metadata))).await
        }
        outcome => outcome,
    }
}

/// What is known of an object before it is read.
enum Knowledge {
    Nothing,
    Remembered(Arc<Metadata>),
    Asked(Arc<Metadata>),
}

impl Knowledge {
    fn metadata(&self) -> Option<&Arc<Metadata>> {
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
    known: Option<&Arc<Metadata>>,
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
    let supply = source.supply(fetch, plan, known, exchange).await?;
    let decision = decide(supply.metadata.size);
    if matches!(decision, Decision::SignedUrl(_)) {
        return Ok(Opened::Redirect(decision));
    }
    exchange.found(supply.metadata.generation);
    answer(source, fetch, supply).await.map(|response| Opened::Answer(response, decision))
}

/// What to do about an object that is known.
enum Step {
    /// No byte of it is needed.
    Answer(Response<Body>),
    Read(Plan),
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

/// Turns bytes into an answer.
async fn answer(source: Source<'_>, fetch: &Fetch, supply: Supply) -> Result<Response<Body>, Rejection> {
    let of_no_use = supply.part.is_some() && source.representation(fetch, &supply.metadata).is_decompressed();
    let supply = if of_no_use {
        // Only the answer told that this is gzip for a client that wants none; a range of it cannot be decompressed.
        Box::pin(source.open(Plan { range: None, pinned: None })).await?.into()
    } else {
        supply
    };
    let mut representation = source.representation(fetch, &supply.metadata);
    if supply.form == Form::Decompressed {
        // GCS did it in spite of our Accept-Encoding.
        representation.encoding = Encoding::Identity;
    }
    let headers = whole_or_broken(fetch, &representation)?.headers(supply.part, source.connection);
    let status = if supply.part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let body = match supply.form {
        Form::Stored if representation.is_decompressed() => supply.bytes.into_decompressed().await?,
        Form::Stored | Form::Decompressed => supply.bytes.into_body(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}
