//! A part of a large object: chunks that are kept, chunks that are being filled, and the rest straight from GCS.
//!
//! Whatever a piece comes from, it is of the one generation that the stretch was made for, or the stretch ends in an error.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Opened, Reader, Role, Wanted};
use crate::gcs::{Error, Read, ReadBody};
use crate::object::{Generation, Span};

/// A part of a large object.
pub struct Stretch {
    pub(super) segments: VecDeque<Segment>,
    pub(super) rest: Rest,
    pub(super) left: u64,
}

pub(super) enum Segment {
    Kept(Bytes),
    Filling(Reader, Role),
}

type Reading = Pin<Box<dyn Future<Output = Result<Read, Error>> + Send>>;

/// What lies behind the chunks; it is asked for only when the client gets there.
pub(super) enum Rest {
    Nothing,
    Later(Box<Wanted>, Span, Generation),
    Opening(Reading, Span, Generation),
    Flowing(Box<ReadBody>),
}

impl Stretch {
    /// `hit` if all of it is kept; else what became of the first chunk that is not.
    pub fn result(&self) -> &'static str {
        let filling = self.segments.iter().find_map(|segment| match segment {
            Segment::Kept(_) => None,
            Segment::Filling(_, role) => Some(*role),
        });
        match (filling, &self.rest) {
            (Some(Role::First), _) => "fill",
            (Some(Role::Joined), _) => "joined",
            (None, Rest::Nothing) => "hit",
            (None, _) => "miss",
        }
    }

    /// Waits until its first byte is sure to come.
    pub async fn opened(&mut self) -> Result<(), Error> {
        if let Some(Segment::Filling(reader, _)) = self.segments.front_mut() {
            match reader.opened().await? {
                Opened::Flowing(_) => {}
                Opened::Taken(_) | Opened::Alone => return Err(Error::Changed),
            }
        }
        Ok(())
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        while let Some(segment) = self.segments.front_mut() {
            match segment {
                Segment::Kept(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.segments.pop_front();
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Segment::Filling(reader, _) => match ready!(Pin::new(reader).poll_frame(cx)) {
                    Some(frame) => return Poll::Ready(Some(frame.map(|frame| frame.into_data().unwrap_or_default()))),
                    None => drop(self.segments.pop_front()),
                },
            }
        }
        loop {
            match &mut self.rest {
                Rest::Nothing => return Poll::Ready(None),
                Rest::Later(wanted, span, generation) => {
                    let (wanted, span, generation) = (wanted.clone(), *span, *generation);
                    let reading = async move {
                        let mut request = wanted.request;
                        request.range = Some(span.into());
                        request.generation = Some(generation);
                        wanted.client.read(&wanted.credential, request).await
                    };
                    self.rest = Rest::Opening(Box::pin(reading), span, generation);
                }
                Rest::Opening(reading, span, generation) => {
                    let read = ready!(reading.as_mut().poll(cx))?;
                    let fits = read.part.is_some_and(|part| part.span == *span);
                    if !fits || read.metadata.generation != *generation {
                        return Poll::Ready(Some(Err(Error::Changed)));
                    }
                    self.rest = Rest::Flowing(read.body);
                }
                Rest::Flowing(body) => {
                    let frame = ready!(Pin::new(body.as_mut()).poll_frame(cx));
                    return Poll::Ready(frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default())));
                }
            }
        }
    }
}

impl Body for Stretch {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let piece = ready!(this.poll_piece(cx));
        Poll::Ready(match piece {
            Some(Ok(piece)) => {
                this.left = this.left.saturating_sub(piece.len() as u64);
                Some(Ok(Frame::data(piece)))
            }
            // An error is final.
            Some(Err(error)) => {
                this.segments.clear();
                this.rest = Rest::Nothing;
                Some(Err(error))
            }
            None => Some(Err(Error::Broken("a part ended early".into()))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl fmt::Debug for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stretch").field("left", &self.left).finish_non_exhaustive()
    }
}
