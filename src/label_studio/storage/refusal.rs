//! Refusals, and the one place where they become what Google's clients understand: JSON, or XML for signed URLs.
//!
//! Statuses and reasons are those of Cloud Storage, so that clients give up or try again as they would there; what may
//! not be seen looks as to an account without rights. Texts hold no path, query, token or signature.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/status-codes> and
//! <https://cloud.google.com/storage/docs/xml-api/reference-status>.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::gateway::body::Body;
use crate::gateway::jwt::JwtError;
use crate::gcs;
use crate::object::NameError;

/// Why a client gets nothing, or nothing done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// No token, or none that is good.
    #[error("no good token: {0}")]
    Token(#[from] JwtError),
    /// Not configured, outside of every prefix, or not for this token.
    #[error("{permission} is not granted")]
    Denied {
        /// Whom the token is of.
        email: String,
        /// At Google's.
        permission: &'static str,
    },
    /// Of another version than the one asked for.
    #[error("no such version")]
    NoVersion,
    /// Not a path of the API.
    #[error("no such path")]
    Nowhere,
    /// Not a method of the path.
    #[error("only {0}")]
    Method(&'static str),
    /// Cannot be understood, or is not served.
    #[error("{0}")]
    Invalid(String),
    /// Over the limit.
    #[error("the upload is larger than {0} bytes")]
    TooLarge(u64),
    /// The client fell silent.
    #[error("the upload stalled")]
    Stalled,
    /// The client went, or ended too early.
    #[error("the upload broke off")]
    Broken,
    /// The signature of a URL.
    #[error("the signature is wrong")]
    Signature,
    /// A URL's time is over.
    #[error("the signed URL has expired")]
    Expired,
    /// Google's own answer.
    #[error(transparent)]
    Upstream(#[from] gcs::Error),
}

struct Answer {
    status: StatusCode,
    /// Of the JSON API.
    reason: &'static str,
    /// Of the XML API.
    code: &'static str,
    message: String,
}

impl Refusal {
    /// A name that cannot be served.
    pub(super) fn name(error: NameError) -> Self {
        Self::Invalid(format!("This object's name cannot be used here: {error}."))
    }

    /// The answer of the JSON API.
    pub(super) fn json(&self) -> Response<Body> {
        let Answer { status, reason, message, .. } = self.answer();
        let error = json!({ "message": message, "domain": "global", "reason": reason });
        let document = json!({ "error": { "code": status.as_u16(), "message": message, "errors": [error] } });
        self.response(status, "application/json; charset=UTF-8", document.to_string())
    }

    /// The answer of the XML API, whose texts have nothing in them that XML would read.
    pub(super) fn xml(&self) -> Response<Body> {
        let Answer { status, code, message, .. } = self.answer();
        let message = message.replace('&', "&amp;").replace('<', "&lt;");
        let text = format!(
            "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        );
        self.response(status, "application/xml; charset=UTF-8", text)
    }

    fn response(&self, status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
        let mut response = Response::new(Body::from(text.into_bytes()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Self::Method(allowed) = self {
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// The word for the log.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Token(error) => error.reason(),
            Self::Signature => "storage-signature",
            Self::Expired => "storage-expired",
            Self::Denied { .. } => "storage-denied",
            Self::TooLarge(_) => "storage-too-large",
            Self::Stalled | Self::Broken => "storage-broken-upload",
            Self::Upstream(_) => "storage-upstream",
            Self::NoVersion | Self::Nowhere | Self::Method(_) | Self::Invalid(_) => "storage-request",
        }
    }

    fn answer(&self) -> Answer {
        let answer =
            |status, (reason, code), message: &str| Answer { status, reason, code, message: message.to_owned() };
        let invalid = ("invalid", "InvalidArgument");
        match self {
            Self::Token(_) => {
                answer(StatusCode::UNAUTHORIZED, ("authError", "AuthenticationRequired"), "Invalid Credentials")
            }
            Self::Denied { email, permission } => answer(
                StatusCode::FORBIDDEN,
                ("forbidden", "AccessDenied"),
                &format!(
                    "{email} does not have {permission} access here. Permission '{permission}' denied on resource (or it \
                     may not exist)."
                ),
            ),
            Self::NoVersion => {
                answer(StatusCode::NOT_FOUND, ("notFound", "NoSuchKey"), "No such object of this generation.")
            }
            Self::Nowhere => answer(StatusCode::NOT_FOUND, ("notFound", "NoSuchKey"), "Not Found"),
            Self::Method(_) => {
                answer(StatusCode::METHOD_NOT_ALLOWED, ("methodNotAllowed", "MethodNotAllowed"), "Not allowed here.")
            }
            Self::Invalid(why) => answer(StatusCode::BAD_REQUEST, invalid, why),
            Self::TooLarge(limit) => answer(
                StatusCode::PAYLOAD_TOO_LARGE,
                ("uploadTooLarge", "EntityTooLarge"),
                &format!("Objects of up to {limit} bytes are taken; max_upload of the gateway decides."),
            ),
            Self::Stalled => answer(StatusCode::REQUEST_TIMEOUT, ("requestTimeout", "RequestTimeout"), "No byte came."),
            Self::Broken => answer(StatusCode::BAD_REQUEST, invalid, "The upload ended before its end."),
            Self::Signature => answer(
                StatusCode::FORBIDDEN,
                ("forbidden", "SignatureDoesNotMatch"),
                "Access denied. The signature is not one that this gateway trusts for this request.",
            ),
            Self::Expired => {
                answer(StatusCode::BAD_REQUEST, ("expired", "ExpiredToken"), "The provided token has expired.")
            }
            Self::Upstream(error) => upstream(error),
        }
    }
}

/// As Google would say it to somebody with the gateway's rights; the gateway's own troubles are those of a server.
fn upstream(error: &gcs::Error) -> Answer {
    use gcs::Error as E;
    let answer = |status, (reason, code), message: &str| Answer { status, reason, code, message: message.to_owned() };
    let away = ("backendError", "ServiceUnavailable");
    match error {
        E::NotFound { .. } => answer(StatusCode::NOT_FOUND, ("notFound", "NoSuchKey"), "No such object."),
        E::Changed => answer(
            StatusCode::PRECONDITION_FAILED,
            ("conditionNotMet", "PreconditionFailed"),
            "At least one of the pre-conditions you specified did not hold.",
        ),
        E::Forbidden { .. } | E::Unauthorized { .. } | E::Credential(_) | E::Signature(_) => answer(
            StatusCode::FORBIDDEN,
            ("forbidden", "AccessDenied"),
            "The bucket refused the gateway's own credential; the gateway's log says why.",
        ),
        E::Throttled { .. } => answer(StatusCode::TOO_MANY_REQUESTS, ("rateLimitExceeded", "SlowDown"), "Slow down."),
        E::Unavailable { .. } | E::Overloaded { .. } => {
            answer(StatusCode::SERVICE_UNAVAILABLE, away, "The bucket is unavailable; try again.")
        }
        E::FirstByteTimeout(_) | E::Stalled(_) => {
            answer(StatusCode::GATEWAY_TIMEOUT, away, "The bucket did not answer in time.")
        }
        E::Refused { status: 400, .. } => answer(
            StatusCode::BAD_REQUEST,
            ("invalid", "InvalidArgument"),
            "Cloud Storage refused this: a checksum that does not fit, or a value that it does not take.",
        ),
        E::Connect { .. }
        | E::Broken(_)
        | E::EndedEarly { .. }
        | E::RangeNotSatisfiable { .. }
        | E::Redirected { .. }
        | E::Refused { .. }
        | E::Protocol(_)
        | E::Corrupt { .. } => answer(StatusCode::BAD_GATEWAY, away, "The bucket's answer could not be had."),
    }
}
