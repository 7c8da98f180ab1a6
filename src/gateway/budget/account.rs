//! One account: what was asked for, sent and is open. Pure, with `now` as an argument.
//!
//! Requests are counted by the generic cell rate algorithm (a token bucket without a timer); bytes by the UTC day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_hours(24);
/// When an answer under way will end is not known.
const SOON: Duration = Duration::from_secs(1);

/// What one account may do; what is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second, and how many may come at once. Neither is zero.
    pub requests: Option<(u32, u32)>,
    /// Bytes of body from midnight to midnight, UTC.
    pub bytes_per_day: Option<u64>,
    /// Answers under way at once.
    pub concurrent: Option<u32>,
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Requests a second.
    Requests,
    /// Bytes a day.
    Bytes,
    /// Answers at once.
    Concurrent,
}

impl Limit {
    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Bytes => "bytes",
            Self::Concurrent => "concurrent",
        }
    }
}

/// What somebody has used.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// When the bucket of requests will be full again, since the epoch.
    full_at: Duration,
    day: u64,
    bytes: u64,
    open: u32,
}

impl Account {
    /// Takes one request, which counts as open until [`Account::close`]; or says what is spent and until when.
    pub(super) fn open(&mut self, limits: &Limits, now: SystemTime) -> Result<(), (Limit, Duration)> {
        let now = since_epoch(now);
        self.turn_to(now);
        if limits.concurrent.is_some_and(|most| self.open >= most) {
            return Err((Limit::Concurrent, SOON));
        }
        if limits.bytes_per_day.is_some_and(|most| self.bytes >= most) {
            let midnight = DAY.saturating_mul(u32::try_from(self.day + 1).unwrap_or(u32::MAX));
            return Err((Limit::Bytes, midnight.saturating_sub(now)));
        }
        if let Some((per_second, burst)) = limits.requests {
            let each = Duration::from_secs(1) / per_second.max(1);
            let whole = each.saturating_mul(burst);
            // Never further ahead than a whole bucket, so that a clock set back locks nobody out.
            self.full_at = self.full_at.clamp(now, now + whole);
            let full_at = self.full_at + each;
            if full_at > now + whole {
                return Err((Limit::Requests, full_at.saturating_sub(now + whole)));
            }
            self.full_at = full_at;
        }
        self.open += 1;
        Ok(())
    }

    /// Bytes were sent.
    pub(super) fn charge(&mut self, bytes: u64, now: SystemTime) {
        self.turn_to(since_epoch(now));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// One answer has ended.
    pub(super) fn close(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// A new day, with nothing spent yet. A clock that is set back begins none.
    fn turn_to(&mut self, now: Duration) {
        let day = now.as_secs() / DAY.as_secs();
        if day > self.day {
            (self.day, self.bytes) = (day, 0);
        }
    }
}

fn since_epoch(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + DAY * 20_000 + Duration::from_millis(millis)
    }

    #[test]
    fn requests_come_in_bursts_and_then_at_the_rate() {
        let limits = Limits { requests: Some((10, 3)), ..Limits::default() };
        let mut account = Account::default();
        for (millis, expected) in [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(100)),
            (40, Err(60)),
            (99, Err(1)),
            (100, Ok(())),
            (100, Err(100)),
            (350, Ok(())),
            (350, Ok(())),
            (350, Err(50)),
            (100_000, Ok(())),
            (100_000, Ok(())),
            (100_000, Ok(())),
            (100_000, Err(100)),
            // The clock was set back by more than the bucket.
            (0, Err(100)),
            (100, Ok(())),
        ] {
            let outcome = account.open(&limits, at(millis));
            let expected = expected.map_err(|wait| (Limit::Requests, Duration::from_millis(wait)));
            assert_eq!(outcome, expected, "{millis}");
        }
    }

    #[test]
    fn bytes_are_of_one_day() {
        let limits = Limits { bytes_per_day: Some(1000), ..Limits::default() };
        let mut account = Account::default();
        let hour = 3_600_000;
        assert_eq!(account.open(&limits, at(0)), Ok(()));
        account.charge(999, at(0));
        assert_eq!(account.open(&limits, at(22 * hour)), Ok(()));
        account.charge(5_000_000, at(22 * hour));
        let rest = Duration::from_hours(1);
        assert_eq!(account.open(&limits, at(23 * hour)), Err((Limit::Bytes, rest)));
        // What is sent after midnight is of the new day, whenever it was asked for.
        account.charge(1000, at(24 * hour));
        assert_eq!(account.open(&limits, at(24 * hour)), Err((Limit::Bytes, DAY)));
        assert_eq!(account.open(&limits, at(23 * hour)).map_err(|(limit, _)| limit), Err(Limit::Bytes));
        assert_eq!(account.open(&limits, at(48 * hour)), Ok(()));
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let limits = Limits { requests: Some((1, 1)), bytes_per_day: Some(1), concurrent: Some(1) };
        let mut account = Account::default();
        assert_eq!(account.open(&limits, at(0)), Ok(()));
        for _ in 0..10 {
            assert_eq!(account.open(&limits, at(500)), Err((Limit::Concurrent, SOON)));
        }
        account.close();
        assert_eq!(account.open(&limits, at(1000)), Ok(()));
        account.close();
        account.close();
        assert_eq!(account.open, 0);
    }
}
