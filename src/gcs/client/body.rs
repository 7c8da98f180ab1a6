//! A body that heals: whatever breaks upstream, the reader sees the object's bytes in one run, or an error.
//!
//! Decides whether a broken stream is reopened and from where. A reopened answer must be the same generation, total,
//! encoding and exactly the missing bytes; otherwise the stream ends in an error, never neatly.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/get> (`generation`, `Range`).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::answer::{Form, Head};
use super::call::{Call, Target};
use super::queue::Place;
use super::retry;
use super::stall::Patience;
use super::tally::Tally;
use super::upstream::Upstream;
use crate::gcs::wire::Incoming;
use crate::gcs::{Credential, Error};
use crate::object::{ByteRange, Crc32c, Span};

/// Where a body comes from, and so where it can be had again.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) upstream: Arc<Upstream>,
    pub(super) credential: Credential,
    pub(super) target: Target,
    pub(super) head: Head,
}

/// An object's bytes as they stream in.
pub struct ReadBody {
    origin: Arc<Origin>,
    state: State,
    tally: Tally,
    patience: Patience,
    /// How often the stream was reopened.
    resumes: u32,
    /// How far the stream was when it was last reopened.
    resumed_at: Option<u64>,
    /// Given back as soon as the stream is over.
    place: Option<Place>,
}

enum State {
    Flowing(Incoming),
    Reopening(Pin<Box<dyn Future<Output = Result<Incoming, Error>> + Send>>),
    /// All bytes were passed on.
    Over,
    /// Ended by an error, which reading on only repeats: nothing may take it for an end.
    Broken,
}

/// What a step of reading leads to.
enum Step {
    Yield(Bytes),
    Again,
    End,
}

/// What upstream did.
enum Event {
    Data(Bytes),
    End,
    Broke(Error),
}

