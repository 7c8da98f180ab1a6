//! The answer to a request whose head is malformed: the service never sees it, but the log does.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, Version};
use std::time::Duration;

use crate::server::Peer;
use crate::server::request_head::Malformed;
use crate::telemetry::{AccessEvent, Outcome, RequestId, Sender, Trace};

/// A short JSON error, after which an HTTP/1 connection is closed: where its next request begins is anyone's guess.
pub(super) fn answer(head: &Parts, malformed: Malformed, peer: Peer) -> Response<Bytes> {
    let sender = Sender::of(&head.headers);
    let id = sender.request_id();
    log(head, malformed, peer, (id.clone(), sender.trace()));
    let error = serde_json::json!({
        "error": { "code": malformed.code(), "message": malformed.to_string(), "request_id": id.as_str() }
    });
    let mut response = Response::new(Bytes::from(error.to_string()));
    *response.status_mut() = malformed.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RequestId::HEADER, id.header_value());
    if malformed.status() == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    }
    if head.version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn log(head: &Parts, malformed: Malformed, peer: Peer, (request_id, trace): (RequestId, Option<Trace>)) {
    AccessEvent {
        request_id,
        trace,
        client: Some(peer.address.ip().to_canonical()),
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        protocol: protocol(head.version),
        status: malformed.status().as_u16(),
        connection: None,
        object: None,
        generation: None,
        delivery: "none",
        reason: malformed.code(),
        cache: "none",
        bytes_sent: 0,
        to_first_byte: Duration::ZERO,
        to_end: Duration::ZERO,
        outcome: Outcome::Complete,
        user_agent: None,
    }
    .emit();
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}
