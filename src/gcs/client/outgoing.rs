//! The body of a request to GCS: nothing, bytes at hand, or a stream of which only one piece is held at a time.
//!
//! Never decides what is sent; counts and sums what passes, so that a silent source is noticed and a stored object can
//! be compared with what was meant.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

use crate::gcs::Source;

/// What is sent after the head.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// Bytes at hand, perhaps none.
    Ready(Option<Bytes>),
    /// A stream between what goes before and after it.
    Stream(Framed),
}

/// A stream with a fixed beginning and end.
#[derive(Debug)]
pub(super) struct Framed {
    before: VecDeque<Bytes>,
    stream: Option<UnsyncBoxBody<Bytes, Source>>,
    after: VecDeque<Bytes>,
    meter: Meter,
}

/// What has passed so far. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Meter(Arc<Mutex<Passed>>);

#[derive(Debug)]
struct Passed {
    bytes: u64,
    digest: Digest,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Passed { bytes: 0, digest: Digest::new(CrcAlgorithm::Crc32Iscsi) })))
    }

    /// How many bytes of the stream have passed.
    pub(super) fn bytes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// The CRC32C of what has passed; it has 32 bits, whatever the type says.
    pub(super) fn crc32c(&self) -> u32 {
        let sum = self.0.lock().unwrap_or_else(PoisonError::into_inner).digest.finalize();
        u32::try_from(sum).unwrap_or(u32::MAX)
    }

    fn note(&self, piece: &Bytes) {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        passed.bytes = passed.bytes.saturating_add(piece.len() as u64);
        passed.digest.update(piece);
    }
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        Self::Ready((!bytes.is_empty()).then_some(bytes))
    }
}

impl Outgoing {
    /// A stream between two fixed pieces.
    pub(super) fn stream<B>((before, stream, after): (Bytes, B, Bytes), meter: Meter) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Source>,
    {
        let stream = Some(stream.map_err(Into::into).boxed_unsync());
        Self::Stream(Framed { before: VecDeque::from([before]), stream, after: VecDeque::from([after]), meter })
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Source;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Source>>> {
        match self.get_mut() {
            Self::Ready(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(framed) => framed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Ready(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ready(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(framed) => framed.size_hint(),
        }
    }
}

impl Framed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Source>>> {
        if let Some(piece) = self.before.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        while let Some(stream) = &mut self.stream {
            match ready!(Pin::new(stream).poll_frame(cx)) {
                // Trailers have no place between the parts of a body.
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        self.meter.note(&piece);
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.stream = None,
            }
        }
        Poll::Ready(self.after.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        let fixed: u64 = self.before.iter().chain(&self.after).map(|piece| piece.len() as u64).sum();
        let exact = self.stream.as_ref().map_or(Some(0), |stream| stream.size_hint().exact());
        exact.and_then(|exact| exact.checked_add(fixed)).map(SizeHint::with_exact).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn piece(text: &'static [u8]) -> Bytes {
        Bytes::from_static(text)
    }

    #[tokio::test]
    async fn a_stream_keeps_its_frame_and_is_summed_without_it() {
        let meter = Meter::new();
        let body = Outgoing::stream((piece(b"<"), Full::new(piece(b"abc")), piece(b">")), meter.clone());
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.expect("a good body").to_bytes(), "<abc>");
        assert_eq!((meter.bytes(), meter.crc32c()), (3, crc32c::crc32c(b"abc")));
    }

    #[tokio::test]
    async fn nothing_at_hand_is_an_ended_body() {
        let empty = Outgoing::from(Bytes::new());
        assert!(empty.is_end_stream() && empty.size_hint().exact() == Some(0));
        let full = Outgoing::from(piece(b"abc"));
        assert!(!full.is_end_stream() && full.size_hint().exact() == Some(3));
        assert_eq!(full.collect().await.expect("a good body").to_bytes(), "abc");
    }
}
