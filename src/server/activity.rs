//! What a connection is doing, and how long it may go on like this.
//!
//! hyper knows no idle time, no write stall and no difference between waiting for a head and resting between two.
//! This file decides all three from what passes by: bytes read and written, requests begun, pieces of body handed over.
//! It does no I/O and reads no clock; `now` is an argument of every decision.
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
    progress: Progress,
}

/// The account of one request; it may outlive the request, and then does nothing.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    activity: Activity,
    id: u64,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Ours,
    Theirs,
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
}

#[derive(Debug)]
struct State {
    opened: Instant,
    /// The last sign of life that counts.
    since: Instant,
    /// When a head began that is not whole yet, be it behind a request that is in flight; not on HTTP/2.
    reading: Option<Instant>,
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
    /// The last sign of life.
    since: Instant,
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
            since: now,
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
    pub(super) fn begin(&self, multiplexed: bool, content: bool, now: Instant) -> Exchange {
        let id = self.change(|state| state.begin(multiplexed, content, now));
        Exchange { progress: Progress { activity: self.clone(), id } }
    }

    pub(super) fn read(&self, bytes: &[u8], now: Instant) {
        self.change(|state| state.read(bytes, now));
    }

    pub(super) fn wrote(&self, now: Instant) {
        self.change(|state| {
            if matches!(state.stage, Stage::Single | Stage::Burdened | Stage::Tunnel) {
                state.since = now;
            }
        });
    }

    /// From now on the bytes are not HTTP's.
    pub(super) fn tunnels(&self, now: Instant) {
        self.change(|state| {
            (state.stage, state.since, state.reading) = (Stage::Tunnel, now, None);
            state.in_flight.clear();
        });
    }

    pub(super) fn output(&self, output: Output) {
        self.change(|state| state.output = output);
    }

    /// Since when nothing at all is under way between two requests of HTTP/1, in neither direction.
    pub(super) fn rests_since(&self) -> Option<Instant> {
        self.change(|state| {
            let rests = state.stage == Stage::Single
                && state.output == Output::Flows
                && state.in_flight.is_empty()
                && state.reading.is_none();
            rests.then_some(state.since)
        })
    }

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
        let stalled = |flight: &Flight| flight.turn == Turn::Theirs && flight.since + limits.stall_timeout <= now;
        let cut = self.change(|state| {
            let cut: Vec<Flight> = state.in_flight.extract_if(.., |flight| stalled(flight)).collect();
            state.since = now;
            cut
        });
        for token in cut.iter().filter_map(|flight| flight.cut.as_ref()) {
            token.cancel();
        }
        cut.len()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // No code panics while it holds the lock, and a state is never half-changed.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Exchange {
    /// A piece of body was handed over: the client has to take it.
    pub(super) fn handed(&self, now: Instant) {
        self.progress.change(|flight| (flight.turn, flight.since) = (Turn::Theirs, now));
    }

    /// The client would take more, and we have nothing.
    pub(super) fn waiting(&self, now: Instant) {
        self.progress.change(|flight| (flight.turn, flight.since) = (Turn::Ours, now));
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Progress { activity, id } = &self.progress;
        let now = Instant::now();
        activity.change(|state| {
            state.since = now;
            state.in_flight.retain(|flight| flight.id != *id);
        });
    }
}

impl Progress {
    /// Some bytes of a piece of body are on their way, so the client has room for them.
    pub(super) fn took(&self, now: Instant) {
        self.change(|flight| flight.since = now);
    }

    fn change(&self, change: impl FnOnce(&mut Flight)) {
        self.activity.change(|state| state.in_flight.iter_mut().find(|flight| flight.id == self.id).map(change));
    }
}

impl State {
    fn begin(&mut self, multiplexed: bool, content: bool, now: Instant) -> u64 {
        self.stage = match (multiplexed, content) {
            (true, _) => Stage::Multiplexed,
            (false, true) => Stage::Burdened,
            (false, false) => Stage::Single,
        };
        if multiplexed || content {
            self.reading = None;
        }
        self.since = now;
        self.begun += 1;
        let (id, cut) = (self.begun, multiplexed.then(CancellationToken::new));
        // Kept for the next request, of which HTTP/1 has one at a time.
        self.in_flight.reserve_exact(1);
        self.in_flight.push(Flight { id, turn: Turn::Ours, since: now, content, cut });
        id
    }

    fn read(&mut self, bytes: &[u8], now: Instant) {
        if self.stage == Stage::Tunnel {
            self.since = now;
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
            self.reading.get_or_insert(now);
        }
    }

