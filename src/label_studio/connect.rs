//! Connections to Label Studio, or to the storage host that it redirects to: TCP and, for https, TLS.
//!
//! Each carries one request. Decides whom it trusts and how long it waits; never what is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::gcs::{self, ConnectorError, client_tls};

/// An open connection.
pub(super) type Stream = TokioIo<Pin<Box<dyn Duplex>>>;

/// Bytes both ways.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// Makes connections to one place.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    /// `host:port` to connect to.
    address: String,
    name: String,
    tls: Option<Arc<ClientConfig>>,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(config: &gcs::Config) -> Result<Self, ConnectorError> {
        let endpoint = &config.endpoint;
        let encrypted = *endpoint.scheme() == Scheme::HTTPS;
        let tls = client_tls(endpoint, config.ca_file.as_deref())?;
        let port = endpoint.authority().port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let address = config.connect_to.clone().unwrap_or_else(|| format!("{}:{port}", endpoint.host()));
        let name = endpoint.host().trim_matches(['[', ']']).to_owned();
        Ok(Self { address, name, tls: encrypted.then(|| Arc::new(tls)), limit: config.connect_timeout })
    }

    pub(super) async fn open(&self) -> io::Result<Stream> {
        timeout(self.limit, self.connect()).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn connect(&self) -> io::Result<Stream> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(TokioIo::new(Box::pin(stream))) };
        let name = ServerName::try_from(self.name.clone()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
        Ok(TokioIo::new(Box::pin(stream)))
    }
}
