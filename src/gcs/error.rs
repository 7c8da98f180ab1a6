//! What can go wrong between the gateway and GCS.
//!
//! The texts that GCS sent are for the log; no variant holds a token, a signature or a URL.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Any cause from a library.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why GCS did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable token.
    #[error("the credential gave no token")]
    Credential(#[source] Source),
    /// No signature could be made.
    #[error("the credential gave no signature")]
    Signature(#[source] Source),
    /// No connection: DNS, TCP or TLS.
    #[error("cannot connect to {authority}")]
    Connect {
        /// Whom we tried to reach.
        authority: String,
        /// What happened.
        #[source]
        source: Source,
    },
    /// The connection broke in the middle of an answer.
    #[error("the connection broke")]
    Broken(#[source] Source),
    /// The body ended before its announced length.
    #[error("the body ended after {received} of {expected} bytes")]
    EndedEarly {
        /// Bytes that came.
        received: u64,
        /// Bytes that were announced.
        expected: u64,
    },
    /// No head of an answer in time.
    #[error("no answer within {0:?}")]
    FirstByteTimeout(Duration),
    /// A body fell silent.
    #[error("no byte for {0:?}")]
    Stalled(Duration),
    /// Too many requests of our own are waiting.
    #[error("too many requests to GCS are waiting")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// 401, also with a fresh token.
    #[error("GCS refused the token (401): {message}")]
    Unauthorized {
        /// GCS's text.
        message: String,
    },
    /// 403.
    #[error("GCS denied access (403): {message}")]
    Forbidden {
        /// GCS's text, which names the missing permission.
        message: String,
    },
    /// 404.
    #[error("not found in GCS (404): {message}")]
    NotFound {
        /// GCS's text.
        message: String,
    },
    /// 412, or a pinned generation that is gone.
    #[error("the object changed")]
    Changed,
    /// 416.
    #[error("the range is not satisfiable")]
    RangeNotSatisfiable {
        /// The object's size, if GCS said it.
        size: Option<u64>,
    },
    /// 429.
    #[error("GCS asks to slow down (429)")]
    Throttled {
        /// GCS's `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// 408 and 5xx, after all retries.
    #[error("GCS is unavailable ({status}): {message}")]
    Unavailable {
        /// The last status.
        status: u16,
        /// GCS's text.
        message: String,
        /// GCS's `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// A redirect; none is ever followed.
    #[error("GCS answered with a redirect ({status})")]
    Redirected {
        /// The status.
        status: u16,
    },
    /// Any other 4xx, such as requester pays without a project.
    #[error("GCS refused the request ({status}): {message}")]
    Refused {
        /// The status.
        status: u16,
        /// GCS's text.
        message: String,
    },
    /// An answer that breaks the protocol: a wrong `Content-Range`, no generation, bad numbers.
    #[error("GCS answered nonsense: {0}")]
    Protocol(String),
    /// The bytes do not have the checksum that GCS announced.
    #[error("checksum mismatch: expected crc32c {expected:08x}, got {actual:08x}")]
    Corrupt {
        /// From `x-goog-hash`.
        expected: u32,
        /// From the bytes.
        actual: u32,
    },
}

impl Error {
    /// The same error for one more of those who waited for the same answer. What a library said is kept as the cause.
    pub fn shared(error: &Arc<Self>) -> Self {
        let cause = || Self::shared_cause(error);
        match &**error {
            Self::Credential(_) => Self::Credential(cause()),
            Self::Signature(_) => Self::Signature(cause()),
            Self::Connect { authority, .. } => Self::Connect { authority: authority.clone(), source: cause() },
            Self::Broken(_) => Self::Broken(cause()),
            Self::EndedEarly { received, expected } => Self::EndedEarly { received: *received, expected: *expected },
            Self::FirstByteTimeout(after) => Self::FirstByteTimeout(*after),
            Self::Stalled(after) => Self::Stalled(*after),
            Self::Overloaded { retry_after } => Self::Overloaded { retry_after: *retry_after },
            Self::Unauthorized { message } => Self::Unauthorized { message: message.clone() },
            Self::Forbidden { message } => Self::Forbidden { message: message.clone() },
            Self::NotFound { message } => Self::NotFound { message: message.clone() },
            Self::Changed => Self::Changed,
            Self::RangeNotSatisfiable { size } => Self::RangeNotSatisfiable { size: *size },
            Self::Throttled { retry_after } => Self::Throttled { retry_after: *retry_after },
            Self::Unavailable { status, message, retry_after } => {
                Self::Unavailable { status: *status, message: message.clone(), retry_after: *retry_after }
            }
            Self::Redirected { status } => Self::Redirected { status: *status },
            Self::Refused { status, message } => Self::Refused { status: *status, message: message.clone() },
            Self::Protocol(what) => Self::Protocol(what.clone()),
            Self::Corrupt { expected, actual } => Self::Corrupt { expected: *expected, actual: *actual },
        }
    }

    /// The cause alone of an error that several share, for an error that stands in its place.
    pub fn shared_cause(error: &Arc<Self>) -> Source {
        Box::new(Shared(Arc::clone(error)))
    }
}

/// The cause of an error that several share; it stands for the cause alone, so that the chain does not repeat itself.
#[derive(Debug)]
struct Shared(Arc<Error>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::error::Error::source(&*self.0) {
            Some(cause) => write!(f, "{cause}"),
            None => write!(f, "{}", self.0),
        }
    }
}

impl std::error::Error for Shared {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)?.source()
    }
}
