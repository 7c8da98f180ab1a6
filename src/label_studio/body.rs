//! The bodies that pass through, both ways: piece by piece, and broken off when they rest for too long.
//!
//! A slow reader slows the writer; nothing is gathered here. A body that breaks is never ended neatly.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::permits::Ear;
use crate::gateway::body::Body as GatewayBody;
use crate::gateway::exchange::Exchange;
use crate::server::BoxError;

/// The other end was silent for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing came for {0:?}")]
pub(super) struct Stalled(Duration);

/// When a body last moved.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(super) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A body that ends with an error when it rests for too long. Time during which nobody wants more does not count.
#[derive(Debug)]
pub(super) struct Watched {
    body: Incoming,
    limit: Duration,
    progress: Progress,
    /// Runs while more is wanted.
    alarm: Option<Pin<Box<Sleep>>>,
    ear: Option<Ear>,
}

impl Watched {
    pub(super) fn new(body: Incoming, limit: Duration, progress: Progress) -> Self {
        Self { body, limit, progress, alarm: None, ear: None }
    }

    /// The same, heard as it passes.
    pub(super) fn heard_by(self, ear: Option<Ear>) -> Self {
        Self { ear, ..self }
    }

    fn let_hear(&mut self, frame: Option<&Frame<Bytes>>) {
        let Some(ear) = self.ear.take() else { return };
        let ear = match frame.and_then(Frame::data_ref) {
            Some(piece) => ear.hear(piece),
            None => Some(ear),
        };
        match ear {
            // Before the last byte goes out: what is asked for next depends on it.
            Some(ear) if frame.is_none() || self.body.is_end_stream() => ear.tell(),
            ear => self.ear = ear,
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.alarm = None;
            self.progress.note();
            match &frame {
                Some(Ok(frame)) => self.let_hear(Some(frame)),
                Some(Err(_)) => self.ear = None,
                None => self.let_hear(None),
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = self.limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Some(Err(Stalled(limit).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body: the gateway's own, or one that passes through.
#[derive(Debug)]
pub struct Body(Content);

#[derive(Debug)]
enum Content {
    Own(GatewayBody),
    Passing(Box<Watched>, Box<Exchange>),
}

impl Body {
    /// A body that passes through; `exchange` is closed when it is done or dropped.
    pub(super) fn passing(body: Watched, exchange: Box<Exchange>) -> Self {
        Self(Content::Passing(Box::new(body), exchange))
    }
}

impl From<GatewayBody> for Body {
    fn from(body: GatewayBody) -> Self {
        Self(Content::Own(body))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Content::Own(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Content::Passing(body, exchange) => {
                let frame = ready!(Pin::new(body.as_mut()).poll_frame(cx));
                match &frame {
                    Some(Ok(frame)) => exchange.sent(frame.data_ref().map_or(0, Bytes::len)),
                    Some(Err(error)) => exchange.body_ended(Some(&**error)),
                    None => exchange.body_ended(None),
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Own(body) => body.is_end_stream(),
            Content::Passing(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Own(body) => body.size_hint(),
            Content::Passing(body, _) => body.size_hint(),
        }
    }
}
