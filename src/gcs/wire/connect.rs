//! Connections to GCS: DNS, TCP and TLS, within one time limit.
//!
//! Decides where a connection goes, whom it trusts and how it is set up. HTTP/1.1 only: one HTTP/2 connection to GCS is
//! slower than several of HTTP/1.1. Never decides what is sent.
//! Follows <https://cloud.google.com/vpc/docs/configure-private-google-access> for `connect_to`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tower_service::Service;

use super::buffers::Buffers;
use super::handshake;
use super::link::Link;
use crate::gcs::{Config, Endpoint, Source};

/// Quiet connections are probed, so that a dead peer is noticed.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Connections that are made at once. A handshake takes tens of KiB, and a thousand are not sooner done all together.
const AT_ONCE: usize = 64;

/// Why no connector could be made from the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// `connect_to` is no address.
    #[error("gcs.connect_to: expected host:port, such as 199.36.153.4:443, not {0:?}")]
    ConnectTo(String),
    /// `ca_file` cannot be read.
    #[error("gcs.ca_file: cannot read certificates from {path}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: PemError,
    },
    /// `ca_file` has no usable certificate.
    #[error("gcs.ca_file: no usable certificate in {path}")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct Connector {
    tcp: HttpConnector,
    /// Where the endpoint is, if not at its own address.
    to: Option<Authority>,
    endpoint: Endpoint,
    tls: Arc<ClientConfig>,
    timeout: Duration,
    turns: Arc<Semaphore>,
}

impl Connector {
    pub(super) fn new(config: &Config) -> Result<Self, ConnectorError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        let to = config.connect_to.as_deref().map(address).transpose()?;
        let tls = Arc::new(client_tls(&config.endpoint, config.ca_file.as_deref())?);
        let endpoint = config.endpoint.clone();
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Self { tcp, to, endpoint, tls, timeout: config.connect_timeout, turns })
    }

    /// Connects to the endpoint, within the time limit once it is its turn; how long it waits for that is the caller's to
    /// bound.
    pub(super) async fn connect(&self, buffers: Buffers) -> Result<Link, Source> {
        let _turn = self.turns.acquire().await?;
        let timeout = self.timeout;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("not connected within {timeout:?}"));
        tokio::time::timeout(timeout, self.open(buffers)).await.map_err(late)?
    }

    async fn open(&self, buffers: Buffers) -> Result<Link, Source> {
        let endpoint = &self.endpoint;
        let authority = self.to.as_ref().unwrap_or(endpoint.authority());
        let target = Uri::builder().scheme(endpoint.scheme().clone()).authority(authority.clone());
        let mut stream = self.tcp.clone().call(target.path_and_query("/").build()?).await?.into_inner();
        if *endpoint.scheme() != Scheme::HTTPS {
            return Ok(Link::plain(stream, buffers));
        }
        let host = endpoint.host().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())?;
        let keys = handshake::shake(&mut stream, Arc::clone(&self.tls), name).await?;
        Ok(Link::secure(stream, buffers, keys))
    }
}

/// `host:port`; the port may not be left out, as it would silently follow the endpoint's scheme.
fn address(text: &str) -> Result<Authority, ConnectorError> {
    let authority = text.parse::<Authority>().ok().filter(|authority| {
        authority.port_u16().is_some() && !authority.host().is_empty() && !authority.as_str().contains('@')
    });
    authority.ok_or_else(|| ConnectorError::ConnectTo(text.to_owned()))
}

/// The TLS of an endpoint; for a plain one nothing is loaded that would not be used.
pub fn client_tls(endpoint: &Endpoint, ca_file: Option<&Path>) -> Result<ClientConfig, ConnectorError> {
    let mut roots = RootCertStore::empty();
    if *endpoint.scheme() == Scheme::HTTPS {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
    }
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .map_err(ConnectorError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // The record layer is ours: see `records`.
    config.enable_secret_extraction = true;
    Ok(config)
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), ConnectorError> {
    let unreadable = |source| ConnectorError::CaFile { path: path.to_owned(), source };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(unreadable)?;
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(ConnectorError::NoCertificate { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// AES-128-GCM first: the cheapest of the safe suites where the processor helps with AES.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let cheapest = |suite: CipherSuite| {
        matches!(
            suite,
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    };
    provider.cipher_suites.sort_by_key(|suite| !cheapest(suite.suite()));
    provider
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_to_needs_a_host_and_a_port() {
        for good in ["199.36.153.4:443", "[2600:2d00:2:1000::]:443", "storage-x.p.googleapis.com:443"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["", "199.36.153.4", ":443", "a@b:443", "https://x:443", "x:port", "x:70000"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bad_ca_file_is_named() {
        let missing = Config { ca_file: Some("/nonexistent/ca.pem".into()), ..Config::default() };
        assert!(matches!(Connector::new(&missing), Err(ConnectorError::CaFile { .. })));
        let file = tempfile::NamedTempFile::new().expect("a file");
        let empty = Config { ca_file: Some(file.path().to_owned()), ..Config::default() };
        assert!(matches!(Connector::new(&empty), Err(ConnectorError::NoCertificate { .. })));
    }

    #[test]
    fn aes_128_comes_first() {
        let suites = provider().cipher_suites;
        assert_eq!(suites[0].suite(), CipherSuite::TLS13_AES_128_GCM_SHA256);
    }
}
