//! How many retries an outage may cost: at most 20% extra requests over the last ten seconds.
//!
//! Decides whether one more retry may be sent; knows neither what failed nor how long to wait.
//! Follows <https://sre.google/sre-book/handling-overload/> (retry budgets).

use std::time::Duration;

use tokio::time::Instant;

/// Seconds that count.
const WINDOW: u64 = 10;
/// One retry for this many requests.
const REQUESTS_PER_RETRY: u64 = 5;
/// Retries that are always allowed in a window, so that a lone request may be retried.
const FLOOR: u64 = 10;
/// One second more than the window: the second that the window has half left still counts for retries.
const SECONDS: usize = 11;

/// Counts requests and retries by the second.
#[derive(Debug)]
pub(super) struct Budget {
    started: Instant,
    seconds: [Second; SECONDS],
}

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    /// Seconds since the start.
    at: u64,
    requests: u64,
    retries: u64,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, seconds: [Second::default(); SECONDS] }
    }

    /// Counts a request that is no retry.
    pub(super) fn deposit(&mut self, now: Instant) {
        self.current(now).requests += 1;
    }

    /// Counts a retry if one more is within the budget; else says no.
    pub(super) fn withdraw(&mut self, now: Instant) -> bool {
        let at = self.since_start(now);
        let recent = |second: &&Second| second.at + WINDOW >= at;
        let retries: u64 = self.seconds.iter().filter(recent).map(|second| second.retries).sum();
        let requests: u64 =
            self.seconds.iter().filter(|second| second.at + WINDOW > at).map(|second| second.requests).sum();
        let allowed = retries < FLOOR.max(requests / REQUESTS_PER_RETRY);
        if allowed {
            self.current(now).retries += 1;
        }
        allowed
    }

    fn current(&mut self, now: Instant) -> &mut Second {
        let at = self.since_start(now);
        let index = usize::try_from(at % SECONDS as u64).unwrap_or_default();
        let second = &mut self.seconds[index];
        if second.at != at {
            *second = Second { at, ..Second::default() };
        }
        second
    }

    fn since_start(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).max(Duration::ZERO).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_request_may_be_retried_but_not_forever() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        budget.deposit(now);
        let granted = (0..100).filter(|_| budget.withdraw(now)).count() as u64;
        assert_eq!(granted, FLOOR);
        assert!(!budget.withdraw(now + Duration::from_secs(10)), "the second before the window still counts");
        assert!(budget.withdraw(now + Duration::from_secs(11)));
    }

    #[test]
    fn an_outage_costs_a_fifth_more_requests_in_any_window() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let mut retries = Vec::new();
        for tick in 0..6000_u32 {
            let now = start + Duration::from_millis(10) * tick;
            budget.deposit(now);
            for _ in 0..4 {
                if budget.withdraw(now) {
                    retries.push(now);
                }
            }
        }
        for first in (0..retries.len()).step_by(37) {
            let end = retries[first] + Duration::from_secs(10);
            let inside = retries[first..].iter().take_while(|at| **at < end).count();
            assert!(inside <= 210, "{inside} retries beside 1000 requests");
        }
        assert!(retries.len() > 900, "the budget is used: {}", retries.len());
    }
}
