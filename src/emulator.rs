//! A Google Cloud Storage of one's own: for the demo and for every test.
//!
//! Speaks the JSON and the XML API, the token services and the metadata server on one real socket, verifies what it is
//! given (V4 signatures, JWTs, scopes, preconditions) by rules of its own, records what it saw and plays scripted faults.
//! It never persists anything and never talks to anyone. Of the crate it uses only [`crate::object`], so that it judges
//! the gateway independently.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1> and <https://cloud.google.com/storage/docs/xml-api>.

mod auth;
mod aws;
mod body;
mod bucket;
mod canonical;
mod condition;
mod connection;
mod content;
mod credential_files;
mod fault;
mod folder;
mod glob;
mod iam;
mod identity;
mod json_api;
mod jwt;
mod key;
mod listing;
mod mask;
mod md5;
mod media;
mod metadata_server;
mod query;
mod range;
mod record;
mod refusal;
mod route;
mod service;
mod state;
mod stored;
mod tokens;
mod upload;
mod xml_api;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

pub use bucket::{BucketHandle, Held};
pub use content::pattern;
pub use credential_files::SubjectSource;
pub use fault::{Action, Fault, Gate};
pub use record::{Operation, Outcome, Recorded};
pub use stored::Object;

use connection::Ends;
use identity::Identity;
use state::{Settings, State, locked};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Why an emulator cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The TLS certificate or its key.
    #[error("the TLS certificate or key is not usable")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An RSA key.
    #[error("the RSA key is not usable")]
    Key,
    /// Asked to start twice.
    #[error("the emulator is running")]
    Running,
}

/// What an emulator is started with.
#[derive(Clone, Debug)]
pub struct Builder {
    address: SocketAddr,
    tls: Option<(Vec<u8>, Vec<u8>)>,
    settings: Settings,
}

impl Builder {
    /// Listens here instead of on a free port of 127.0.0.1.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Speaks TLS with this certificate chain and key, both PEM.
    pub fn tls(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.tls = Some((certificate.into(), key.into()));
        self
    }

    /// Waits so long before each answer.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.settings.latency = Some(latency);
        self
    }

    /// Whether callers need a credential; they do by default.
    pub fn require_auth(mut self, on: bool) -> Self {
        self.settings.require_auth = on;
        self
    }

    /// The project of the buckets and the default service account.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.settings.project = project.into();
        self
    }

    /// Starts it. Needs a Tokio runtime.
    #[allow(clippy::unused_async, reason = "only callable inside a runtime, and free to wait for one day")]
    pub async fn start(self) -> Result<Emulator, Error> {
        let tls = self.tls.map(|(certificate, key)| acceptor(&certificate, &key)).transpose()?;
        let mut identity = Identity::default();
        identity.account(&default_email(&self.settings.project));
        let state = Arc::new(State::new(self.settings, identity));
        let (address, ends) = open(self.address, tls.clone(), &state)?;
        Ok(Emulator { state, address, tls, running: Arc::new(Mutex::new(Some(ends))) })
    }
}

/// An emulated GCS. Clones are the same one. When the last is dropped, running connections end by themselves only when
/// the runtime does: call [`Emulator::stop`] or [`Emulator::kill`] to end them.
#[derive(Clone)]
pub struct Emulator {
    state: Arc<State>,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    running: Arc<Mutex<Option<Ends>>>,
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Emulator {
    /// How to start one.
    pub fn builder() -> Builder {
        let settings = Settings { require_auth: true, latency: None, project: "emulated-project".to_owned() };
        Builder { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), tls: None, settings }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of everything it offers, without a slash at the end.
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// A bucket, made if there is none.
    pub fn bucket(&self, name: &str) -> BucketHandle {
        BucketHandle { bucket: self.state.bucket_or_new(name), state: Arc::clone(&self.state) }
    }

    /// Drops a bucket and all in it.
    pub fn remove_bucket(&self, name: &str) {
        self.state.remove_bucket(name);
    }

    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        self.state.script.add(fault);
    }

    /// Drops all faults that wait.
    pub fn clear_faults(&self) {
        self.state.script.clear();
    }

    /// The requests so far, oldest first; only the last 20,000.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.journal.requests()
    }

    /// How many requests of a kind there were.
    pub fn count(&self, operation: Operation) -> u64 {
        self.state.journal.count(operation)
    }

    /// Forgets the requests and sets all counters to zero.
    pub fn clear_requests(&self) {
        self.state.journal.clear();
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.state.journal.connections.load(Ordering::Relaxed)
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> u64 {
        self.state.journal.open.load(Ordering::Relaxed)
    }

    /// How many bytes of bodies were handed to connections.
    pub fn bytes_sent(&self) -> u64 {
        self.state.journal.bytes()
    }

    /// The time of its clock.
    pub fn now(&self) -> SystemTime {
        self.state.now()
    }

    /// Sets its clock forward, so that tokens and signed URLs expire.
    pub fn advance_clock(&self, by: Duration) {
        self.state.advance(by);
    }

    /// Stops listening, lets answers under way finish, and waits for that.
    pub async fn stop(&self) {
        let ends = locked(&self.running).take();
        if let Some(ends) = ends {
            ends.drain.cancel();
            ends.tasks.close();
            ends.tasks.wait().await;
        }
    }

    /// Ends everything at once, as a crash would; its state stays.
    pub async fn kill(&self) {
        let ends = locked(&self.running).take();
        if let Some(ends) = ends {
            ends.kill.cancel();
            ends.tasks.close();
            ends.tasks.wait().await;
        }
    }

    /// Listens again, on the same address, with the same state.
    #[allow(clippy::unused_async, reason = "only callable inside a runtime, and free to wait for one day")]
    pub async fn start_again(&self) -> Result<(), Error> {
        let mut running = locked(&self.running);
        if running.is_some() {
            return Err(Error::Running);
        }
        let (_, ends) = open(self.address, self.tls.clone(), &self.state)?;
        *running = Some(ends);
        Ok(())
    }
}

/// The default service account's e-mail.
fn default_email(project: &str) -> String {
    format!("gateway@{project}.iam.gserviceaccount.com")
}

/// Opens a listener and begins to serve it.
fn open(address: SocketAddr, tls: Option<TlsAcceptor>, state: &Arc<State>) -> Result<(SocketAddr, Ends), Error> {
    let listener = listen(address).map_err(|source| Error::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
    let ends = Ends::default();
    ends.tasks.spawn(connection::accept(listener, tls, Arc::clone(state), ends.clone()));
    Ok((address, ends))
}

/// A listener that may take its address over from one that has just ended.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn acceptor(certificate: &[u8], key: &[u8]) -> Result<TlsAcceptor, Error> {
    let wrong = |error: Box<dyn std::error::Error + Send + Sync>| Error::Tls(error);
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| wrong(error.into()))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong(error.into()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.into()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(error.into()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
