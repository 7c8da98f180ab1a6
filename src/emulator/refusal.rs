//! Refusals and how each of GCS's APIs words them.
//!
//! One refusal has three faces: JSON for metadata, plain text for media, XML for the XML API.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/status-codes> and
//! <https://cloud.google.com/storage/docs/xml-api/reference-status>.

use http::header::{CONTENT_RANGE, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::body::Body;
use super::record::Operation;

/// Which API is speaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// JSON API, metadata.
    Json,
    /// JSON API, media.
    Text,
    /// XML API.
    Xml,
}

impl Style {
    /// The style of an operation's API.
    pub(super) fn of(operation: Operation) -> Self {
        match operation {
            Operation::Media => Self::Text,
            Operation::XmlGet | Operation::XmlHead | Operation::Preflight => Self::Xml,
            _ => Self::Json,
        }
    }
}

/// Why a request is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: &'static str,
    code: &'static str,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    fields: Vec<(&'static str, String)>,
}

impl Refusal {
    fn new(status: StatusCode, reason: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, code, message: message.into(), headers: Vec::new(), fields: Vec::new() }
    }

    /// 400.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", "InvalidArgument", message)
    }

    /// 400 of a requester-pays bucket.
    pub(super) fn no_user_project() -> Self {
        let text = "Bucket is a requester pays bucket but no user project provided.";
        Self::new(StatusCode::BAD_REQUEST, "required", "UserProjectMissing", text)
    }

    /// 400 of a signed URL past its time.
    pub(super) fn expired(at: &str) -> Self {
        let text = format!("Request signature expired at: {at}");
        Self::new(StatusCode::BAD_REQUEST, "invalid", "ExpiredToken", text)
    }

    /// 401: a credential that is not good.
    pub(super) fn unauthenticated() -> Self {
        let mut refusal =
            Self::new(StatusCode::UNAUTHORIZED, "authError", "AuthenticationRequired", "Invalid Credentials");
        let challenge = "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"";
        refusal.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
        refusal
    }

    /// 401 of a caller without a credential, 403 of one with.
    pub(super) fn denied(who: Option<&str>, permission: &str, what: &str) -> Self {
        let caller = who.unwrap_or("Anonymous caller");
        let text = format!(
            "{caller} does not have {permission} access to the Google Cloud Storage {what}. \
             Permission '{permission}' denied on resource (or it may not exist)."
        );
        if who.is_some() {
            return Self::new(StatusCode::FORBIDDEN, "forbidden", "AccessDenied", text);
        }
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, "required", "AuthenticationRequired", text);
        let challenge = "Bearer realm=\"https://accounts.google.com/\"";
        refusal.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
        refusal
    }

    /// 403 with another reason.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "AccessDenied", message)
    }

    /// 403 of a signed URL whose signature is not its own; echoes what should have been signed, as GCS does.
    pub(super) fn wrong_signature(string_to_sign: &str, canonical_request: &str) -> Self {
        let mut refusal = Self::new(StatusCode::FORBIDDEN, "forbidden", "SignatureDoesNotMatch", "");
        refusal.fields.push(("StringToSign", string_to_sign.to_owned()));
        refusal.fields.push(("CanonicalRequest", canonical_request.to_owned()));
        refusal
    }

    /// 404 of an object.
    pub(super) fn no_object(bucket: &str, object: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "notFound", "NoSuchKey", format!("No such object: {bucket}/{object}"))
    }

    /// 404 of a bucket.
    pub(super) fn no_bucket() -> Self {
        Self::new(StatusCode::NOT_FOUND, "notFound", "NoSuchBucket", "The specified bucket does not exist.")
    }

    /// 404 of a URL that means nothing.
    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "notFound", "NoSuchKey", "Not Found")
    }

    /// 405.
    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed", "MethodNotAllowed", "Method Not Allowed")
    }

    /// 412.
    pub(super) fn precondition() -> Self {
        let text = "At least one of the pre-conditions you specified did not hold.";
        Self::new(StatusCode::PRECONDITION_FAILED, "conditionNotMet", "PreconditionFailed", text)
    }

    /// 413.
    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "uploadTooLarge", "EntityTooLarge", "The upload is too large.")
    }

    /// 416.
    pub(super) fn range(size: u64) -> Self {
        let text = "The requested range cannot be satisfied.";
        let mut refusal =
            Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "requestedRangeNotSatisfiable", "InvalidRange", text);
        if let Ok(value) = HeaderValue::try_from(format!("bytes */{size}")) {
            refusal.headers.push((CONTENT_RANGE, value));
        }
        refusal
    }

    /// 500 of a folder that cannot be read.
    pub(super) fn backend() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "backendError",
            "InternalError",
            "We encountered an internal error.",
        )
    }

    /// The answer.
    pub(super) fn answer(&self, style: Style) -> Response<Body> {
        let (kind, text) = match style {
            Style::Json => ("application/json; charset=UTF-8", self.json()),
            Style::Text => ("text/html; charset=UTF-8", self.message.clone()),
            Style::Xml => ("application/xml; charset=UTF-8", self.xml()),
        };
        let mut response = Response::new(Body::full(text));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    fn json(&self) -> String {
        let mut error = json!({"message": self.message, "domain": "global", "reason": self.reason});
        if self.status == StatusCode::UNAUTHORIZED {
            error["locationType"] = "header".into();
            error["location"] = "Authorization".into();
        }
        json!({"error": {"code": self.status.as_u16(), "message": self.message, "errors": [error]}}).to_string()
    }

    fn xml(&self) -> String {
        let message = match self.code {
            "AccessDenied" => "Access denied.",
            "AuthenticationRequired" => "Authentication required.",
            "ExpiredToken" => "Invalid argument.",
            "NoSuchKey" => "The specified key does not exist.",
            "SignatureDoesNotMatch" => {
                "Access denied. The request signature we calculated does not match the signature you provided. \
                 Check your Google secret key and signing method."
            }
            "UserProjectMissing" => "User project specified in the request is invalid.",
            _ => &self.message,
        };
        let mut text = format!(
            "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>{}</Message>",
            self.code,
            escape(message)
        );
        if message != self.message && !self.message.is_empty() {
            text.extend(["<Details>", &escape(&self.message), "</Details>"]);
        }
        for (name, value) in &self.fields {
            text.extend(["<", name, ">", &escape(value), "</", name, ">"]);
        }
        text + "</Error>"
    }
}

/// Escapes text for XML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A JSON answer.
pub(super) fn json_answer(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    json_text(status, value.to_string())
}

/// A JSON answer whose text is there already.
pub(super) fn json_text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    response
}

/// A plain-text answer.
pub(super) fn text_answer(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::full(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/text"));
    response
}
