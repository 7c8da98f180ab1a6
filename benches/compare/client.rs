//! One HTTP/1.1 connection that asks, reads and throws away: as little work as can be, so that it never is the limit.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, bail};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls;

const BUFFER: usize = 256 * 1024;

/// Where requests go.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsConnector>,
}

impl Target {
    /// Over TLS, if a folder's `tls.crt` is to be trusted, and then for HTTP/2, if so said.
    pub(crate) fn new(address: SocketAddr, keys: Option<&Path>, http2: bool) -> anyhow::Result<Self> {
        Ok(Self { address, tls: keys.map(|keys| tls::connector(keys, http2)).transpose()? })
    }

    pub(crate) async fn connect(&self) -> anyhow::Result<Stream> {
        let tcp = TcpStream::connect(self.address).await.context("cannot connect")?;
        tcp.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(tcp)) };
        let name = ServerName::try_from("localhost").expect("a name");
        Ok(Stream::Tls(Box::new(tls.connect(name, tcp).await.context("no TLS")?)))
    }
}

/// A connection, and what was read of it but not yet used.
pub(crate) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
}

/// The head of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) length: u64,
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> anyhow::Result<Self> {
        Self::with_buffer(target, BUFFER).await
    }

    /// One with a buffer of this size, for whom many rest.
    pub(crate) async fn with_buffer(target: &Target, buffer: usize) -> anyhow::Result<Self> {
        Ok(Self { stream: target.connect().await?, buffer: vec![0; buffer] })
    }

    /// Sends a request and reads the whole answer; `piece` sees the head, and each piece of the body with its place.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
        mut piece: impl FnMut(Head, u64, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Head> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let mut filled = 0;
        let end = loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                bail!("the connection ended before an answer's head did");
            }
            filled += read;
            if let Some(end) = end_of_head(&self.buffer[..filled]) {
                break end;
            }
        };
        let head = Head::parse(&self.buffer[..end])?;
        let mut place = (filled - end) as u64;
        piece(head, 0, &self.buffer[end..filled])?;
        while place < head.length {
            let read = self.stream.read(&mut self.buffer).await?;
            if read == 0 {
                bail!("the body ended after {place} of {} bytes", head.length);
            }
            piece(head, place, &self.buffer[..read])?;
            place += read as u64;
        }
        if place != head.length {
            bail!("{place} bytes came, {} were announced", head.length);
        }
        Ok(head)
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

impl Head {
    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let text = std::str::from_utf8(bytes).context("the head is no text")?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let length = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok());
        match (status, length) {
            (Some(status), Some(length)) => Ok(Self { status, length }),
            _ => bail!("no status, or no length: {text}"),
        }
    }
}

/// Plain or TLS.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
