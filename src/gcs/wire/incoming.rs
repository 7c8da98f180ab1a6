//! An answer's body as it comes in.
//!
//! Decides where it ends by the framing of its head. What ends otherwise ends in an error. When the last byte is read the
//! connection is free for another request; a body that is dropped before takes its connection along.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::buffers::WIDE;
use super::chunked::Chunks;
use super::connection::Connection;
use super::head::Framing;

/// The bytes of an answer.
#[derive(Debug)]
pub(in crate::gcs) struct Incoming {
    connection: Option<Box<Connection>>,
    ends: Ends,
}

#[derive(Debug)]
enum Ends {
    After(u64),
    WithChunks(Chunks),
    WithConnection,
}

impl Incoming {
    pub(super) fn new(connection: Box<Connection>, framing: Framing) -> Self {
        let ends = match framing {
            Framing::Length(length) => Ends::After(length),
            Framing::Chunked => Ends::WithChunks(Chunks::new()),
            Framing::Close => Ends::WithConnection,
        };
        let mut body = Self { connection: Some(connection), ends };
        body.release_if_over();
        body
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(None)) };
            let wanted = match &self.ends {
                Ends::After(left) => usize::try_from(*left).unwrap_or(WIDE),
                Ends::WithChunks(_) | Ends::WithConnection => WIDE,
            };
            let Some(piece) = ready!(connection.poll_body(cx, wanted))? else {
                let whole = matches!(self.ends, Ends::WithConnection);
                self.connection = None;
                return Poll::Ready(if whole { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) });
            };
            if let Some(content) = self.take(piece)? {
                return Poll::Ready(Ok(Some(content)));
            }
        }
    }

    /// The content at the beginning of what came.
    fn take(&mut self, mut piece: Bytes) -> io::Result<Option<Bytes>> {
        let content = match &mut self.ends {
            Ends::After(left) => {
                let content = piece.split_to(usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len()));
                *left -= content.len() as u64;
                Some(content)
            }
            Ends::WithChunks(chunks) => {
                chunks.next(&mut piece).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
            }
            Ends::WithConnection => Some(std::mem::take(&mut piece)),
        };
        if let Some(connection) = &mut self.connection {
            connection.put_back(piece);
        }
        self.release_if_over();
        Ok(content)
    }

    fn release_if_over(&mut self) {
        if self.is_over()
            && let Some(connection) = self.connection.take()
        {
            connection.release();
        }
    }

    fn is_over(&self) -> bool {
        match &self.ends {
            Ends::After(left) => *left == 0,
            Ends::WithChunks(chunks) => chunks.is_over(),
            Ends::WithConnection => self.connection.is_none(),
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_next(cx));
        if next.is_err() {
            this.connection = None;
        }
        Poll::Ready(next.map(|content| content.map(Frame::data)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.ends {
            Ends::After(left) => SizeHint::with_exact(*left),
            Ends::WithChunks(_) | Ends::WithConnection => SizeHint::default(),
        }
    }
}
