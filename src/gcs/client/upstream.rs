//! Sending a request until there is an answer worth having, or none to be had.
//!
//! Decides when a failed request is sent again: at once after a lost race with an idle connection's end or with a fresh
//! token after 401, by the policy and within the budget otherwise, and never past the deadline. Never reads a good body.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

use super::budget::Budget;
use super::call::Call;
use super::outgoing::Outgoing;
use super::queue::Queue;
use super::refusal::{self, Refusal};
use super::retry::{self, Backoff, Policy};
use crate::gcs::wire::{self, Answer, Http, Incoming, RequestHead};
use crate::gcs::{Config, ConnectorError, Credential, Endpoint, Error, Token};
use crate::metrics::Metrics;
use crate::object::CommonTexts;

/// GCS as it is reached: connections, limits and what is left of patience and budget.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) endpoint: Endpoint,
    pub(super) queue: Queue,
    pub(super) policy: Policy,
    pub(super) metrics: Metrics,
    pub(super) first_byte_timeout: Duration,
    pub(super) stall_timeout: Duration,
    pub(super) texts: CommonTexts,
    http: Http,
    budget: Mutex<Budget>,
}

/// What one logical request has been through.
#[derive(Default)]
pub(super) struct History {
    retries: u32,
    renewed: bool,
    raced: bool,
}

/// One attempt that failed.
pub(super) struct Failure {
    error: Error,
    /// The connection had carried answers before and ended without a byte of this one.
    worn: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, worn: false }
    }
}

impl Upstream {
    pub(super) fn new(config: &Config, metrics: Metrics, backoff: Backoff) -> Result<Self, ConnectorError> {
        Ok(Self {
            endpoint: config.endpoint.clone(),
            queue: Queue::new(config.max_in_flight, metrics.clone()),
            policy: Policy { retries: config.retries, backoff },
            metrics,
            first_byte_timeout: config.first_byte_timeout,
            stall_timeout: config.stall_timeout,
            texts: CommonTexts::default(),
            http: Http::new(config)?,
            budget: Mutex::new(Budget::new(Instant::now())),
        })
    }

