//! What a connection is doing, and how long it may go on like this.
//!
//! hyper knows no idle time, no write stall and no difference between waiting for a head and resting between two.
//! This file decides all three from what passes by: bytes read and written, requests begun, pieces of body handed over.
//! It does no I/O and reads no clock: what passes by leaves marks, which get their time from whoever polls the connection,
//! or a stream of it, and then reads the clock once ([`Activity::settle`], [`Activity::deadline`]). Until a poll has ended
//! nobody could act on the time of what happened in it.
//! A request is "ours" while the client waits for us, and "theirs" from a piece of body handed over until the next is asked for.
//! Every request has its own account, so that no stream of HTTP/2 lives on what happens on another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::server::Limits;
use crate::server::socket::Output;

/// The state of one connection, shared by its socket, its requests and its driver.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

/// One request from its head to the end of its answer; dropping it ends it.
#[derive(Debug)]
pub(super) struct Exchange {
    activity: Activity,
    id: u64,
    /// Of its connection, when it began.
    stage: Stage,
}

/// The account of one stream of HTTP/2; it may outlive the request, and then does nothing.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    activity: Activity,
    id: u64,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Ours,
    /// The client's, with its last sign of life.
    Theirs(Mark),
}

/// When something happened.
#[derive(Clone, Copy, Debug)]
enum Mark {
    /// In the poll that is under way.
    New,
    At(Instant),
}

/// Why a connection, or a part of it, has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The head of a request did not come in time.
    Header,
    /// No further request came.
    Idle,
    /// The client took no byte.
    Stalled,
    /// The client took no byte of a stream, which ends alone: see [`Activity::cut_streams`].
    StalledStream,
}

/// When to look again; where `overdue` is set, what to do if nothing has happened until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    pub(super) overdue: Option<Overdue>,
    /// Since when nothing at all is under way between two requests of HTTP/1, in neither direction.
    pub(super) rests_since: Option<Instant>,
}

#[derive(Debug)]
struct State {
    opened: Instant,
    /// The last sign of life that counts.
    since: Mark,
    /// When a head began that is not whole yet, be it behind a request that is in flight; not on HTTP/2.
    reading: Option<Mark>,
    /// The last bytes that came: a head ends with an empty line.
    tail: [u8; 3],
    stage: Stage,
    output: Output,
    /// By order of arrival; HTTP/2 bounds it by its streams, HTTP/1 by one.
    in_flight: Vec<Flight>,
    begun: u64,
}

