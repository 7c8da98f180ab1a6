//! One request and its answer, from the first header to the last byte: what the access log and the metrics say about it.
//!
//! Filled in along the request path; closed exactly once, when the body is done or dropped.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::CONTENT_RANGE;
use http::request::Parts;
use http::{Method, Response};
use http_body::Body;

use super::access::Admitted;
use super::budget::Tab;
use super::client_addr::ClientAddr;
use super::connection::Connection;
use super::decide::Decision;
use super::reject::Rejection;
use crate::audit::{Audit, Record};
use crate::metrics::{FinishedRequest, Held, Metrics, Requests};
use crate::object::{Generation, ObjectName};
use crate::telemetry::{AccessEvent, Causes, Outcome, RequestId, Sender};

/// One request and its answer.
#[derive(Debug)]
pub struct Exchange {
    metrics: Metrics,
    /// Counts it as in flight until it is gone, whatever happens on its way out.
    _in_flight: Held,
    /// Of the connection that the client was admitted to.
    requests: Option<Arc<Requests>>,
    started: Instant,
    to_head: Option<Duration>,
    ending: Option<Outcome>,
    announced: Option<u64>,
    decision: Option<Decision>,
    event: AccessEvent,
    audit: Audit,
    /// Whose budgets pay for it.
    tabs: Vec<Tab>,
    /// What only the audit log says; nothing for requests that are not for media.
    entry: Option<Box<Entry>>,
}

/// What the audit log says beyond the access log.
#[derive(Debug)]
struct Entry {
    time: SystemTime,
    connection: Option<String>,
    subject: Option<String>,
    link: Option<String>,
    range: Option<String>,
}

impl Exchange {
    /// Begins with a request's head. Boxed, since it is handed on until the last byte, and is large.
    pub fn begin(head: &Parts, metrics: &Metrics, audit: &Audit) -> Box<Self> {
        let sender = Sender::of(&head.headers);
        Box::new(Self {
            metrics: metrics.clone(),
            _in_flight: Held::new(metrics.in_flight()),
            requests: None,
            started: Instant::now(),
            to_head: None,
            ending: None,
            announced: None,
            decision: None,
            event: AccessEvent {
                request_id: sender.request_id(),
                trace: sender.trace(),
                client: None,
                method: head.method.clone(),
                path: head.uri.path().to_owned(),
                protocol: protocol(head.version),
                status: 0,
                connection: None,
                object: None,
                generation: None,
                delivery: "none",
                reason: "none",
                cache: "none",
                bytes_sent: 0,
                to_first_byte: Duration::ZERO,
                to_end: Duration::ZERO,
                outcome: Outcome::Complete,
                user_agent: sender.user_agent(),
            },
            audit: audit.clone(),
            tabs: Vec::new(),
            entry: None,
        })
    }

    /// When the request came.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The request's id, accepted or made.
    pub fn request_id(&self) -> &RequestId {
        &self.event.request_id
    }

    /// The connection, if the client was admitted to one.
    pub fn connection(&self) -> Option<&str> {
        self.event.connection.as_deref()
    }

    /// The request is for media of `connection`, if there is one of that name: the audit log shall tell of it, even
    /// if it is refused. Preflights are not, since they read nothing.
    pub fn asks_for_media(&mut self, connection: Option<&Arc<str>>) {
        if self.audit.is_on() && self.event.method != Method::OPTIONS {
            let connection = connection.map(ToString::to_string);
            let entry = Entry { time: SystemTime::now(), connection, subject: None, link: None, range: None };
            self.entry = Some(Box::new(entry));
        }
    }

    /// The client's address is known.
    pub fn asked_by(&mut self, client: ClientAddr) {
        self.event.client = Some(client.ip());
    }

    /// The client was admitted to a connection that the configuration has.
    pub fn admitted_to(&mut self, connection: &Connection) {
        self.event.connection = Some(Arc::clone(&connection.label));
        self.requests = Some(Arc::clone(&connection.requests));
    }

    /// The client may read: the audit log shall tell who that is, as far as it was verified.
    pub fn let_in(&mut self, admitted: &Admitted) {
        if let Some(entry) = &mut self.entry {
            entry.subject = admitted.subject().map(ToString::to_string);
            entry.link = admitted.link().map(|link| link.to_string());
        }
    }

    /// A budget pays for it: what is sent is charged, and the answer counts as open until it has ended.
    pub fn paid_by(&mut self, tab: Option<Tab>) {
        self.tabs.extend(tab);
    }

    /// The object is known.
    pub fn wants(&mut self, object: &ObjectName) {
        self.event.object = Some(object.shared());
    }

    /// The generation that is delivered is known.
    pub fn found(&mut self, generation: Generation) {
        self.event.generation = Some(generation.0);
    }

