//! Label Studio's API, as its owner: projects, tasks, annotations, webhooks.
//!
//! Decides how Label Studio is asked and what of its answers is believed. What only reads is asked again while waiting may
//! help; what changes something is sent once, and an answer that never came is told apart from a refusal
//! ([`Error::is_unclear`]). Every answer is bounded. Nothing here touches a bucket.
//! Follows <https://api.labelstud.io/>.

mod token;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::token::Keeper;
use crate::gcs::Endpoint;
use crate::gcs::credentials::ControlPlane;

/// A page of a thousand tasks with their annotations may be long; longer ones are refused.
const LONGEST: usize = 256 * 1024 * 1024;
/// Longest wait for an answer to a question.
const ANSWER: Duration = Duration::from_mins(2);
/// Longest wait for a batch to be stored: under load a thousand tasks take seconds.
const CHANGE: Duration = Duration::from_mins(5);
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// As much of a refusal's text is told.
const LONGEST_MESSAGE: usize = 600;

/// Why Label Studio did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token cannot be read.
    #[error("label_studio.token_file: {} cannot be read", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// The file has no token in it.
    #[error(
        "label_studio.token_file: {} holds no token; put one from Account & Settings > Personal Access Token into it",
        .0.display()
    )]
    NoToken(PathBuf),
    /// No answer, or only a part of one.
    #[error("Label Studio at {server} gave no answer")]
    Unreachable {
        /// Where it was asked.
        server: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// 401.
    #[error(
        "Label Studio does not know the token (401): {0}; put a personal access token, whole as it was shown when it \
         was made, into label_studio.token_file, or let the organisation use legacy tokens"
    )]
    Unauthorized(String),
    /// 403.
    #[error("the token's user may not do this in Label Studio (403): {0}")]
    Forbidden(String),
    /// 404.
    #[error("Label Studio has no such thing (404): {0}")]
    NotFound(String),
    /// Any other refusal.
    #[error("Label Studio refused ({status}): {message}")]
    Refused {
        /// The status.
        status: u16,
        /// Its text.
        message: String,
    },
    /// An answer that makes no sense.
    #[error("Label Studio at {server} answered nonsense: {what}; is it a Label Studio?")]
    Nonsense {
        /// Where it was asked.
        server: String,
        /// What is wrong.
        what: String,
    },
}

impl Error {
    /// Whether what was asked for may have happened all the same.
    pub fn is_unclear(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !source.is_connect() && !source.is_builder(),
            Self::Refused { status, .. } => *status >= 500,
            Self::Nonsense { .. } => true,
            _ => false,
        }
    }

    /// Whether it may still be going on: whoever answered is not the one who does it, or nobody answered.
    pub fn is_under_way(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 502..=504),
            _ => self.is_unclear(),
        }
    }

    /// Whether asking again may help.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !source.is_builder(),
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }
}

/// Asks one Label Studio; clones share connections and the token.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    server: Endpoint,
    token: Keeper,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("server", &self.0.server).finish_non_exhaustive()
    }
}

impl Api {
    /// Asks `server` with the token in a file, which is read again whenever a new token is needed.
    pub fn new(server: Endpoint, token_file: PathBuf, control: &ControlPlane) -> Self {
        Self(Arc::new(Inner { http: control.internet().clone(), server, token: Keeper::new(token_file) }))
    }

    /// Where it asks.
    pub fn server(&self) -> &Endpoint {
        &self.0.server
    }