#[derive(Debug)]
struct Flight {
    id: u64,
    turn: Turn,
    /// Whether the bytes that come may be content, which has no shape.
    content: bool,
    /// Ends this request alone; HTTP/1 has only one, which ends with its connection.
    cut: Option<CancellationToken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No request yet.
    Fresh,
    /// HTTP/1: bytes on the socket belong to the one request.
    Single,
    /// HTTP/1, and the last request announced content: what follows on the socket may be the rest of it.
    Burdened,
    /// HTTP/2: bytes on the socket may be pings, and prove nothing.
    Multiplexed,
    /// No longer HTTP: every byte is a sign of life.
    Tunnel,
}

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        let state = State {
            opened: now,
            since: Mark::At(now),
            reading: None,
            tail: [0; 3],
            stage: Stage::Fresh,
            output: Output::Flows,
            in_flight: Vec::new(),
            begun: 0,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// A whole head came; `content` says whether more belongs to it.
    pub(super) fn begin(&self, multiplexed: bool, content: bool) -> Exchange {
        let (id, stage) = self.change(|state| (state.begin(multiplexed, content), state.stage));
        Exchange { activity: self.clone(), id, stage }
    }

    pub(super) fn read(&self, bytes: &[u8]) {
        self.change(|state| state.read(bytes));
    }

    pub(super) fn wrote(&self) {
        self.change(|state| {
            if matches!(state.stage, Stage::Single | Stage::Burdened | Stage::Tunnel) {
                state.since = Mark::New;
            }
        });
    }

    /// From now on the bytes are not HTTP's.
    pub(super) fn tunnels(&self) {
        self.change(|state| {
            (state.stage, state.since, state.reading) = (Stage::Tunnel, Mark::New, None);
            state.in_flight.clear();
        });
    }

    pub(super) fn output(&self, output: Output) {
        self.change(|state| state.output = output);
    }

    /// What has happened since the last time happened by now.
    pub(super) fn settle(&self, now: Instant) {
        self.change(|state| state.settle(now));
    }

    /// What is due, by a clock that is only read if that hangs on it.
    ///
    /// Nothing is due while HTTP/1 waits for us alone: nothing has a limit before the connection is polled again, and no
    /// time of what is marked will count, since the end of an answer is a later mark.
    pub(super) fn look(&self, limits: &Limits, clock: impl FnOnce() -> Instant) -> Option<Deadline> {
        self.change(|state| (!state.owes_answer()).then(|| state.deadline(limits, clock())))
    }

    /// What is due, once what has happened is settled.
    pub(super) fn deadline(&self, limits: &Limits, now: Instant) -> Deadline {
        self.change(|state| state.deadline(limits, now))
    }

    /// Whether closing now would lose a request that the client has begun to send, or will send since it just came.
    pub(super) fn expects_request(&self) -> bool {
        self.change(|state| state.in_flight.is_empty() && (state.stage == Stage::Fresh || state.reading.is_some()))
    }

    /// What ends the request that began last.
    pub(super) fn newest_cut(&self) -> Option<CancellationToken> {
        self.change(|state| state.in_flight.last().and_then(|flight| flight.cut.clone()))
    }

    /// Ends the streams that are overdue, and says how many.
    pub(super) fn cut_streams(&self, limits: &Limits, now: Instant) -> usize {
        let stalled = |flight: &Flight| match flight.turn {
            Turn::Ours => false,
            Turn::Theirs(since) => since.time(now) + limits.stall_timeout <= now,
        };
        let cut = self.change(|state| {
            let cut: Vec<Flight> = state.in_flight.extract_if(.., |flight| stalled(flight)).collect();
            state.since = Mark::At(now);
            cut
        });
        for token in cut.iter().filter_map(|flight| flight.cut.as_ref()) {
            token.cancel();
        }
        cut.len()
    }

    /// Whose turn it is with one request, if it has not ended.
    fn turns(&self, id: u64, turn: impl FnOnce(Turn) -> Turn) {
        self.change(|state| {
            if let Some(flight) = state.in_flight.iter_mut().find(|flight| flight.id == id) {
                flight.turn = turn(flight.turn);
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // No code panics while it holds the lock, and a state is never half-changed.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Exchange {
    /// A piece of body was handed over: the client has to take it.
    pub(super) fn handed(&self) {
        self.activity.turns(self.id, |_| Turn::Theirs(Mark::New));
    }

    /// The client would take more, and we have nothing.
    pub(super) fn waiting(&self) {
        self.activity.turns(self.id, |_| Turn::Ours);
    }

    /// Its own account, where what the connection's socket takes says nothing of it.
    pub(super) fn progress(&self) -> Option<Progress> {
        let multiplexed = self.stage == Stage::Multiplexed;
        multiplexed.then(|| Progress { activity: self.activity.clone(), id: self.id })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.activity.change(|state| {
            state.since = Mark::New;
            state.in_flight.retain(|flight| flight.id != self.id);
        });
    }
}

impl Progress {
    /// Some bytes of a piece of body are on their way, so the client has room for them.
    pub(super) fn took(&self) {
        self.activity.turns(self.id, |turn| match turn {
            Turn::Ours => Turn::Ours,
            Turn::Theirs(_) => Turn::Theirs(Mark::New),
        });
    }
}

impl Mark {
    fn settle(&mut self, now: Instant) {
        *self = Self::At(self.time(now));
    }

    fn time(self, now: Instant) -> Instant {
        match self {
            Self::New => now,
            Self::At(then) => then,
        }
    }
}

impl State {
    fn begin(&mut self, multiplexed: bool, content: bool) -> u64 {
        self.stage = match (multiplexed, content) {
            (true, _) => Stage::Multiplexed,
            (false, true) => Stage::Burdened,
            (false, false) => Stage::Single,
        };
        if multiplexed || content {
            self.reading = None;
        }
        self.since = Mark::New;
        self.begun += 1;
        let (id, cut) = (self.begun, multiplexed.then(CancellationToken::new));
        // Kept for the next request, of which HTTP/1 has one at a time.
        self.in_flight.reserve_exact(1);
        self.in_flight.push(Flight { id, turn: Turn::Ours, content, cut });
        id
    }

    fn read(&mut self, bytes: &[u8]) {
        if self.stage == Stage::Tunnel {
            self.since = Mark::New;
            return;
        }
        if self.stage == Stage::Multiplexed || self.in_flight.iter().any(|flight| flight.content) {
            return;
        }
        for byte in &bytes[bytes.len().saturating_sub(3)..] {
            self.tail = [self.tail[1], self.tail[2], *byte];
        }
        // Servers take a bare LF for the end of a line too: RFC 9112, section 2.2.
        if matches!(self.tail, [_, b'\n', b'\n'] | [b'\n', b'\r', b'\n']) {
            self.reading = None;
        } else {
            self.reading.get_or_insert(Mark::New);
        }
    }

    fn settle(&mut self, now: Instant) {
        self.since.settle(now);
        if let Some(began) = &mut self.reading {
            began.settle(now);
        }
        for flight in &mut self.in_flight {
            if let Turn::Theirs(since) = &mut flight.turn {
                since.settle(now);
            }
        }
    }

    /// Whether it is HTTP/1 that has a request in flight, and our turn. A stream's turn changes beside its connection.
    fn owes_answer(&self) -> bool {
        let ours = self.in_flight.iter().all(|flight| matches!(flight.turn, Turn::Ours));
        ours && !self.in_flight.is_empty() && self.stage != Stage::Multiplexed
    }

    fn deadline(&mut self, limits: &Limits, now: Instant) -> Deadline {
        self.settle(now);
        let since = self.since.time(now);
        let due = |from: Instant, after: Duration, overdue| Deadline {
            at: from + after,
            overdue: Some(overdue),
            rests_since: None,
        };
        if !self.in_flight.is_empty() {
            let theirs = self.in_flight.iter().filter_map(|flight| match flight.turn {
                Turn::Ours => None,
                Turn::Theirs(since) => Some(since.time(now)),
            });
            return match (theirs.min(), self.stage) {
                // Looking again at this distance is exact: a stall that begins later ends later.
                (None, _) => Deadline { at: now + limits.stall_timeout, overdue: None, rests_since: None },
                (Some(theirs), Stage::Multiplexed) => due(theirs, limits.stall_timeout, Overdue::StalledStream),
                (Some(theirs), _) => due(theirs.max(since), limits.stall_timeout, Overdue::Stalled),
            };
        }
        match (self.stage, self.reading) {
            (Stage::Fresh, _) => due(self.opened, limits.header_timeout, Overdue::Header),
            // What came behind a request could not be read on before the answer was out.
            (_, Some(began)) => due(began.time(now).max(since), limits.header_timeout, Overdue::Header),
            (stage, None) => {
                let rests = stage == Stage::Single && self.output == Output::Flows;
                Deadline { rests_since: rests.then_some(since), ..due(since, limits.idle_timeout, Overdue::Idle) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
