//! One connection with one request on it at a time.
//!
//! Decides whether it may carry another one afterwards.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

use super::buffers::SMALL;
use super::fields::Fields;
use super::head::{self, Framing, Malformed};
use super::link::Link;
use super::pool::Pool;
use super::request::{RequestHead, Sending, chunk};
use crate::gcs::Source;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Interim answers that are passed over before the final one.
const MOST_INTERIM: u32 = 8;

/// A link to GCS with what is known about it.
#[derive(Debug)]
pub(super) struct Connection {
    link: Link,
    /// What came behind the head that was read last.
    surplus: Bytes,
    /// Where it rests between two requests.
    pool: Arc<Pool>,
    /// Whether it has carried an answer.
    worn: bool,
    persistent: bool,
}

/// Why a request was not sent to its end.
#[derive(Debug)]
pub(super) enum Unsent {
    /// The connection took no more; perhaps there is an answer all the same.
    Link(io::Error),
    /// There was no more.
    Source(Source),
}

impl From<io::Error> for Unsent {
    fn from(error: io::Error) -> Self {
        Self::Link(error)
    }
}

/// Why no head came.
#[derive(Debug)]
pub(super) enum Error {
    /// The connection ended without a byte.
    Io(io::Error),
    /// It ended inside the head.
    Begun(io::Error),
    Malformed(Malformed),
}

impl Connection {
    pub(super) fn new(link: Link, pool: Arc<Pool>) -> Self {
        Self { link, surplus: Bytes::new(), pool, worn: false, persistent: true }
    }

    /// Whether it has carried an answer, so that its end may be that of keep-alive.
    pub(super) fn is_worn(&self) -> bool {
        self.worn
    }

    /// Whether another request may be sent on it.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.surplus.is_empty() && self.link.is_quiet()
    }

    /// No further request.
    pub(super) fn retire(&mut self) {
        self.persistent = false;
    }

    /// Sends a request. A body that breaks leaves it unfinished, and the connection of no further use.
    pub(super) async fn send<B>(&mut self, head: RequestHead, mut body: B) -> Result<(), Unsent>
    where
        B: Body<Data = Bytes, Error: Into<Source>> + Unpin,
    {
        let sending = Sending::of(head.method(), &body);
        self.link.write(&head.end(sending)).await?;
        while let Some(frame) = body.frame().await {
            let piece = frame.map_err(|error| Unsent::Source(error.into()))?.into_data().unwrap_or_default();
            match sending {
                _ if piece.is_empty() => {}
                Sending::Chunked => self.link.write(&chunk(&piece)).await?,
                Sending::Nothing | Sending::Length(_) => self.link.write(&piece).await?,
            }
        }
        if sending == Sending::Chunked {
            self.link.write(LAST_CHUNK).await?;
        }
        Ok(())
    }

    /// Reads the final answer's head.
    pub(super) async fn answer(&mut self, method: &Method) -> Result<(StatusCode, Fields, Framing), Error> {
        let mut came = std::mem::take(&mut self.surplus);
        for _ in 0..MOST_INTERIM {
            let answer = loop {
                match head::parse(&came, method).map_err(Error::Malformed)? {
                    Some(answer) => break answer,
                    None => came = self.more(came).await?,
                }
            };
            came.advance(answer.length);
            if !answer.status.is_informational() {
                self.surplus = came;
                self.worn = true;
                self.persistent &= answer.persistent;
                return Ok((answer.status, answer.fields, answer.framing));
            }
        }
        Err(Error::Malformed(Malformed::TooLong))
    }

    /// What came, with what comes next.
    async fn more(&mut self, came: Bytes) -> Result<Bytes, Error> {
        let failed = |error| if came.is_empty() { Error::Io(error) } else { Error::Begun(error) };
        let piece = poll_fn(|cx| self.link.poll_piece(cx, SMALL)).await.map_err(failed)?;
        let piece = piece.ok_or_else(|| failed(io::ErrorKind::UnexpectedEof.into()))?;
        if came.is_empty() {
            return Ok(piece);
        }
        let mut both = BytesMut::with_capacity(came.len() + piece.len());
        both.extend_from_slice(&came);
        both.extend_from_slice(&piece);
        Ok(both.freeze())
    }

    /// The next bytes of a body, of which `wanted` are still to come; `None` when the connection has ended.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<Option<Bytes>>> {
        if self.surplus.is_empty() {
            return self.link.poll_piece(cx, wanted);
        }
        Poll::Ready(Ok(Some(std::mem::take(&mut self.surplus))))
    }

    /// What was read too much.
    pub(super) fn put_back(&mut self, surplus: Bytes) {
        self.surplus = surplus;
    }

    /// Rests until the next request, or closes.
    pub(super) fn release(mut self: Box<Self>) {
        if self.persistent && self.surplus.is_empty() && self.link.is_fresh() {
            self.link.rest();
            Arc::clone(&self.pool).put(self);
        }
    }
}