    /// Reads; asks again while that may help.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.once(reqwest::Method::GET, path, None).await {
                Err(error) if error.may_pass() => {
                    tracing::debug!(%error, "Label Studio is asked again");
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                }
                outcome => return self.read(&outcome?),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.read(&self.once(reqwest::Method::GET, path, None).await?)
    }

    /// Changes something; sent once.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Error> {
        let answer = self.once(reqwest::Method::POST, path, Some(body)).await?;
        self.read(&answer)
    }

    /// Sends a request, and once more with a fresh token if the one at hand is not taken.
    async fn once(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Result<Vec<u8>, Error> {
        let token = self.0.token.get(self).await?;
        match self.send(&method, path, body, Some(&token)).await {
            Err(Error::Unauthorized(_)) if self.0.token.forget(&token) => {
                let token = self.0.token.get(self).await?;
                self.send(&method, path, body, Some(&token)).await
            }
            outcome => outcome,
        }
    }

    /// Sends a request; its answer, if it is a success.
    async fn send(
        &self,
        method: &reqwest::Method,
        path: &str,
        body: Option<&Value>,
        authorization: Option<&http::HeaderValue>,
    ) -> Result<Vec<u8>, Error> {
        let inner = &self.0;
        let patience = if *method == reqwest::Method::GET { ANSWER } else { CHANGE };
        let mut request = inner.http.request(method.clone(), format!("{}{path}", inner.server)).timeout(patience);
        if let Some(authorization) = authorization {
            request = request.header(http::header::AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let server = || inner.server.to_string();
        // URLs carry queries, which nobody needs in a message.
        let unreachable = |error: reqwest::Error| Error::Unreachable { server: server(), source: error.without_url() };
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
            if text.len() + piece.len() > LONGEST {
                return Err(self.nonsense("more than 256 MiB"));
            }
            text.extend_from_slice(&piece);
        }
        match status {
            200..=299 => Ok(text),
            401 => Err(Error::Unauthorized(reason(&text))),
            403 => Err(Error::Forbidden(reason(&text))),
            404 => Err(Error::NotFound(reason(&text))),
            status => Err(Error::Refused { status, message: reason(&text) }),
        }
    }

    fn read<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T, Error> {
        // Some changes are answered with nothing.
        let text = if text.is_empty() { b"null" } else { text };
        serde_json::from_slice(text).map_err(|error| self.nonsense(error))
    }

    /// An answer that cannot be.
    pub fn nonsense(&self, what: impl fmt::Display) -> Error {
        Error::Nonsense { server: self.0.server.to_string(), what: what.to_string() }
    }
}

/// A value in a query.
pub(super) fn encoded(value: &Value) -> String {
    utf8_percent_encode(&value.to_string(), NON_ALPHANUMERIC).to_string()
}

/// What a refusal says, on one line.
fn reason(text: &[u8]) -> String {
    let json: Value = serde_json::from_slice(text).unwrap_or_default();
    let details = &json["validation_errors"];
    let said = match (json["detail"].as_str(), details.is_null()) {
        (Some(detail), true) => detail.to_owned(),
        (Some(detail), false) => format!("{detail}: {details}"),
        (None, _) => "no reason given".to_owned(),
    };
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short_and_on_one_line() {
        for (text, shown) in [
            (r#"{"detail":"Token is\ninvalid"}"#, "Token is invalid"),
            (r#"{"detail":"Validation error","validation_errors":{"a":"b"}}"#, "Validation error: {\"a\":\"b\"}"),
            ("<!doctype html>", "no reason given"),
            ("", "no reason given"),
        ] {
            assert_eq!(reason(text.as_bytes()), shown);
        }
        let long = format!("{{\"detail\":\"{}\"}}", "x".repeat(2000));
        assert_eq!(reason(long.as_bytes()).len(), LONGEST_MESSAGE);
    }

    #[test]
    fn only_what_may_have_happened_is_unclear() {
        let refused = |status| Error::Refused { status, message: String::new() };
        for (error, unclear, passes) in [
            (refused(400), false, false),
            (refused(429), false, true),
            (refused(502), true, true),
            (Error::Unauthorized(String::new()), false, false),
            (Error::Nonsense { server: String::new(), what: String::new() }, true, false),
        ] {
            assert_eq!((error.is_unclear(), error.may_pass()), (unclear, passes), "{error}");
        }
        for (status, under_way) in [(500, false), (502, true), (503, true), (504, true), (400, false)] {
            assert_eq!(refused(status).is_under_way(), under_way, "{status}");
        }
    }
}
