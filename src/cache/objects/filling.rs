//! One fill under way: what has come of it so far, for all who wait.
//!
//! Decides when a reader has something to read, and when nobody wants the fill any more, so that it may end: all readers
//! went away, and none of them because they had what they came for. Bytes are shared, never copied. Who reads gets every
//! byte or an error; a fill that breaks breaks for all of them.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::gcs::{Error, Read};
use crate::object::{Metadata, Span};

/// A fill under way.
pub(super) struct Filling {
    progress: Mutex<Progress>,
}

struct Progress {
    phase: Phase,
    /// What has come so far; empty again once it is whole.
    pieces: Vec<Bytes>,
    readers: usize,
    /// Somebody took all that they asked for: then the rest is worth having for the next.
    was_of_use: bool,
    waiting: Vec<Waker>,
    /// Whoever fills, to be told when nobody wants it any more.
    filler: Option<Waker>,
}

enum Phase {
    /// GCS has not answered yet.
    Opening,
    Flowing(Arc<Metadata>),
    Whole(Arc<Metadata>, Bytes),
    /// Not to be kept: one reader takes the stream, the others read for themselves.
    Passed(Option<Box<Read>>),
    Failed(Arc<Error>),
    /// The last reader went away, and none had what they asked for.
    Abandoned,
}

/// How a fill began.
pub enum Opened {
    /// Bytes flow, or are there already.
    Flowing(Arc<Metadata>),
    /// It is not kept, and this reader is the one that has the stream.
    Taken(Box<Read>),
    /// It is not kept, and somebody else has the stream.
    Alone,
}

/// One of those who read a fill. The fill goes on as long as there is one, and once one of them got all of theirs.
pub struct Reader {
    filling: Arc<Filling>,
    /// The next byte, and the one after the last.
    at: u64,
    end: u64,
    /// A piece at or before `at`, and where it begins.
    piece: usize,
    begins: u64,
}

impl Filling {
    /// A fill with its first reader.
    pub(super) fn begin() -> (Arc<Self>, Reader) {
        let filling = Arc::new(Self { progress: Mutex::new(Progress::begin()) });
        let reader = Reader::new(Arc::clone(&filling));
        (filling, reader)
    }

    /// One more reader, unless there is nothing to wait for any more.
    pub(super) fn join(self: &Arc<Self>) -> Option<Reader> {
        let mut progress = self.progress();
        match progress.phase {
            Phase::Opening | Phase::Flowing(_) | Phase::Whole(..) => {
                progress.readers += 1;
                drop(progress);
                Some(Reader::new(Arc::clone(self)))
            }
            Phase::Passed(..) | Phase::Failed(_) | Phase::Abandoned => None,
        }
    }

    /// GCS has answered.
    pub(super) fn opened(&self, metadata: Arc<Metadata>) {
        self.turn(Phase::Flowing(metadata));
    }

    /// GCS has answered, and it shall not be kept.
    pub(super) fn pass(&self, read: Read) {
        self.turn(Phase::Passed(Some(Box::new(read))));
    }

    /// The next piece has come.
    pub(super) fn push(&self, piece: Bytes) {
        let mut progress = self.progress();
        progress.pieces.push(piece);
        progress.wake();
    }

    /// All has come, and is right: the pieces in one.
    pub(super) fn whole(&self, metadata: Arc<Metadata>, bytes: Bytes) {
        self.turn(Phase::Whole(metadata, bytes));
    }

    /// It is over, unless it is whole already.
    pub(super) fn fail(&self, error: Error) {
        let mut progress = self.progress();
        if matches!(progress.phase, Phase::Opening | Phase::Flowing(_)) {
            progress.phase = Phase::Failed(Arc::new(error));
            progress.pieces = Vec::new();
            progress.wake();
        }
    }

    /// What has come so far.
    pub(super) fn pieces(&self) -> Vec<Bytes> {
        self.progress().pieces.clone()
    }

    /// Ready once nobody wants it any more; from then on nobody can join.
    pub(super) fn poll_abandoned(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut progress = self.progress();
        if !progress.is_wanted() {
            progress.phase = Phase::Abandoned;
            progress.pieces = Vec::new();
            return Poll::Ready(());
        }
        progress.tell(cx);
        Poll::Pending
    }

    /// Ready while nobody wants it; unlike [`Self::poll_abandoned`] this changes nothing.
    pub(super) fn poll_unwanted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut progress = self.progress();
        if !progress.is_wanted() {
            return Poll::Ready(());
        }
        progress.tell(cx);
        Poll::Pending
    }

    fn turn(&self, phase: Phase) {
        let mut progress = self.progress();
        progress.phase = phase;
        progress.pieces =
            if let Phase::Whole(..) = progress.phase { Vec::new() } else { mem::take(&mut progress.pieces) };
        progress.wake();
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Nothing has come, and one reads.
    fn begin() -> Self {
        let (pieces, waiting) = (Vec::new(), Vec::new());
        Self { phase: Phase::Opening, pieces, readers: 1, was_of_use: false, waiting, filler: None }
    }

    fn is_wanted(&self) -> bool {
        self.readers > 0 || self.was_of_use
    }

    fn wake(&mut self) {
        for waker in self.waiting.drain(..) {
            waker.wake();
        }
    }

    fn tell(&mut self, cx: &Context<'_>) {
        if self.filler.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.filler = Some(cx.waker().clone());
        }
    }

    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }
}