    fn deadline(&self, limits: &Limits, now: Instant) -> Deadline {
        let due = |from: Instant, after: Duration, overdue| Deadline { at: from + after, overdue: Some(overdue) };
        if !self.in_flight.is_empty() {
            let theirs = self.in_flight.iter().filter(|flight| flight.turn == Turn::Theirs);
            return match (theirs.map(|flight| flight.since).min(), self.stage) {
                // Looking again at this distance is exact: a stall that begins later ends later.
                (None, _) => Deadline { at: now + limits.stall_timeout, overdue: None },
                (Some(since), Stage::Multiplexed) => due(since, limits.stall_timeout, Overdue::StalledStream),
                (Some(since), _) => due(since.max(self.since), limits.stall_timeout, Overdue::Stalled),
            };
        }
        match (self.stage, self.reading) {
            (Stage::Fresh, _) => due(self.opened, limits.header_timeout, Overdue::Header),
            // What came behind a request could not be read on before the answer was out.
            (_, Some(began)) => due(began.max(self.since), limits.header_timeout, Overdue::Header),
            (_, None) => due(self.since, limits.idle_timeout, Overdue::Idle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            max_connections: 1,
            header_timeout: seconds(10),
            idle_timeout: seconds(75),
            stall_timeout: seconds(60),
        }
    }

    fn overdue(activity: &Activity, start: Instant, after: u64) -> (Option<Overdue>, u64) {
        let deadline = activity.deadline(&limits(), start + Duration::from_secs(after));
        (deadline.overdue, (deadline.at - start).as_secs())
    }

    #[test]
    fn a_fresh_connection_has_the_header_timeout_whatever_trickles_in() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.read(b"G", start + Duration::from_secs(9));
        activity.wrote(start + Duration::from_secs(9));
        assert_eq!(overdue(&activity, start, 9), (Some(Overdue::Header), 10));
        assert!(activity.expects_request());
    }

    #[test]
    fn a_client_is_stalled_only_while_it_is_its_turn() {
        let start = Instant::now();
        let activity = Activity::new(start);
        let exchange = activity.begin(false, false, start);
        assert_eq!(overdue(&activity, start, 100), (None, 160), "we owe the answer");
        exchange.handed(start + Duration::from_secs(100));
        assert_eq!(overdue(&activity, start, 101), (Some(Overdue::Stalled), 160));
        activity.wrote(start + Duration::from_mins(2));
        assert_eq!(overdue(&activity, start, 121), (Some(Overdue::Stalled), 180), "it takes bytes");
        exchange.waiting(start + Duration::from_secs(130));
        assert_eq!(overdue(&activity, start, 131), (None, 191));
    }

    #[test]
    fn pings_on_a_multiplexed_connection_are_no_progress() {
        let start = Instant::now();
        let activity = Activity::new(start);
        let exchange = activity.begin(true, false, start);
        exchange.handed(start);
        activity.wrote(start + Duration::from_secs(50));
        assert_eq!(overdue(&activity, start, 51), (Some(Overdue::StalledStream), 60));
        drop(exchange);
        activity.read(b"ping", start + Duration::from_secs(5));
        assert_eq!(overdue(&activity, start, 51), (Some(Overdue::Idle), 75));
        assert!(!activity.expects_request());
    }

    #[test]
    fn a_stream_is_overdue_by_its_own_account() {
        let start = Instant::now();
        let second = |after| start + Duration::from_secs(after);
        let activity = Activity::new(start);
        let streams: Vec<_> = (0..3).map(|_| activity.begin(true, false, start)).collect();
        let cut = activity.newest_cut().expect("three are in flight");
        streams[0].handed(start);
        streams[2].handed(start);
        drop(activity.begin(true, false, second(40)));
        streams[0].progress().took(second(50));
        assert_eq!(overdue(&activity, start, 50), (Some(Overdue::StalledStream), 60));
        assert_eq!((activity.cut_streams(&limits(), second(59)), cut.is_cancelled()), (0, false));
        assert_eq!((activity.cut_streams(&limits(), second(60)), cut.is_cancelled()), (1, true));
        assert_eq!(overdue(&activity, start, 60), (Some(Overdue::StalledStream), 110), "the slow reader goes on");
        streams[2].handed(second(70));
        streams[0].waiting(second(70));
        assert_eq!(overdue(&activity, start, 70), (None, 130), "we owe the rest, and what is cut stays cut");
    }

    #[test]
    fn between_two_requests_the_idle_timeout_counts_until_a_byte_comes() {
        let start = Instant::now();
        let activity = Activity::new(start);
        drop(activity.begin(false, false, start));
        assert_eq!(overdue(&activity, start, 1), (Some(Overdue::Idle), 75));
        assert!(!activity.expects_request());
        activity.read(b"GET / HTTP/1.1\r\n", start + Duration::from_secs(20));
        activity.read(b"Host: a\r\n", start + Duration::from_secs(29));
        assert_eq!(overdue(&activity, start, 29), (Some(Overdue::Header), 30));
        assert!(activity.expects_request());
    }

    #[test]
    fn what_comes_behind_a_request_in_flight_is_a_head_unless_it_is_whole_or_content() {
        for (behind, content, expected) in [
            ("GET / HTTP/1.1\r\n", false, Overdue::Header),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, Overdue::Idle),
            ("GET / HTTP/1.1\nHost: a\n\n", false, Overdue::Idle),
            ("content", true, Overdue::Idle),
        ] {
            let start = Instant::now();
            let activity = Activity::new(start);
            activity.read(b"GET / HTTP/1.1\r\nHost: a\r\n\r", start);
            activity.read(b"\n", start);
            let exchange = activity.begin(false, content, start);
            activity.read(behind.as_bytes(), start);
            drop(exchange);
            assert_eq!(overdue(&activity, start, 0).0, Some(expected), "{behind:?}");
            assert_eq!(activity.expects_request(), expected == Overdue::Header, "{behind:?}");
        }
    }
}
