//! Whether and when a failed request is sent again.
//!
//! Pure: the error, the time left and the dice are arguments. Never sends anything and never looks at a clock.
//! Follows <https://cloud.google.com/storage/docs/retry-strategy> with waits that suit a waiting browser.

use std::time::Duration;

use crate::gcs::Error;

/// Exponential back-off with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first wait; it doubles with each retry.
    pub base: Duration,
    /// Upper bound of any wait.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(100), cap: Duration::from_secs(2) }
    }
}

impl Backoff {
    /// The wait before the retry that follows `done` earlier ones: anything from nothing to the bound.
    pub(super) fn wait(self, done: u32, dice: &mut fastrand::Rng) -> Duration {
        let bound = self.base.saturating_mul(1_u32.checked_shl(done).unwrap_or(u32::MAX)).min(self.cap);
        bound.mul_f64(dice.f64())
    }
}

/// How often and within what bounds requests are retried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) retries: u32,
    pub(super) backoff: Backoff,
}

impl Policy {
    /// How long to wait before sending again; `None`: the error stands.
    ///
    /// `done` counts the retries so far and `left` is what remains of the caller's patience.
    pub(super) fn wait(&self, error: &Error, done: u32, left: Duration, dice: &mut fastrand::Rng) -> Option<Duration> {
        cause(error)?;
        if done >= self.retries {
            return None;
        }
        let asked = retry_after(error).unwrap_or_default();
        let wait = self.backoff.wait(done, dice).max(asked);
        (wait < left).then_some(wait)
    }
}

/// The label of a cause that another attempt may cure; `None` for permanent errors.
pub(super) fn cause(error: &Error) -> Option<&'static str> {
    match error {
        Error::Connect { .. } => Some("connect"),
        Error::Broken(_) => Some("broken"),
        Error::EndedEarly { .. } => Some("ended-early"),
        Error::Stalled(_) => Some("stalled"),
        Error::FirstByteTimeout(_) => Some("first-byte-timeout"),
        Error::Throttled { .. } => Some("429"),
        Error::Unavailable { status, .. } => match status {
            408 => Some("408"),
            500 => Some("500"),
            502 => Some("502"),
            503 => Some("503"),
            504 => Some("504"),
            _ => None,
        },
        Error::Corrupt { .. } => Some("corrupt"),
        Error::Credential(_)
        | Error::Signature(_)
        | Error::Overloaded { .. }
        | Error::Unauthorized { .. }
        | Error::Forbidden { .. }
        | Error::NotFound { .. }
        | Error::Changed
        | Error::RangeNotSatisfiable { .. }
        | Error::Redirected { .. }
        | Error::Refused { .. }
        | Error::Protocol(_) => None,
    }
}

/// What GCS asked us to wait.
fn retry_after(error: &Error) -> Option<Duration> {
    match error {
        Error::Throttled { retry_after } | Error::Unavailable { retry_after, .. } => *retry_after,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn unavailable(status: u16, retry_after: Option<u64>) -> Error {
        Error::Unavailable { status, message: String::new(), retry_after: retry_after.map(Duration::from_secs) }
    }

    #[test]
    fn waits_double_up_to_the_cap_and_are_fully_jittered() {
        let backoff = Backoff::default();
        let mut dice = fastrand::Rng::with_seed(7);
        for (done, bound) in [(0, 100), (1, 200), (2, 400), (4, 1600), (5, 2000), (31, 2000), (40, 2000)] {
            let bound = Duration::from_millis(bound);
            let waits: Vec<_> = (0..500).map(|_| backoff.wait(done, &mut dice)).collect();
            assert!(waits.iter().all(|wait| *wait <= bound), "{done}");
            assert!(waits.iter().any(|wait| *wait < bound / 10), "{done}: short waits occur");
            assert!(waits.iter().any(|wait| *wait > bound / 10 * 9), "{done}: long waits occur");
        }
    }

    #[test]
    fn only_what_google_calls_retryable_is_retried() {
        let policy = Policy { retries: 4, backoff: Backoff::default() };
        let mut dice = fastrand::Rng::with_seed(7);
        let broken = || Error::Broken("reset".into());
        for (error, done, left, retried) in [
            (unavailable(503, None), 0, LONG, true),
            (unavailable(500, None), 3, LONG, true),
            (unavailable(502, None), 3, LONG, true),
            (unavailable(504, None), 3, LONG, true),
            (unavailable(408, None), 3, LONG, true),
            (unavailable(501, None), 0, LONG, false),
            (unavailable(503, None), 4, LONG, false),
            (unavailable(503, None), 0, Duration::ZERO, false),
            (unavailable(503, Some(3)), 0, LONG, true),
            (unavailable(503, Some(30)), 0, LONG, false),
            (Error::Throttled { retry_after: None }, 0, LONG, true),
            (broken(), 0, LONG, true),
            (Error::Connect { authority: String::new(), source: "refused".into() }, 0, LONG, true),
            (Error::NotFound { message: String::new() }, 0, LONG, false),
            (Error::Forbidden { message: String::new() }, 0, LONG, false),
            (Error::Unauthorized { message: String::new() }, 0, LONG, false),
            (Error::Refused { status: 400, message: String::new() }, 0, LONG, false),
            (Error::Redirected { status: 302 }, 0, LONG, false),
            (Error::Protocol(String::new()), 0, LONG, false),
        ] {
            let wait = policy.wait(&error, done, left, &mut dice);
            assert_eq!(wait.is_some(), retried, "{error} after {done} retries with {left:?} left");
        }
        let asked = policy.wait(&unavailable(503, Some(3)), 0, LONG, &mut dice);
        assert_eq!(asked, Some(Duration::from_secs(3)));
    }
}
