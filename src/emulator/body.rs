//! Bodies of answers: bytes at hand, a stream of content, or gzip being undone; with the faults that meet them.
//!
//! Nothing is read before the connection asks for it, and never more than one chunk at a time.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

use super::connection::Link;
use super::content::{CHUNK, Content};
use super::fault::{Action, Gate, Planned};
use super::record::Ticket;

type Reader = Pin<Box<dyn AsyncRead + Send + Sync>>;
type Wait = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// An answer's body.
pub(super) struct Body {
    source: Source,
    /// Bytes still to come, if that is known.
    left: Option<u64>,
    /// The server is not told the length: a fault sends a wrong one.
    hidden: bool,
    sent: u64,
    faults: Vec<Planned>,
    wait: Option<Wait>,
    link: Option<Arc<Link>>,
    ticket: Option<Ticket>,
    buffer: BytesMut,
}

enum Source {
    Full(Bytes),
    Content { content: Content, at: u64 },
    Reader(Reader),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("left", &self.left).field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Body {
    fn new(source: Source, left: Option<u64>) -> Self {
        Self {
            source,
            left,
            hidden: false,
            sent: 0,
            faults: Vec::new(),
            wait: None,
            link: None,
            ticket: None,
            buffer: BytesMut::new(),
        }
    }

    /// No bytes.
    pub(super) fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// Bytes at hand.
    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        Self::new(Source::Full(bytes), Some(length))
    }

    /// Part of memory or of a pattern.
    pub(super) fn content(content: Content, at: u64, length: u64) -> Self {
        Self::new(Source::Content { content, at }, Some(length))
    }

    /// So many bytes of a reader; all of them if the length is unknown.
    pub(super) fn reader(reader: impl AsyncRead + Send + Sync + 'static, length: Option<u64>) -> Self {
        Self::new(Source::Reader(Box::pin(reader)), length)
    }

    /// How many bytes are to come, if known.
    pub(super) fn length(&self) -> Option<u64> {
        self.left
    }

    /// Keeps the length from the server, so that a wrong `Content-Length` can be sent.
    pub(super) fn hide_length(&mut self) {
        self.hidden = true;
    }

    /// Adds what belongs to this very answer: the faults that meet its body, and its record.
    pub(super) fn attend(mut self, mut faults: Vec<Planned>, link: Arc<Link>, ticket: Ticket) -> Self {
        faults.sort_by_key(|fault| fault.after_bytes);
        for fault in &faults {
            if let (Action::Truncate, Some(left)) = (&fault.action, self.left) {
                self.left = Some(left.min(fault.after_bytes.unwrap_or(0)));
            }
        }
        faults.retain(|fault| !matches!(fault.action, Action::Truncate));
        if self.left == Some(0) && faults.is_empty() {
            ticket.complete();
        }
        self.faults = faults;
        self.link = Some(link);
        self.ticket = Some(ticket);
        self
    }

    /// How many bytes may be sent before the next fault.
    fn allowance(&self) -> u64 {
        let place = |fault: &Planned| fault.after_bytes.unwrap_or(0);
        let next = self.faults.iter().find(|fault| !matches!(fault.action, Action::Corrupt));
        let room = next.map_or(u64::MAX, |fault| match fault.action {
            Action::Dribble { piece, .. } if place(fault) <= self.sent => piece.max(1) as u64,
            _ => place(fault).saturating_sub(self.sent),
        });
        room.min(self.left.unwrap_or(u64::MAX))
    }

    /// Plays the faults whose place is reached.
    fn play(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(context));
                self.wait = None;
                return Poll::Ready(Ok(()));
            }
            let due = |fault: &Planned| fault.after_bytes.unwrap_or(0) <= self.sent;
            let Some(index) = self.faults.iter().position(|fault| {
                due(fault)
                    && matches!(fault.action, Action::Reset | Action::Close | Action::Stall(_) | Action::Dribble { .. })
            }) else {
                return Poll::Ready(Ok(()));
            };
            match &self.faults[index].action {
                Action::Dribble { gate, .. } => self.wait = Some(gate.pass()),
                Action::Stall(gate) => {
                    self.wait = Some(Gate::pass(gate));
                    self.faults.remove(index);
                }
                action => {
                    let reset = matches!(action, Action::Reset);
                    if let Some(link) = &self.link {
                        ready!(link.poll_break(reset, context));
                    }
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
            }
        }
    }

    /// The next bytes, at most `most`; empty at the end.
    fn read(&mut self, most: u64, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let length = usize::try_from(most).unwrap_or(CHUNK).min(CHUNK);
        match &mut self.source {
            Source::Full(bytes) => Poll::Ready(Ok(bytes.split_to(length.min(bytes.len())))),
            Source::Content { content, at } => {
                let bytes = content.slice(*at, length as u64);
                *at += bytes.len() as u64;
                Poll::Ready(Ok(bytes))
            }
            Source::Reader(reader) => {
                self.buffer.resize(length, 0);
                let mut buffer = ReadBuf::new(&mut self.buffer);
                ready!(reader.as_mut().poll_read(context, &mut buffer))?;
                let filled = buffer.filled().len();
                self.buffer.truncate(filled);
                Poll::Ready(Ok(self.buffer.split().freeze()))
            }
        }
    }

    /// Corrupts the byte that a fault names, if it is among these.
    fn corrupt(&mut self, bytes: Bytes) -> Bytes {
        let (start, end) = (self.sent, self.sent + bytes.len() as u64);
        let inside = |fault: &Planned| {
            let place = fault.after_bytes.unwrap_or(0);
            matches!(fault.action, Action::Corrupt) && (start..end).contains(&place)
        };
        let Some(index) = self.faults.iter().position(inside) else { return bytes };
        let place = self.faults.remove(index).after_bytes.unwrap_or(0) - start;
        let mut copy = BytesMut::from(&bytes[..]);
        if let Some(byte) = usize::try_from(place).ok().and_then(|place| copy.get_mut(place)) {
            *byte ^= 0xff;
        }
        copy.freeze()
    }

    /// Whether a fault still waits at the very end.
    fn unfinished(&self) -> bool {
        self.wait.is_some()
            || self.faults.iter().any(|fault| matches!(fault.action, Action::Reset | Action::Close | Action::Stall(_)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let body = self.get_mut();
        if body.left == Some(0) && !body.unfinished() {
            return Poll::Ready(None);
        }
        ready!(body.play(context))?;
        if body.left == Some(0) {
            return Poll::Ready(None);
        }
        let most = body.allowance();
        let bytes = ready!(body.read(most, context))?;
        if bytes.is_empty() {
            if body.left.is_some() {
                // A file that has become shorter.
                return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
            }
            body.left = Some(0);
            body.ticket.iter().for_each(Ticket::complete);
            return Poll::Ready(None);
        }
        let bytes = body.corrupt(bytes);
        let length = bytes.len() as u64;
        body.sent += length;
        body.left = body.left.map(|left| left.saturating_sub(length));
        let done = body.left == Some(0) && !body.unfinished();
        if let Some(ticket) = &body.ticket {
            ticket.sent(length);
            if done {
                ticket.complete();
            }
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        !self.hidden && self.left == Some(0) && !self.unfinished()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.filter(|_| !self.hidden).map(SizeHint::with_exact).unwrap_or_default()
    }
}