impl ReadBody {
    pub(super) fn new(origin: Origin, incoming: Incoming, place: Place) -> Self {
        let head = &origin.head;
        // GCS has a sum of the whole only; a part that is the whole (`bytes=0-`, as players begin) is checked as well.
        let whole = head.part.is_none_or(|part| part.span.len() == part.total);
        let crc32c = head.metadata.crc32c.filter(|_| whole && head.form == Form::Stored).map(Crc32c::value);
        Self {
            tally: Tally::new(head.length(), crc32c),
            patience: Patience::new(origin.upstream.stall_timeout),
            origin: Arc::new(origin),
            state: State::Flowing(incoming),
            resumes: 0,
            resumed_at: None,
            place: Some(place),
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, Error>> {
        match &mut self.state {
            State::Over => Poll::Ready(Ok(Step::End)),
            State::Broken => Poll::Ready(Err(Error::Broken("the stream has ended in an error before".into()))),
            State::Flowing(incoming) => {
                let event = ready!(poll_event(incoming, &mut self.patience, cx));
                Poll::Ready(self.take(event))
            }
            State::Reopening(reopening) => Poll::Ready(match ready!(reopening.as_mut().poll(cx)) {
                Ok(incoming) => {
                    self.state = State::Flowing(incoming);
                    self.patience.rest();
                    Ok(Step::Again)
                }
                Err(error) => self.heal(error),
            }),
        }
    }

    fn take(&mut self, event: Event) -> Result<Step, Error> {
        match event {
            Event::Data(piece) => match self.tally.take(piece)? {
                Some(piece) => Ok(Step::Yield(piece)),
                None => Ok(Step::Again),
            },
            Event::End if self.tally.is_open_ended() => self.close(),
            // All bytes are here: how the connection ended after them does not matter.
            Event::End | Event::Broke(_) if self.tally.is_complete() => self.close(),
            Event::End => self.heal(self.tally.ended_early()),
            Event::Broke(error) => self.heal(error),
        }
    }

    /// Ends the body, or reads it again if its sum is wrong and nobody has seen it.
    fn close(&mut self) -> Result<Step, Error> {
        match self.tally.close() {
            Ok(last) => {
                self.leave(State::Over);
                Ok(last.map_or(Step::End, Step::Yield))
            }
            Err(error) if self.tally.restart() => self.heal(error),
            Err(error) => Err(error),
        }
    }

    /// Reopens the stream if the error may pass and there is something left to try.
    fn heal(&mut self, error: Error) -> Result<Step, Error> {
        let Some(cause) = retry::cause(&error) else { return Err(error) };
        let upstream = &self.origin.upstream;
        let received = self.tally.received();
        // A stream that got on since it was last reopened asks for nothing twice: only one that did not is a retry.
        let progressed = self.resumed_at.map_or(received > 0, |at| received > at);
        if self.tally.is_open_ended()
            || self.resumes >= upstream.policy.retries
            || !(progressed || upstream.afford(&error))
        {
            return Err(error);
        }
        upstream.metrics.upstream_resume(cause);
        self.origin.report("a stream from GCS broke and is resumed", received, &error);
        let wait = upstream.policy.backoff.wait(self.resumes, &mut fastrand::Rng::new());
        let origin = Arc::clone(&self.origin);
        self.resumes += 1;
        self.resumed_at = Some(received);
        self.state = State::Reopening(Box::pin(async move {
            tokio::time::sleep(wait).await;
            origin.reopen(received).await
        }));
        Ok(Step::Again)
    }

    /// Lets go of the connection and of the place in the queue.
    fn leave(&mut self, state: State) {
        self.state = state;
        self.place = None;
    }

    fn abort(&mut self, error: &Error) {
        if matches!(self.state, State::Broken) {
            return;
        }
        self.leave(State::Broken);
        self.origin.upstream.metrics.upstream_abort(label(error));
        self.origin.report("a stream from GCS broke for good", self.tally.received(), error);
    }
}

impl Origin {
    /// Asks for the bytes from `received` on, of the same generation.
    async fn reopen(&self, received: u64) -> Result<Incoming, Error> {
        let upstream = &self.upstream;
        let range = self.rest(received);
        let generation = Some(self.head.metadata.generation);
        let call = Call::media(&upstream.endpoint, &self.target, range, generation).named("resume");
        let answer = upstream.send(&self.credential, &call, upstream.deadline()).await?;
        let again = Head::read(&answer, range, &upstream.texts)?;
        self.is_continued_by(&again, range)?;
        Ok(answer.body)
    }

    /// The range that is missing; `None` if it is the whole object.
    fn rest(&self, received: u64) -> Option<ByteRange> {
        let size = self.head.metadata.size;
        let span = match self.head.part {
            Some(part) => part.span,
            None if received == 0 => return None,
            None => Span { first: 0, last: size.saturating_sub(1) },
        };
        Some(ByteRange::FromTo { first: span.first + received, last: span.last })
    }

    fn is_continued_by(&self, again: &Head, range: Option<ByteRange>) -> Result<(), Error> {
        let (was, is) = (&self.head.metadata, &again.metadata);
        let wrong = |what| Err(Error::Protocol(format!("a resumed stream has another {what}")));
        if is.generation != was.generation {
            return wrong("generation");
        }
        if is.size != was.size {
            return wrong("size");
        }
        if again.form != Form::Stored || is.texts.content_encoding != was.texts.content_encoding {
            return wrong("encoding");
        }
        if range.is_some() != again.part.is_some() {
            return wrong("range");
        }
        Ok(())
    }

    /// One line for the log: which bytes, and why.
    fn report(&self, what: &'static str, received: u64, error: &Error) {
        let Target { bucket, object, .. } = &self.target;
        let generation = self.head.metadata.generation.0;
        let cause: &(dyn std::error::Error + 'static) = error;
        tracing::warn!(%bucket, %object, generation, received, cause, "{what}");
    }
}

impl Body for ReadBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        loop {
            match ready!(this.poll_step(cx)) {
                Ok(Step::Again) => {}
                Ok(Step::Yield(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(Step::End) => return Poll::Ready(None),
                Err(error) => {
                    this.abort(&error);
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn size_hint(&self) -> SizeHint {
        self.tally.left().map(SizeHint::with_exact).unwrap_or_default()
    }
}

impl fmt::Debug for ReadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBody").field("tally", &self.tally).field("resumes", &self.resumes).finish_non_exhaustive()
    }
}

/// The next thing that upstream does, or its silence.
fn poll_event(incoming: &mut Incoming, patience: &mut Patience, cx: &mut Context<'_>) -> Poll<Event> {
    match Pin::new(incoming).poll_frame(cx) {
        Poll::Ready(event) => {
            patience.rest();
            Poll::Ready(match event {
                Some(Ok(frame)) => frame.into_data().map_or(Event::Data(Bytes::new()), Event::Data),
                Some(Err(error)) => Event::Broke(Error::Broken(error.into())),
                None => Event::End,
            })
        }
        Poll::Pending => patience.poll_spent(cx).map(|stalled| Event::Broke(Error::Stalled(stalled))),
    }
}

/// The label of an error that ended a stream.
fn label(error: &Error) -> &'static str {
    match error {
        Error::Changed | Error::NotFound { .. } => "changed",
        Error::Credential(_) | Error::Unauthorized { .. } | Error::Forbidden { .. } => "denied",
        Error::Protocol(_) => "protocol",
        _ => retry::cause(error).unwrap_or("other"),
    }
}
