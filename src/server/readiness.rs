//! Whether the gateway should get requests: a credential works, and it is not ending.
//!
//! One bad answer changes nothing, several in a row do: a load balancer that takes a gateway out at every hiccup makes it worse.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Bad answers in a row before the gateway counts as not ready.
const PATIENCE: u32 = 3;

/// Shared by whoever observes and whoever asks.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<Record>>);

/// How a credential answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// It gave a token.
    Usable,
    /// It gave none.
    Unusable,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No observation yet.
    Starting,
    /// Send requests.
    Ready,
    /// Several bad answers in a row, or none but bad ones.
    Unusable,
    /// A signal to end came; this is for good.
    Draining,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    state: State,
    bad: u32,
}

impl Readiness {
    /// Not ready until the first good observation.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Record { state: State::Starting, bad: 0 })))
    }

    /// Takes an answer of the credential into account.
    pub fn observe(&self, observation: Observation) {
        self.change(|record| record.observe(observation));
    }

    /// The gateway ends.
    pub fn drain(&self) {
        self.change(|record| record.state = State::Draining);
    }

    /// The verdict now.
    pub fn state(&self) -> State {
        self.change(|record| record.state)
    }

    /// Whether to send requests.
    pub fn is_ready(&self) -> bool {
        self.state() == State::Ready
    }

    fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Record {
    fn observe(&mut self, observation: Observation) {
        self.bad = match observation {
            Observation::Usable => 0,
            Observation::Unusable => self.bad.saturating_add(1),
        };
        self.state = match (self.state, observation) {
            (State::Draining, _) => State::Draining,
            (_, Observation::Usable) => State::Ready,
            (State::Ready, Observation::Unusable) if self.bad < PATIENCE => State::Ready,
            (_, Observation::Unusable) => State::Unusable,
        };
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unusable => "no usable credential",
            Self::Draining => "draining",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_flap() {
        use Observation::{Unusable, Usable};
        let readiness = Readiness::new();
        assert_eq!(readiness.state(), State::Starting);
        for (observation, expected) in [
            (Unusable, State::Unusable),
            (Usable, State::Ready),
            (Unusable, State::Ready),
            (Unusable, State::Ready),
            (Usable, State::Ready),
            (Unusable, State::Ready),
            (Unusable, State::Ready),
            (Unusable, State::Unusable),
            (Usable, State::Ready),
        ] {
            readiness.observe(observation);
            assert_eq!(readiness.state(), expected);
        }
    }

    #[test]
    fn draining_is_for_good() {
        let readiness = Readiness::new();
        readiness.drain();
        readiness.observe(Observation::Usable);
        assert_eq!(readiness.state(), State::Draining);
    }
}