impl Reader {
    fn new(filling: Arc<Filling>) -> Self {
        Self { filling, at: 0, end: 0, piece: 0, begins: 0 }
    }

    /// Waits until GCS has answered.
    pub async fn opened(&mut self) -> Result<Opened, Error> {
        std::future::poll_fn(|cx| self.poll_opened(cx)).await
    }

    fn poll_opened(&mut self, cx: &Context<'_>) -> Poll<Result<Opened, Error>> {
        let mut progress = self.filling.progress();
        let opened = match &mut progress.phase {
            Phase::Opening => {
                progress.wait(cx);
                return Poll::Pending;
            }
            Phase::Flowing(metadata) | Phase::Whole(metadata, _) => Opened::Flowing(Arc::clone(metadata)),
            Phase::Passed(read) => read.take().map_or(Opened::Alone, Opened::Taken),
            Phase::Failed(error) => return Poll::Ready(Err(Error::shared(error))),
            Phase::Abandoned => return Poll::Ready(Err(given_up())),
        };
        Poll::Ready(Ok(opened))
    }

    /// Reads `span` alone, or nothing at all.
    pub fn narrow(mut self, span: Option<Span>) -> Self {
        (self.at, self.end) = span.map_or((0, 0), |span| (span.first, span.last + 1));
        if span.is_none() {
            self.filling.progress().was_of_use = true;
        }
        self
    }

    fn poll_piece(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.at >= self.end {
            return Poll::Ready(None);
        }
        let mut progress = self.filling.progress();
        let found = match &progress.phase {
            Phase::Whole(_, whole) => slice(whole, self.at, self.end),
            Phase::Failed(error) => return Poll::Ready(Some(Err(Error::shared(error)))),
            Phase::Passed(..) | Phase::Abandoned => return Poll::Ready(Some(Err(given_up()))),
            Phase::Opening | Phase::Flowing(_) => loop {
                let Some(piece) = progress.pieces.get(self.piece) else { break Bytes::new() };
                let ends = self.begins + piece.len() as u64;
                if ends > self.at {
                    break slice(piece, self.at - self.begins, self.end - self.begins);
                }
                self.piece += 1;
                self.begins = ends;
            },
        };
        if found.is_empty() {
            progress.wait(cx);
            return Poll::Pending;
        }
        self.at += found.len() as u64;
        progress.was_of_use |= self.at >= self.end;
        Poll::Ready(Some(Ok(found)))
    }
}

/// `from..to` of `bytes`, as far as they go.
fn slice(bytes: &Bytes, from: u64, to: u64) -> Bytes {
    let clamped = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(clamped(from)..clamped(to))
}

fn given_up() -> Error {
    Error::Broken("the fill was given up".into())
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut progress = self.filling.progress();
        progress.readers -= 1;
        if !progress.is_wanted()
            && let Some(filler) = progress.filler.take()
        {
            filler.wake();
        }
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let piece = ready!(self.get_mut().poll_piece(cx));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("at", &self.at).field("end", &self.end).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the fill goes on once a reader, who does this with it, is gone.
    fn goes_on(read: impl FnOnce(Reader)) -> bool {
        let (filling, reader) = Filling::begin();
        filling.push(Bytes::from_static(b"0123456789"));
        read(reader);
        let cx = &mut Context::from_waker(Waker::noop());
        let (unwanted, abandoned) = (filling.poll_unwanted(cx), filling.poll_abandoned(cx));
        assert_eq!(unwanted, abandoned);
        abandoned.is_pending()
    }

    /// Reads what there is of a part.
    fn part(first: u64, last: u64) -> impl FnOnce(Reader) {
        move |reader| {
            let mut reader = reader.narrow(Some(Span { first, last }));
            while let Poll::Ready(Some(Ok(_))) = reader.poll_piece(&Context::from_waker(Waker::noop())) {}
        }
    }

    #[test]
    fn a_fill_goes_on_for_the_next_once_somebody_has_all_that_was_asked_for() {
        assert!(goes_on(part(3, 9)), "all of it has come");
        assert!(goes_on(|reader| drop(reader.narrow(None))), "an empty object's");
        assert!(!goes_on(part(3, 10)), "the last byte has not come");
        assert!(!goes_on(|reader| drop(reader.narrow(Some(Span { first: 0, last: 0 })))), "nothing was read");
        assert!(!goes_on(drop), "nothing was asked for");
    }

    #[test]
    fn whoever_leaves_early_takes_nothing_from_who_had_enough() {
        let early = |reader: Reader| {
            let other = reader.filling.join().expect("still opening");
            part(0, 4)(other);
            drop(reader);
        };
        assert!(goes_on(early));
    }
}
