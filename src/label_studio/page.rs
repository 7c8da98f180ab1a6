//! What a client sees when Label Studio does not answer.

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

use super::upstream::UpstreamError;
use crate::gateway::body::Body;

const HTML: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Label Studio is away</title>\
<meta name=\"viewport\" content=\"width=device-width\"><body style=\"font:16px/1.5 sans-serif;margin:4em auto;max-width:36em\">\
<h1>Label Studio does not answer</h1><p>The gateway in front of it is well, but Label Studio itself cannot be reached. \
What you have submitted is safe; try again in a moment, or tell whoever runs it.</p></body></html>\n";

/// 502 or 504: a page for browsers, JSON for everybody else.
pub(super) fn away(head: &Parts, request_id: &str, error: &UpstreamError) -> Response<Body> {
    let (status, code) = match error {
        UpstreamError::Late => (StatusCode::GATEWAY_TIMEOUT, "label_studio_late"),
        UpstreamError::Connect(_)
        | UpstreamError::Broken(_)
        | UpstreamError::Unexpected(_)
        | UpstreamError::Body(_) => (StatusCode::BAD_GATEWAY, "label_studio_away"),
    };
    let accepted = head.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (text, content_type) = if accepted.contains("text/html") {
        (HTML.to_owned(), "text/html; charset=utf-8")
    } else {
        let message = "Label Studio does not answer.";
        let error = serde_json::json!({ "code": code, "message": message, "request_id": request_id });
        (serde_json::json!({ "error": error }).to_string(), "application/json")
    };
    let mut response = Response::new(Body::from(text.into_bytes()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
