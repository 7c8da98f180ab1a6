//! Rejections, and the one place where they become HTTP.
//!
//! A client sees a stable code, a fixed sentence and the request id; causes go to the log alone.
//! To somebody who is not admitted, an unknown connection, a forbidden and a missing object look the same.

use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::access::Denied;
use super::body::Body;
use super::budget::Spent;
use super::client_addr::ClientAddrError;
use super::fetch::FetchError;
use super::host::ForeignHost;
use super::jwt::{self, IdentityError};
use super::route::EncodingError;
use super::vendor::VendorRefusal;
use crate::gcs;
use crate::object::NameError;

/// Why a request gets no object.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// Nobody knows who asks.
    #[error(transparent)]
    ClientAddr(#[from] ClientAddrError),
    /// For somebody else.
    #[error(transparent)]
    ForeignHost(#[from] ForeignHost),
    /// Not admitted.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Neither a connection nor a page of the gateway.
    #[error("no such connection")]
    NoSuchRoute,
    /// Not percent-encoding.
    #[error(transparent)]
    Encoding(EncodingError),
    /// Not an object's name that can be served.
    #[error(transparent)]
    Name(NameError),
    /// Outside of the connection's filter or depth.
    #[error("the object is outside of the connection's filter")]
    Outside,
    /// The tool in front of which the gateway stands knows of no such object in the task.
    #[error("the object is not in the task")]
    NotInTask,
    /// The request is none for media.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A preflight from a foreign page.
    #[error("the origin is on no list of the connection")]
    OriginNotAllowed,
    /// The preconditions do not hold.
    #[error("a precondition does not hold")]
    PreconditionFailed,
    /// Beyond the end.
    #[error("the range is not satisfiable")]
    RangeNotSatisfiable {
        /// The object's size.
        size: u64,
    },
    /// `delivery = "signed-url"` without a signer.
    #[error("the connection demands signed URLs and its credential cannot sign")]
    CannotSign,
    /// Decompressed bytes over HTTP/1.0, where a break would look like the end.
    #[error("an object stored as gzip is decompressed for HTTP/1.1 and later only")]
    NeedsFraming,
    /// No token, or none that is good.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A vendor's proof is not good.
    #[error(transparent)]
    Vendor(#[from] VendorRefusal),
    /// Too much, too often, or too many at once.
    #[error(transparent)]
    BudgetSpent(#[from] Spent),
    /// GCS did not give it.
    #[error(transparent)]
    Upstream(#[from] gcs::Error),
}

/// What the client gets.
struct Answer {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
}

#[derive(Serialize)]
struct Document<'a> {
    error: Fields<'a>,
}

#[derive(Serialize)]
struct Fields<'a> {
    code: &'a str,
    message: &'a str,
    request_id: &'a str,
}

const UNAUTHENTICATED: Answer = Answer {
    status: StatusCode::UNAUTHORIZED,
    code: "unauthenticated",
    message: "This needs a token that is valid here and now.",
};

const LINK_INVALID: Answer = Answer {
    status: StatusCode::FORBIDDEN,
    code: "link_invalid",
    message: "This needs a link that is valid here and now; ask whoever gave you the link for another.",
};

const MISSING: Answer = Answer {
    status: StatusCode::NOT_FOUND,
    code: "not_found",
    message: "There is no such object here, or it may not be read from this network.",
};

impl Rejection {
    /// The stable code that stands in the answer and in the log.
    pub fn code(&self) -> &'static str {
        self.answer().code
    }

    /// The word for the log and the metrics; it tells apart what looks the same to the client.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ClientAddr(_) => "unknown-client",
            Self::Denied(Denied::Link(refusal)) => refusal.reason(),
            Self::Denied(Denied::Listed | Denied::NotAllowed | Denied::Filtered) => "denied",
            Self::Denied(Denied::Unidentified) => "unidentified",
            Self::Identity(IdentityError::Token(error)) => error.reason(),
            Self::Vendor(refusal) => refusal.reason(),
            Self::BudgetSpent(spent) => spent.reason(),
            Self::NoSuchRoute => "no-such-connection",
            Self::Outside => "outside-filter",
            Self::NotInTask => "not-in-task",
            other => other.code(),
        }
    }

    /// The HTTP answer, without CORS headers.
    pub fn into_response(self, request_id: &str) -> Response<Body> {
        let Answer { status, code, message } = self.answer();
        let document = Document { error: Fields { code, message, request_id } };
        let text = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self, Self::Fetch(FetchError::Method)) {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        }
        if let Self::RangeNotSatisfiable { size } = self
            && let Ok(value) = HeaderValue::try_from(format!("bytes */{size}"))
        {
            headers.insert(CONTENT_RANGE, value);
        }
        if matches!(self, Self::Denied(Denied::Listed | Denied::NotAllowed | Denied::Filtered) | Self::ClientAddr(_)) {
            // Whose address is not admitted shall not hold a place among the connections. HTTP/2 has no such header.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        response
    }

    /// What the operator can do about it; for the log.
    pub fn cure(&self) -> Option<&'static str> {
        match self {
            Self::Upstream(gcs::Error::Forbidden { .. }) => Some(
                "unless GCS names another reason, grant the credential's account storage.objects.get on the bucket, \
                 as roles/storage.objectViewer does",
            ),
            Self::Upstream(gcs::Error::Unauthorized { .. }) => {
                Some("see that the key is neither deleted nor disabled, and that the machine's clock is right")
            }
            Self::Upstream(gcs::Error::Refused { message, .. }) if message.contains("requester pays") => {
                Some("set project_id of the connection to the project that pays for reading")
            }
            _ => None,
        }
    }

    fn answer(&self) -> Answer {
        let answer = |status, code, message| Answer { status, code, message };
        match self {
            Self::Denied(Denied::Link(_)) => LINK_INVALID,
            Self::Denied(Denied::Unidentified) => UNAUTHENTICATED,
            Self::Identity(error) => identity(error),
            Self::Vendor(refusal) => vendor(refusal),
            Self::BudgetSpent(_) => answer(
                StatusCode::TOO_MANY_REQUESTS,
                "budget_spent",
                "Too much was asked for from here; Retry-After says when to try again.",
            ),
            Self::ClientAddr(_)
            | Self::Denied(Denied::Listed | Denied::NotAllowed | Denied::Filtered)
            | Self::NoSuchRoute
            | Self::Outside
            | Self::NotInTask => MISSING,
            Self::ForeignHost(_) => answer(
                StatusCode::MISDIRECTED_REQUEST,
                "foreign_host",
                "The gateway does not answer to this host name; server.public_url and server.hosts say which it has.",
            ),
            Self::Encoding(_) => {
                answer(StatusCode::BAD_REQUEST, "bad_path", "The path has a '%' without two hexadecimal digits.")
            }
            Self::Name(_) => answer(
                StatusCode::BAD_REQUEST,
                "bad_object_name",
                "Object names are UTF-8, 1 to 1024 bytes, without control characters and '.' or '..' segments.",
            ),
            Self::Fetch(FetchError::Method) => {
                answer(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Media is read by GET and HEAD.")
            }
            Self::Fetch(FetchError::ServiceWorker) => {
                answer(StatusCode::FORBIDDEN, "service_worker", "Media is not served as a service worker.")
            }
            Self::OriginNotAllowed => answer(
                StatusCode::FORBIDDEN,
                "origin_not_allowed",
                "This page's origin may not read here; the gateway's [cors] origins decide.",
            ),
            Self::PreconditionFailed => {
                answer(StatusCode::PRECONDITION_FAILED, "precondition_failed", "The object is another version.")
            }
            Self::RangeNotSatisfiable { .. } => {
                answer(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "The range begins beyond the end.")
            }
            Self::NeedsFraming => answer(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "http_version",
                "This object is stored as gzip: ask for it by HTTP/1.1, or accept gzip.",
            ),
            Self::CannotSign => {
                answer(StatusCode::INTERNAL_SERVER_ERROR, "cannot_sign", "The gateway cannot sign URLs here.")
            }
            Self::Upstream(error) => upstream(error),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Upstream(gcs::Error::Overloaded { retry_after }) => Some(*retry_after),
            Self::BudgetSpent(spent) => Some(spent.retry_after),
            Self::Identity(IdentityError::KeysUnavailable) => Some(jwt::fetched::BETWEEN),
            Self::Vendor(VendorRefusal::Unavailable(_)) => Some(Duration::from_secs(1)),
            Self::Upstream(gcs::Error::Throttled { retry_after } | gcs::Error::Unavailable { retry_after, .. }) => {
                Some(retry_after.unwrap_or(Duration::from_secs(1)))
            }
            _ => None,
        }
    }
}

