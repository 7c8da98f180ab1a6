//! What the console answers with: bodies, JSON, and refusals that say what to do.
//!
//! Decides every status of its own and what each answer carries. An error of GCS is told with its cause: whoever asks here
//! operates the gateway. Secrets are in no error to begin with.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde::Serialize;

use crate::gcs;
use crate::server::BoxError;
use crate::tasks;
use crate::telemetry::{Causes, RequestId};

/// A body of the console; an error breaks the connection visibly.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

pub(super) const JSON: &str = "application/json";
pub(super) const JSON_LINES: &str = "application/x-ndjson";

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is nothing here; /api/v1/openapi.json tells what there is")]
    NotFound,
    #[error("there is no connection of this name; GET /api/v1/connections lists them")]
    NoSuchConnection,
    #[error("the method is not one of this address")]
    Method(&'static str),
    #[error("the Host is not one of this listener's; use localhost or its address, or name it in admin.hosts")]
    ForeignHost,
    #[error("a page of another origin may not ask this")]
    CrossSite,
    #[error("send the token of admin.token_file as Authorization: Bearer TOKEN")]
    Unauthorized,
    #[error("{0}")]
    Query(String),
    #[error("what was sent cannot be used: {0}")]
    Content(String),
    #[error("links are given out only to who shows a token; name a file with one in admin.token_file")]
    TokenNeeded,
    #[error("{0}")]
    NoLinks(String),
    #[error("this takes no content")]
    UnexpectedContent,
    #[error("{0}")]
    Busy(&'static str),
    #[error(
        "server.public_url is not set, but the manifest's URLs begin with it; set it, or give public_url or gs_uri"
    )]
    NoPublicUrl,
    #[error("GCS did not answer as hoped; testing the connection says more")]
    Upstream(#[from] gcs::Error),
    #[error("the manifest cannot be made")]
    Manifest(#[from] tasks::Error),
    #[error("a thread of our own ended")]
    Lost,
}

#[derive(Serialize)]
struct Document<'a> {
    error: Fields<'a>,
}

#[derive(Serialize)]
struct Fields<'a> {
    code: &'static str,
    message: String,
    request_id: &'a str,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::NoSuchConnection => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::CrossSite | Self::TokenNeeded => StatusCode::FORBIDDEN,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Query(_) | Self::Content(_) | Self::UnexpectedContent => StatusCode::BAD_REQUEST,
            Self::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoPublicUrl | Self::NoLinks(_) => StatusCode::CONFLICT,
            Self::Upstream(_) | Self::Manifest(_) => StatusCode::BAD_GATEWAY,
            Self::Lost => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable word.
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NoSuchConnection => "no_such_connection",
            Self::Method(_) => "method_not_allowed",
            Self::ForeignHost => "foreign_host",
            Self::CrossSite => "cross_site",
            Self::Unauthorized => "unauthorized",
            Self::Query(_) => "bad_query",
            Self::Content(_) => "bad_content",
            Self::TokenNeeded => "token_needed",
            Self::NoLinks(_) => "no_links",
            Self::UnexpectedContent => "unexpected_content",
            Self::Busy(_) => "busy",
            Self::NoPublicUrl => "no_public_url",
            Self::Upstream(_) | Self::Manifest(_) => "upstream_failed",
            Self::Lost => "internal",
        }
    }

    pub(super) fn into_response(self, id: &RequestId) -> Response<Body> {
        let message = Causes(&self).to_string();
        let status = self.status();
        if status.is_server_error() {
            tracing::warn!(request_id = id.as_str(), error = message, "the console could not answer");
        }
        let document = Document { error: Fields { code: self.code(), message, request_id: id.as_str() } };
        let mut response = json(&document);
        *response.status_mut() = status;
        let (name, value) = match self {
            Self::Method(allowed) => (ALLOW, HeaderValue::from_static(allowed)),
            Self::Unauthorized => (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"gsgate\"")),
            Self::Busy(_) => (RETRY_AFTER, HeaderValue::from_static("2")),
            _ => return response,
        };
        response.headers_mut().insert(name, value);
        response
    }
}

/// A whole body.
pub(super) fn full(content_type: &'static str, bytes: impl Into<Bytes>) -> Response<Body> {
    of_type(content_type, Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync())
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> Response<Body> {
    full(JSON, serde_json::to_vec(value).expect("text, numbers and lists with text as keys, written to memory"))
}

/// A body that comes piece by piece.
pub(super) fn streamed(
    content_type: &'static str,
    pieces: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
) -> Response<Body> {
    of_type(content_type, StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync())
}

fn of_type(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// What every answer carries.
pub(super) fn seal(headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"));
    headers.insert(RequestId::HEADER, id.header_value());
}
