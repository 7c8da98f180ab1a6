//! The body of an answer: nothing, a short text, an object's bytes as they are, shared with others, or decompressed.
//!
//! A body that cannot be completed ends with an error, upon which the server breaks the connection; it never ends neatly too early.
//! When it is done or dropped, the exchange it belongs to is closed and logged with the bytes that were really handed over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyDataStream;
use tokio::io::AsyncBufReadExt;
use tokio_util::io::{ReaderStream, StreamReader};

use super::exchange::Exchange;
use crate::cache::objects::{Reader, Stretch};
use crate::gcs::{self, ReadBody};

/// Output is made in pieces of this size, so that a small gzip file cannot blow up memory.
const DECOMPRESSED_PIECE: usize = 64 * 1024;
/// What every gzip begins with (RFC 1952 section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An answer's body.
#[derive(Debug)]
pub struct Body {
    content: Content,
    exchange: Option<Box<Exchange>>,
}

type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

enum Content {
    Full(Option<Bytes>),
    Object(Box<ReadBody>),
    Filling(Reader),
    Stretch(Box<Stretch>),
    Decompressed(Pieces),
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// GCS's bytes stopped coming, or were wrong.
    #[error(transparent)]
    Upstream(#[from] gcs::Error),
    /// The stored bytes are no gzip.
    #[error("the stored gzip cannot be decompressed")]
    Decompress(#[source] io::Error),
}

impl Body {
    /// No bytes at all.
    pub fn empty() -> Self {
        Self { content: Content::Full(None), exchange: None }
    }

    /// An object's bytes.
    pub fn object(body: Box<ReadBody>) -> Self {
        Self { content: Content::Object(body), exchange: None }
    }

    /// How many bytes it has, if they come from GCS for this answer and their number is known.
    pub(super) fn waited_for(&self) -> Option<u64> {
        match &self.content {
            Content::Object(_) | Content::Filling(_) => self.size_hint().exact(),
            Content::Full(_) | Content::Stretch(_) | Content::Decompressed(_) => None,
        }
    }

    /// Bytes that are all there.
    pub fn kept(bytes: Bytes) -> Self {
        Self { content: Content::Full((!bytes.is_empty()).then_some(bytes)), exchange: None }
    }

    /// Bytes that come for several at once.
    pub fn filling(reader: Reader) -> Self {
        Self { content: Content::Filling(reader), exchange: None }
    }

    /// A part of a large object.
    pub fn stretch(stretch: Box<Stretch>) -> Self {
        Self { content: Content::Stretch(stretch), exchange: None }
    }

    /// An object's bytes, decompressed on the way. All of the source is read, so that its checksum is compared, too.
    ///
    /// Objects are marked as gzip that are none, mostly by mistake at the upload; their bytes are passed on as they are.
    pub async fn decompressed<B>(body: B) -> Result<Self, gcs::Error>
    where
        B: http_body::Body<Data = Bytes, Error: Into<gcs::Source>> + Send + Unpin + 'static,
    {
        let mut source = StreamReader::new(BodyDataStream::new(body).map_err(io::Error::other));
        let beginning = source.fill_buf().await.map_err(upstream_error)?;
        let is_gzip = !beginning.is_empty() && beginning.iter().zip(GZIP_MAGIC).all(|(byte, magic)| *byte == magic);
        let content: Pieces = if is_gzip {
            let mut decoder = GzipDecoder::new(source);
            decoder.multiple_members(true);
            Box::pin(ReaderStream::with_capacity(decoder, DECOMPRESSED_PIECE))
        } else {
            Box::pin(ReaderStream::with_capacity(source, DECOMPRESSED_PIECE))
        };
        Ok(Self { content: Content::Decompressed(content), exchange: None })
    }

    /// Closes `exchange` when this body is done or dropped.
    pub fn watched(mut self, exchange: Box<Exchange>) -> Self {
        self.exchange = Some(exchange);
        self
    }

    fn close(&mut self, error: Option<&BodyError>) {
        if let Some(exchange) = &mut self.exchange {
            exchange.body_ended(error.map(|error| error as &(dyn std::error::Error + 'static)));
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::kept(bytes.into())
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Object(_) => "Object",
            Self::Filling(_) => "Filling",
            Self::Stretch(_) => "Stretch",
            Self::Decompressed(_) => "Decompressed",
        })
    }
}

impl Content {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Object(body) => Pin::new(body.as_mut()).poll_frame(context).map_err(BodyError::Upstream),
            Self::Filling(reader) => Pin::new(reader).poll_frame(context).map_err(BodyError::Upstream),
            Self::Stretch(stretch) => Pin::new(stretch.as_mut()).poll_frame(context).map_err(BodyError::Upstream),
            Self::Decompressed(stream) => {
                let item = ready!(stream.as_mut().poll_next(context));
                Poll::Ready(item.map(|item| item.map(Frame::data).map_err(decompress_error)))
            }
        }
    }
}

/// What a source says that has nothing to say but errors of its own.
fn upstream_error(error: io::Error) -> gcs::Error {
    error.downcast::<gcs::Error>().unwrap_or_else(|other| gcs::Error::Broken(other.into()))
}

/// An error of the source comes through the decoder unchanged; anything else is the decoder's own.
fn decompress_error(error: io::Error) -> BodyError {
    match error.downcast::<gcs::Error>() {
        Ok(upstream) => BodyError::Upstream(upstream),
        Err(own) => BodyError::Decompress(own),
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.content.poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                if let Some(exchange) = &mut self.exchange {
                    exchange.sent(length);
                }
            }
            Some(Err(error)) => self.close(Some(error)),
            None => self.close(None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Full(bytes) => bytes.is_none(),
            Content::Object(body) => body.is_end_stream(),
            Content::Filling(reader) => reader.is_end_stream(),
            Content::Stretch(stretch) => stretch.is_end_stream(),
            Content::Decompressed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Object(body) => body.size_hint(),
            Content::Filling(reader) => reader.size_hint(),
            Content::Stretch(stretch) => stretch.size_hint(),
            Content::Decompressed(_) => SizeHint::default(),
        }
    }
}
