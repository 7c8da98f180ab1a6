//! Label Studio itself, or the storage host that it redirects to: one connection for each request.
//!
//! Connections are not kept: Label Studio's own servers answer slower on one that is used again, and none is ever
//! written to while the other end closes it. Decides how long to wait; never what is sent, and follows no redirect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use tokio::sync::Semaphore;
use tokio::time::{sleep_until, timeout};

use super::body::{Progress, Watched};
use super::connect::Connector;
use crate::gcs::{self, ConnectorError, Endpoint};
use crate::server::BoxError;

/// Requests under way at once; further ones wait.
const IN_FLIGHT: usize = 1024;
/// How long a request waits for a place among them.
const PATIENCE: Duration = Duration::from_secs(30);

/// What goes out with a request.
pub(super) type Upload = UnsyncBoxBody<Bytes, BoxError>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// Nobody listens, or not in time.
    #[error("no connection")]
    Connect(#[source] BoxError),
    /// The connection broke.
    #[error("the connection broke before an answer")]
    Broken(#[source] hyper::Error),
    /// It takes too long.
    #[error("no answer in time")]
    Late,
    /// It is there, and not well.
    #[error("the answer is {0}")]
    Unexpected(StatusCode),
    /// A body that was to be read whole is longer than that.
    #[error("the answer cannot be read")]
    Body(#[source] BoxError),
}

/// One server, asked by a connection for each request.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    endpoint: Endpoint,
    connector: Connector,
    answer_timeout: Duration,
    places: Arc<Semaphore>,
}

impl Upstream {
    pub(super) fn new(config: &gcs::Config, answer_timeout: Duration) -> Result<Self, ConnectorError> {
        let places = Arc::new(Semaphore::new(IN_FLIGHT));
        Ok(Self { endpoint: config.endpoint.clone(), connector: Connector::new(config)?, answer_timeout, places })
    }

    /// Whether a URI is on this very host, port and scheme.
    pub(super) fn is_home_of(&self, uri: &Uri) -> bool {
        uri.scheme() == Some(self.endpoint.scheme())
            && uri
                .authority()
                .is_some_and(|there| there.as_str().eq_ignore_ascii_case(self.endpoint.authority().as_str()))
    }

    /// Its name, as `Host` has it.
    pub(super) fn host(&self) -> &str {
        self.endpoint.authority().as_str()
    }

    /// Sends a request, whose target is a path; the time limit counts from the last byte of body that was taken.
    pub(super) async fn send(
        &self,
        request: Request<Upload>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let place = timeout(PATIENCE, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.ok().and_then(Result::ok).ok_or(UpstreamError::Late)?;
        let stream = self.connector.open().await.map_err(|error| UpstreamError::Connect(error.into()))?;
        let (mut sender, connection) = http1::handshake(stream).await.map_err(UpstreamError::Broken)?;
        tokio::spawn(async move {
            // What went wrong shows in the answer, too.
            let _ = connection.with_upgrades().await;
            drop(place);
        });
        let answer = sender.send_request(request);
        tokio::pin!(answer);
        loop {
            let due = progress.last() + self.answer_timeout;
            tokio::select! {
                answer = &mut answer => return answer.map_err(UpstreamError::Broken),
                () = sleep_until(due) => if progress.last() + self.answer_timeout <= due { return Err(UpstreamError::Late) },
            }
        }
    }

    /// Sends a question without a body.
    pub(super) async fn ask(&self, question: Request<()>) -> Result<Response<Incoming>, UpstreamError> {
        let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
        self.send(question.map(|()| empty), &Progress::now()).await
    }

    /// Reads an answer that is no longer than `longest`.
    pub(super) async fn read(&self, answer: Incoming, longest: usize) -> Result<Bytes, UpstreamError> {
        let whole = Limited::new(answer, longest).collect();
        let whole = timeout(self.answer_timeout, whole).await.map_err(|_| UpstreamError::Late)?;
        whole.map(http_body_util::Collected::to_bytes).map_err(UpstreamError::Body)
    }

    /// An answer's body, broken off if it rests for too long.
    pub(super) fn watched(&self, answer: Incoming) -> Watched {
        Watched::new(answer, self.answer_timeout, Progress::now())
    }
}
