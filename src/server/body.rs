//! The body that hyper sends: the service's own, watched so that a client that takes nothing is noticed.
//!
//! An error of the service's body passes on to hyper, which then breaks the connection or resets the stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::server::activity::{Exchange, Progress};

/// Any cause of a broken body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What goes out.
pub(super) struct Outgoing<B> {
    content: Content<B>,
    exchange: Exchange,
}

enum Content<B> {
    Served(B),
    Refused(Full<Bytes>),
    /// For HEAD: the head alone. HTTP/1 of hyper leaves a body out by itself, HTTP/2 would send it.
    Withheld,
}

/// A piece of body that notes when a part of it goes out: HTTP/2 keeps it until the client opens its window.
pub(super) struct Piece {
    bytes: Bytes,
    progress: Option<Progress>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(progress) = self.progress.as_ref().filter(|_| count > 0) {
            progress.took();
        }
    }
}

impl<B> Outgoing<B> {
    pub(super) fn served(body: B, exchange: Exchange) -> Self {
        Self { content: Content::Served(body), exchange }
    }

    pub(super) fn refused(body: Bytes, exchange: Exchange) -> Self {
        Self { content: Content::Refused(Full::new(body)), exchange }
    }

    /// The same exchange without a byte of body.
    pub(super) fn withheld(self) -> Self {
        Self { content: Content::Withheld, ..self }
    }
}

impl<B> Body for Outgoing<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Piece;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, BoxError>>> {
        let polled = match &mut self.content {
            Content::Served(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Content::Refused(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Content::Withheld => Poll::Ready(None),
        };
        if polled.is_pending() {
            self.exchange.waiting();
        } else {
            self.exchange.handed();
        }
        let piece = |bytes| Piece { bytes, progress: self.exchange.progress() };
        polled.map_ok(|frame| frame.map_data(piece))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Served(body) => body.is_end_stream(),
            Content::Refused(body) => body.is_end_stream(),
            Content::Withheld => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Served(body) => body.size_hint(),
            Content::Refused(body) => body.size_hint(),
            Content::Withheld => SizeHint::with_exact(0),
        }
    }
}
