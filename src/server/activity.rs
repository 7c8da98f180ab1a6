//! What a connection is doing, and how long it may go on like this.
//!
//! hyper knows no idle time, no write stall and no difference between waiting for a head and resting between two.
//! This file decides all three from what passes by: bytes read and written, requests begun, pieces of body handed over.
//! It does no I/O and reads no clock; `now` is an argument of every decision.
//! A request is "ours" while the client waits for us, and "theirs" from a piece of body handed over until the next is asked for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::server::Limits;

/// The state of one connection, shared by its socket, its requests and its driver.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

/// One request from its head to the end of its answer; dropping it ends it.
#[derive(Debug)]
pub(super) struct Exchange {
    activity: Activity,
    turn: Turn,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Ours,
    Theirs,
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The head of a request did not come in time.
    Header,
    /// No further request came.
    Idle,
    /// The client took no byte.
    Stalled,
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
    /// When the first byte of the next head came, on a connection that has served one before.
    reading: Option<Instant>,
    stage: Stage,
    in_flight: usize,
    ours: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No request yet.
    Fresh,
    /// HTTP/1: bytes on the socket belong to the one request.
    Single,
    /// HTTP/2: bytes on the socket may be pings, and prove nothing.
    Multiplexed,
}

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        let state = State { opened: now, since: now, reading: None, stage: Stage::Fresh, in_flight: 0, ours: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn begin(&self, multiplexed: bool, now: Instant) -> Exchange {
        self.change(|state| state.begin(multiplexed, now));
        Exchange { activity: self.clone(), turn: Turn::Ours }
    }

    pub(super) fn read(&self, now: Instant) {
        self.change(|state| {
            if state.stage == Stage::Single && state.in_flight == 0 {
                state.reading.get_or_insert(now);
            }
        });
    }

    pub(super) fn wrote(&self, now: Instant) {
        self.change(|state| {
            if state.stage == Stage::Single {
                state.since = now;
            }
        });
    }

    pub(super) fn deadline(&self, limits: &Limits, now: Instant) -> Deadline {
        self.change(|state| state.deadline(limits, now))
    }

    /// Whether closing now would lose a request that the client has begun to send, or will send since it just came.
    pub(super) fn expects_request(&self) -> bool {
        self.change(|state| state.in_flight == 0 && (state.stage == Stage::Fresh || state.reading.is_some()))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // No code panics while it holds the lock, and a state is never half-changed.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Exchange {
    /// A piece of body was handed over: the client has to take it.
    pub(super) fn handed(&mut self, now: Instant) {
        self.pass(Turn::Theirs, now);
    }

    /// The client would take more, and we have nothing.
    pub(super) fn waiting(&mut self, now: Instant) {
        self.pass(Turn::Ours, now);
    }

    fn pass(&mut self, turn: Turn, now: Instant) {
        let before = std::mem::replace(&mut self.turn, turn);
        self.activity.change(|state| {
            state.since = now;
            match (before, turn) {
                (Turn::Ours, Turn::Theirs) => state.ours -= 1,
                (Turn::Theirs, Turn::Ours) => state.ours += 1,
                _ => {}
            }
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let now = Instant::now();
        self.pass(Turn::Theirs, now);
        self.activity.change(|state| state.in_flight -= 1);
    }
}

impl State {
    fn begin(&mut self, multiplexed: bool, now: Instant) {
        self.stage = if multiplexed { Stage::Multiplexed } else { Stage::Single };
        self.reading = None;
        self.since = now;
        self.in_flight += 1;
        self.ours += 1;
    }

    fn deadline(&self, limits: &Limits, now: Instant) -> Deadline {
        let due = |from: Instant, after: Duration, overdue| Deadline { at: from + after, overdue: Some(overdue) };
        if self.ours > 0 {
            // Looking again at this distance is exact: a stall that begins later ends later.
            return Deadline { at: now + limits.stall_timeout, overdue: None };
        }
        if self.in_flight > 0 {
            return due(self.since, limits.stall_timeout, Overdue::Stalled);
        }
        match (self.stage, self.reading) {
            (Stage::Fresh, _) => due(self.opened, limits.header_timeout, Overdue::Header),
            (_, Some(began)) => due(began, limits.header_timeout, Overdue::Header),
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
        activity.read(start + Duration::from_secs(9));
        activity.wrote(start + Duration::from_secs(9));
        assert_eq!(overdue(&activity, start, 9), (Some(Overdue::Header), 10));
        assert!(activity.expects_request());
    }

    #[test]
    fn a_client_is_stalled_only_while_it_is_its_turn() {
        let start = Instant::now();
        let activity = Activity::new(start);
        let mut exchange = activity.begin(false, start);
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
        let mut exchange = activity.begin(true, start);
        exchange.handed(start);
        activity.wrote(start + Duration::from_secs(50));
        assert_eq!(overdue(&activity, start, 51), (Some(Overdue::Stalled), 60));
        drop(exchange);
        activity.read(start + Duration::from_secs(5));
        assert_eq!(overdue(&activity, start, 51), (Some(Overdue::Idle), 75));
        assert!(!activity.expects_request());
    }

    #[test]
    fn between_two_requests_the_idle_timeout_counts_until_a_byte_comes() {
        let start = Instant::now();
        let activity = Activity::new(start);
        drop(activity.begin(false, start));
        assert_eq!(overdue(&activity, start, 1), (Some(Overdue::Idle), 75));
        assert!(!activity.expects_request());
        activity.read(start + Duration::from_secs(20));
        activity.read(start + Duration::from_secs(29));
        assert_eq!(overdue(&activity, start, 29), (Some(Overdue::Header), 30));
        assert!(activity.expects_request());
    }
}