    /// When patience with a request that begins now ends.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.first_byte_timeout
    }

    /// Sends a call until it succeeds, fails for good, or patience or budget end.
    pub(super) async fn send(
        &self,
        credential: &Credential,
        call: &Call,
        deadline: Instant,
    ) -> Result<Answer<Incoming>, Error> {
        self.send_on(&mut self.begin(), credential, call, deadline).await
    }

    /// One more logical request.
    pub(super) fn begin(&self) -> History {
        self.budget(Budget::deposit);
        History::default()
    }

    /// Sends a call, perhaps not for the first time: what was tried before counts.
    pub(super) async fn send_on(
        &self,
        history: &mut History,
        credential: &Credential,
        call: &Call,
        deadline: Instant,
    ) -> Result<Answer<Incoming>, Error> {
        loop {
            let token = timeout_at(deadline, call.token(credential)).await.map_err(|_| self.too_late())??;
            let failure = match self.attempt(credential, call, token.as_ref(), deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if let (Error::Unauthorized { .. }, Some(token), false) = (&failure.error, &token, history.renewed) {
                history.renewed = true;
                credential.invalidate(token);
                self.metrics.upstream_retry("401");
                continue;
            }
            // Of what must not happen twice, only what was never sent is sent again.
            if !call.repeatable && !matches!(failure.error, Error::Connect { .. }) {
                return Err(failure.error);
            }
            self.pause(failure, history, deadline).await?;
        }
    }

    /// Sends a body that can be sent only once.
    pub(super) async fn send_once(
        &self,
        credential: &Credential,
        call: &Call,
        body: Outgoing,
        deadline: Instant,
    ) -> Result<Answer<Incoming>, Error> {
        self.budget(Budget::deposit);
        let token = timeout_at(self.deadline(), call.token(credential)).await.map_err(|_| self.too_late())??;
        let head = call.head(token.as_ref(), credential.quota_project());
        let outcome = self.exchange(call, head, body, deadline).await.map_err(|failure| failure.error);
        if let (Err(Error::Unauthorized { .. }), Some(token)) = (&outcome, &token) {
            credential.invalidate(token);
        }
        outcome
    }

    /// Sends a call without a token, once; the answer may have any status.
    pub(super) async fn ask(&self, call: &Call, deadline: Instant) -> Result<Answer<Incoming>, Error> {
        let mut raced = false;
        loop {
            let request = self.http.request(call.head(None, None), call.body());
            match timeout_at(deadline, request).await.map_err(|_| self.too_late())? {
                Ok(answer) => {
                    self.metrics.upstream_request(call.operation, outcome(answer.status.as_u16()));
                    return Ok(answer);
                }
                Err(error) => {
                    let Failure { error, worn } = self.failure(error);
                    if !worn || raced {
                        return Err(error);
                    }
                    raced = true;
                }
            }
        }
    }

    /// Takes one retry out of the budget, if the error is of the kind that costs GCS a request.
    pub(super) fn afford(&self, error: &Error) -> bool {
        // A connection that was not made is no request: the waits alone bound how often it is tried.
        matches!(error, Error::Connect { .. }) || self.budget(Budget::withdraw)
    }

    /// Counts a request beyond those that `send` counts itself.
    fn budget<T>(&self, use_it: impl FnOnce(&mut Budget, Instant) -> T) -> T {
        use_it(&mut self.budget.lock().unwrap_or_else(PoisonError::into_inner), Instant::now())
    }

    /// Waits until the call may be sent again, or gives the error back.
    pub(super) async fn pause(&self, failure: Failure, history: &mut History, deadline: Instant) -> Result<(), Error> {
        let Failure { error, worn } = failure;
        if worn && !history.raced {
            history.raced = true;
            self.metrics.upstream_retry("idle-close");
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = self.policy.wait(&error, history.retries, left, &mut fastrand::Rng::new());
        let (Some(wait), Some(cause)) = (wait, retry::cause(&error)) else { return Err(error) };
        if !self.afford(&error) {
            tracing::debug!(cause, "the retry budget is spent");
            return Err(error);
        }
        history.retries += 1;
        self.metrics.upstream_retry(cause);
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Sends once what may be sent again.
    async fn attempt(
        &self,
        credential: &Credential,
        call: &Call,
        token: Option<&Token>,
        deadline: Instant,
    ) -> Result<Answer<Incoming>, Failure> {
        let head = call.head(token, credential.quota_project());
        self.exchange(call, head, call.body(), deadline).await
    }

    /// Sends once. Anything but 2xx is a failure, whose text is read so that the connection can be used again.
    async fn exchange(
        &self,
        call: &Call,
        head: RequestHead,
        body: Outgoing,
        deadline: Instant,
    ) -> Result<Answer<Incoming>, Failure> {
        let answer = match timeout_at(deadline, self.http.request(head, body)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let failure = self.failure(error);
                self.metrics.upstream_request(call.operation, retry::cause(&failure.error).unwrap_or("protocol"));
                return Err(failure);
            }
            Err(_) => {
                self.metrics.upstream_request(call.operation, "first-byte-timeout");
                return Err(self.too_late().into());
            }
        };
        self.metrics.upstream_request(call.operation, outcome(answer.status.as_u16()));
        let Some(refusal) = Refusal::of(&answer, SystemTime::now) else { return Ok(answer) };
        let message = timeout_at(deadline, refusal::message(answer.body)).await.unwrap_or_default();
        Err(call.interpret(refusal.error(call.generation, message)).into())
    }

    /// What a failure below HTTP means.
    fn failure(&self, error: wire::Error) -> Failure {
        match error {
            wire::Error::Connect(source) => {
                Error::Connect { authority: self.endpoint.authority().to_string(), source }.into()
            }
            wire::Error::Malformed(malformed) => Error::Protocol(malformed.to_string()).into(),
            wire::Error::Broken { source, worn } => Failure { error: Error::Broken(source.into()), worn },
        }
    }

    fn too_late(&self) -> Error {
        Error::FirstByteTimeout(self.first_byte_timeout)
    }
}

/// A bounded label for a status.
fn outcome(status: u16) -> &'static str {
    match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        401 => "401",
        403 => "403",
        404 => "404",
        408 => "408",
        412 => "412",
        416 => "416",
        429 => "429",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