    /// What the metadata cache knew: `hit` or `miss`.
    pub fn cached(&mut self, result: &'static str) {
        self.metrics.cache("metadata", result);
        self.event.cache = result;
    }

    /// What is remembered is too old to be trusted, and GCS is asked whether it still holds.
    pub fn revalidating(&mut self) {
        self.event.cache = "revalidated";
    }

    /// Where the bytes come from: `hit` out of memory, `joined` to another request's fill, `fill` or `miss` from GCS.
    pub fn supplied(&mut self, result: &'static str) {
        let result = if (result, self.event.cache) == ("hit", "revalidated") { "revalidated" } else { result };
        self.metrics.cache("objects", result);
        self.event.cache = match (result, self.event.cache) {
            (_, "stale") => "stale",
            ("hit" | "revalidated", _) => result,
            _ => "miss",
        };
    }

    /// The delivery is decided.
    pub fn decided(&mut self, decision: Decision) {
        self.event.delivery = decision.delivery();
        self.event.reason = decision.reason().as_str();
        self.decision = Some(decision);
    }

    /// The decision, once there is one.
    pub fn decision(&self) -> Option<Decision> {
        self.decision
    }

    /// The answer is another's, who stands behind the gateway.
    pub fn passed_on(&mut self, reason: &'static str) {
        self.event.delivery = "pass";
        self.event.reason = reason;
    }

    /// A client of Cloud Storage's own API asks for something that is no media: for what.
    pub fn asked_of_storage(&mut self, operation: &'static str) {
        self.event.delivery = "storage";
        self.event.reason = operation;
    }

    /// The request is refused.
    pub fn rejected(&mut self, rejection: &Rejection) {
        self.event.reason = rejection.reason();
    }

    /// The answer's head is ready.
    pub fn answered<B: Body>(&mut self, response: &Response<B>) {
        self.event.status = response.status().as_u16();
        self.announced = response.body().size_hint().exact();
        self.to_head = Some(self.started.elapsed());
        if let Some(entry) = &mut self.entry {
            let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
            entry.range = range.map(str::to_owned);
        }
    }

    /// Some bytes of body were handed to the client's connection.
    pub fn sent(&mut self, bytes: usize) {
        self.event.bytes_sent += bytes as u64;
        for tab in &self.tabs {
            tab.charge(bytes as u64, SystemTime::now());
        }
    }

    /// The body came to its end, or broke.
    pub fn body_ended(&mut self, error: Option<&(dyn std::error::Error + 'static)>) {
        if let Some(error) = error {
            tracing::warn!(
                request_id = self.event.request_id.as_str(),
                error = %Causes(error),
                "the answer was broken off"
            );
        }
        self.ending = Some(if error.is_some() { Outcome::Aborted } else { Outcome::Complete });
    }

    /// A body that was dropped is complete only if it was all handed over, or if there was none.
    fn outcome(&self) -> Outcome {
        let whole = self.event.method == Method::HEAD || self.announced == Some(self.event.bytes_sent);
        self.ending.unwrap_or(if whole { Outcome::Complete } else { Outcome::ClientGone })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Where there is no body, the head is the end.
        let to_head = self.to_head.filter(|_| self.announced == Some(0));
        let to_end = to_head.unwrap_or_else(|| self.started.elapsed());
        self.event.outcome = self.outcome();
        self.event.to_end = to_end;
        self.event.to_first_byte = self.to_head.unwrap_or(to_end);
        self.metrics.request(&FinishedRequest {
            connection: self.requests.as_deref(),
            delivery: self.event.delivery,
            reason: self.event.reason,
            status: self.event.status,
            cache: self.event.cache,
            bytes_sent: self.event.bytes_sent,
            to_first_byte: self.event.to_first_byte,
            to_end,
        });
        self.event.emit();
        if let Some(entry) = self.entry.take() {
            self.audit.record(entry.record(&self.event));
        }
    }
}

impl Entry {
    fn record(self, event: &AccessEvent) -> Record {
        Record {
            time: self.time,
            request_id: event.request_id.as_str().to_owned(),
            subject: self.subject,
            link: self.link,
            client: event.client,
            method: event.method.to_string(),
            connection: self.connection,
            object: event.object.as_deref().map(str::to_owned),
            generation: event.generation,
            range: self.range,
            status: event.status,
            bytes_sent: event.bytes_sent,
            delivery: event.delivery,
            reason: event.reason,
            outcome: event.outcome.as_str(),
            took: event.to_end,
        }
    }
}

fn protocol(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_11 => "HTTP/1.1",
        http::Version::HTTP_2 => "HTTP/2",
        _ => "other",
    }
}
