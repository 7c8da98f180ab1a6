//! One HTTP/2 connection that several ask over at once, as a browser's pages do.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Body as _;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::client::{Head, Target};

/// The connection; each clone asks one thing at a time.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> anyhow::Result<Self> {
        let stream = TokioIo::new(target.connect().await?);
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            // What Chromium announces.
            .initial_stream_window_size(6 << 20)
            .initial_connection_window_size(15 << 20)
            .handshake(stream)
            .await
            .context("no HTTP/2")?;
        // Whoever asks over it learns of its end.
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// As [`crate::client::Connection::exchange`], of the same request.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
        mut piece: impl FnMut(Head, u64, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Head> {
        self.sender.ready().await?;
        let answer = self.sender.send_request(translated(request)?).await?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let length = body.size_hint().exact().context("no length")?;
        let (head, mut place) = (Head { status, length }, 0);
        while let Some(frame) = body.frame().await {
            let data = frame?.into_data().unwrap_or_default();
            piece(head, place, &data)?;
            place += data.len() as u64;
        }
        if place != length {
            bail!("{place} bytes came, {length} were announced");
        }
        Ok(head)
    }
}

/// A request written for HTTP/1.1.
fn translated(request: &[u8]) -> anyhow::Result<Request<Empty<Bytes>>> {
    let mut lines = std::str::from_utf8(request)?.lines();
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).context("no path")?;
    let mut builder = Request::get(format!("https://localhost{path}")).version(Version::HTTP_2);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")).filter(|(name, _)| *name != "host") {
        builder = builder.header(name, value);
    }
    Ok(builder.body(Empty::new())?)
}
