//! Objects that no connection covers: Label Studio signs a URL, and the gateway fetches it in the client's place.
//!
//! Only a URL of the configured storage host is ever fetched. The request is built anew: the client's range and
//! conditions go along, its cookies and tokens do not. Only headers of a short list come back.

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, HeaderName, HeaderValue,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, LOCATION, RANGE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode, Uri};

use super::upstream::Upstream;
use crate::object::is_active;

/// What the storage host is asked about one object.
const ASKED: [HeaderName; 6] = [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
/// What it may say about it.
const TOLD: [HeaderName; 10] = [
    ACCEPT_RANGES,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    ETAG,
    LAST_MODIFIED,
    HeaderName::from_static("x-goog-hash"),
];

/// Takes from a request what is about the bytes wanted: of these, Label Studio gives wrong ones.
pub(super) fn without_range(headers: &mut HeaderMap) {
    for name in ASKED {
        headers.remove(name);
    }
}

/// Where a redirect leads, if it leads to the storage host.
pub(super) fn leads_home<B>(answer: &Response<B>, storage: &Upstream) -> Option<Uri> {
    if answer.status() != StatusCode::SEE_OTHER {
        return None;
    }
    let target: Uri = answer.headers().get(LOCATION)?.to_str().ok()?.parse().ok()?;
    storage.is_home_of(&target).then_some(target)
}

/// The request for the signed URL.
pub(super) fn fetch(head: &Parts, target: &Uri, storage: &Upstream) -> Option<Request<()>> {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from(target.path_and_query()?.clone());
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(storage.host()).ok()?);
    for name in ASKED {
        if let Some(value) = head.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let accepted = head.headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepted.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("gzip")) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(request)
}

/// The head that the client gets. A further redirect is never followed nor passed on.
pub(super) fn answer(fetched: &http::response::Parts) -> Response<()> {
    let mut response = Response::new(());
    let redirected = fetched.status.is_redirection() && fetched.status != StatusCode::NOT_MODIFIED;
    *response.status_mut() = if redirected { StatusCode::BAD_GATEWAY } else { fetched.status };
    let headers = response.headers_mut();
    for name in TOLD {
        if let Some(value) = fetched.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Cookie, Authorization, Accept-Encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if is_active(content_type) || !response.status().is_success() {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    }
    response
}
