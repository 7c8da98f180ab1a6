//! The room at the door: sockets, TLS, limits, draining; and the admin listener.
//!
//! It decides who may hold a connection and for how long, and which heads of requests are well-formed.
//! It never decides what a request means: that is the [`Service`]'s.
//! Follows <https://www.rfc-editor.org/rfc/rfc9112> and <https://www.rfc-editor.org/rfc/rfc9113>.

pub mod admin;
pub mod listener;
pub mod readiness;
pub mod signals;
pub mod tls;
pub mod token;
pub mod watch;

mod activity;
mod alarm;
mod body;
mod caller;
mod config;
mod connection;
mod notice;
mod protocol;
mod proxy_protocol;
mod refusal;
mod request_head;
mod socket;
mod streams;
mod takeover;
mod workers;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use crate::server::connection::Shared;
use crate::server::listener::{Listener, Pause};
use crate::server::watch::Watch;
use crate::server::workers::Workers;

pub use body::BoxError;
pub use config::{AdminConfig, Config, Limits, Listen, PublicUrl, TlsConfig};
pub use takeover::{Duplex, Takeover};
pub use tls::Tls;
pub use token::{AdminToken, AdminTokenError};

/// How often the certificate's files are looked at.
const CERTIFICATE_POLL: Duration = Duration::from_secs(5);

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The socket's other end, or whom a PROXY header names.
    pub address: SocketAddr,
    /// Our end.
    pub listener: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// What answers requests.
pub trait Service: Clone + Send + Sync + 'static {
    /// The body of its answers; an error breaks the connection visibly.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// Answers one request, whose head is well-formed. The future owns what it needs: one that is held by another is moved
    /// once more with each request.
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<Self>;
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket.
    #[error(transparent)]
    Listen(#[from] listener::Error),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// Nobody could connect.
    #[error("`proxy_protocol` needs the load balancers' networks in `trusted_proxies`")]
    NobodyTrusted,
}

/// Sockets that listen, and all that is needed to serve them.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    config: Config,
    tls: Option<Tls>,
    metrics: Metrics,
    watch: Option<Watch>,
    workers: Workers,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were broken off since they did not end in time.
    pub aborted: usize,
}

impl Server {
    /// Binds every address and reads the certificate; must be called inside a tokio runtime.
    pub fn bind(config: &Config, metrics: Metrics) -> Result<Self, Error> {
        if config.proxy_protocol && config.trusted_proxies.is_empty() {
            return Err(Error::NobodyTrusted);
        }
        // Looking before loading: a change in between is then noticed, at worst once too often.
        let files = config.tls.as_ref().map(|tls| [&tls.certificate, &tls.private_key]);
        let watch = files.map(|files| Watch::new(files, CERTIFICATE_POLL));
        let tls = config.tls.as_ref().map(Tls::load).transpose()?;
        let listeners = config.listen.addresses().iter().copied().map(Listener::bind).collect::<Result<_, _>>()?;
        Ok(Self { listeners, config: config.clone(), tls, metrics, watch, workers: Workers::default() })
    }

    /// The addresses that clients connect to, with the ports that the system chose.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|listener| listener.address).collect()
    }

    /// The listener's TLS, for a reload by hand.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Looks at the certificate's files this often.
    pub fn with_certificate_poll(self, every: Duration) -> Self {
        Self { watch: self.watch.map(|watch| watch.with_period(every)), ..self }
    }

    /// Serves connections on threads of their own, instead of the caller's runtime.
    pub fn with_threads(self, count: NonZeroUsize) -> io::Result<Self> {
        Ok(Self { workers: Workers::start(count)?, ..self })
    }

    /// Serves until `shutdown`; then closes the listeners, lets answers in flight end, and breaks off what takes too long.
    pub async fn run<S: Service>(self, service: S, shutdown: CancellationToken) -> Drained {
        let permits = Arc::new(Semaphore::new(self.config.limits.max_connections.min(Semaphore::MAX_PERMITS)));
        let drain_timeout = self.config.drain_timeout;
        let watching = self
            .tls
            .clone()
            .zip(self.watch)
            .map(|(tls, watch)| tokio::spawn(watch_certificate(tls, watch, self.metrics.clone())));
        let shared = Arc::new(Shared::new(service, self.config, self.tls, self.metrics));
        let (acceptors, connections) = (TaskTracker::new(), TaskTracker::new());
        let workers = Arc::new(self.workers);
        for listener in self.listeners {
            let door = Door {
                shared: Arc::clone(&shared),
                permits: Arc::clone(&permits),
                connections: connections.clone(),
                workers: Arc::clone(&workers),
            };
            acceptors.spawn(door.accept(listener, shutdown.clone()));
        }
        acceptors.close();
        acceptors.wait().await;
        connections.close();
        shared.leave.give();
        let aborted = match timeout(drain_timeout, connections.wait()).await {
            Ok(()) => 0,
            Err(_) => connections.len(),
        };
        shared.kill.give();
        connections.wait().await;
        if let Some(watching) = watching {
            watching.abort();
        }
        if let Some(workers) = Arc::into_inner(workers) {
            workers.stop().await;
        }
        Drained { aborted }
    }
}

/// Lets connections of one listener in.
struct Door<S> {
    shared: Arc<Shared<S>>,
    permits: Arc<Semaphore>,
    connections: TaskTracker,
    workers: Arc<Workers>,
}

impl<S: Service> Door<S> {
    /// Beyond `max_connections` nothing is accepted: clients wait in the kernel's queue instead of being turned away.
    async fn accept(self, listener: Listener, shutdown: CancellationToken) {
        let address = listener.address;
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.accept_all(&listener) => {}
        }
        for (stream, peer) in listener.close() {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { break };
            self.serve((stream, peer), address, permit);
        }
    }

    fn serve(&self, (stream, peer): (TcpStream, SocketAddr), listener: SocketAddr, permit: OwnedSemaphorePermit) {
        let shared = Arc::clone(&self.shared);
        let work = move |stream| async move {
            shared.serve(stream, peer, listener).await;
            drop(permit);
        };
        if let Err(error) = self.workers.serve(stream, &self.connections, work) {
            tracing::error!(%error, "a connection cannot be served");
        }
    }

    async fn accept_all(&self, listener: &Listener) {
        let mut pause = Pause::new();
        // A semaphore that is never closed always gives a permit.
        while let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await {
            match listener.accept().await {
                Ok(accepted) => {
                    pause.reset();
                    self.serve(accepted, listener.address, permit);
                }
                Err(error) => {
                    let first = pause.is_first();
                    let Some(wait) = pause.after(&error) else { continue };
                    if first {
                        tracing::error!(%error, listener = %listener.address, "cannot accept connections, trying again");
                    }
                    sleep(wait).await;
                }
            }
        }
    }
}

async fn watch_certificate(tls: Tls, mut watch: Watch, metrics: Metrics) {
    loop {
        watch.changed().await;
        match tls.reload() {
            Ok(()) => {
                metrics.config_reload("ok");
                tracing::info!("new certificate in force");
            }
            Err(error) => {
                metrics.config_reload("refused");
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "new certificate refused, the old one stays in force");
            }
        }
    }
}