/// The same for every fault of a token.
fn identity(error: &IdentityError) -> Answer {
    match error {
        IdentityError::Token(_) => UNAUTHENTICATED,
        IdentityError::KeysUnavailable => Answer {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "identity_unavailable",
            message: "The keys that tokens are checked with cannot be had; try again.",
        },
    }
}

/// The same for every fault of a proof, as for links.
fn vendor(refusal: &VendorRefusal) -> Answer {
    match refusal {
        VendorRefusal::Caller => UNAUTHENTICATED,
        VendorRefusal::Request => Answer {
            status: StatusCode::BAD_REQUEST,
            code: "bad_request",
            message: "The signer takes key=NAME and method=get.",
        },
        VendorRefusal::Unavailable(_) => Answer {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "vendor_unavailable",
            message: "The annotation platform could not be asked; try again.",
        },
        VendorRefusal::Token | VendorRefusal::AssignmentId | VendorRefusal::NotActive | VendorRefusal::NotNamed => {
            LINK_INVALID
        }
    }
}

/// Rounded up, so that nobody comes too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}

/// What a client learns of GCS's trouble: whether to try again, and that its own rights were not the question.
fn upstream(error: &gcs::Error) -> Answer {
    use gcs::Error as E;
    let answer = |status, code, message| Answer { status, code, message };
    match error {
        E::NotFound { .. } => MISSING,
        E::Unauthorized { .. } | E::Forbidden { .. } => answer(
            StatusCode::BAD_GATEWAY,
            "upstream_denied",
            "The bucket refused the gateway's own credential; the gateway's log says which permission is missing.",
        ),
        E::Credential(_) | E::Signature(_) => answer(
            StatusCode::BAD_GATEWAY,
            "credential_failed",
            "The gateway could not use its credential; its log says why.",
        ),
        E::Throttled { .. } | E::Unavailable { .. } => {
            answer(StatusCode::SERVICE_UNAVAILABLE, "upstream_unavailable", "The bucket is unavailable; try again.")
        }
        E::Overloaded { .. } => {
            answer(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too many requests are waiting; try again.")
        }
        E::FirstByteTimeout(_) | E::Stalled(_) => {
            answer(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "The bucket did not answer in time.")
        }
        E::Changed => answer(StatusCode::BAD_GATEWAY, "object_changed", "The object changed meanwhile; try again."),
        E::Connect { .. } | E::Broken(_) | E::EndedEarly { .. } => {
            answer(StatusCode::BAD_GATEWAY, "upstream_unreachable", "The bucket could not be reached.")
        }
        E::RangeNotSatisfiable { .. }
        | E::Redirected { .. }
        | E::Refused { .. }
        | E::Protocol(_)
        | E::Corrupt { .. } => {
            answer(StatusCode::BAD_GATEWAY, "upstream_error", "The bucket's answer could not be used.")
        }
    }
}
