//! Points in time as links know them: whole seconds since 1970, in UTC.
//!
//! Pure. What a link carries, what the revocation list says and what the configuration says are compared as these.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

/// Bytes of a moment in a token.
pub(super) const LENGTH: usize = 5;

/// A second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moment(u64);

/// Not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no time; write a date such as 2027-01-31, or UTC as in 2027-01-31T18:00:00Z")]
pub struct MomentError(String);

impl Moment {
    /// The last one that is given, at the end of the year 9999: the last that RFC 3339 can write. A token could carry later ones.
    const LAST: u64 = 253_402_300_799;

    /// The second that `time` lies in.
    pub fn of(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(Self::LAST))
    }

    /// So much later, in whole seconds.
    pub(super) fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.as_secs()).min(Self::LAST))
    }

    /// The beginning of the window that this lies in; itself without a window.
    pub(super) fn floor(self, window: Duration) -> Self {
        Self(self.0 - self.0.checked_rem(window.as_secs()).unwrap_or(0))
    }

    pub(super) fn to_bytes(self) -> [u8; LENGTH] {
        let [_, _, _, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; LENGTH]) -> Self {
        Self(bytes.into_iter().fold(0, |number, byte| number << 8 | u64::from(byte)))
    }
}

impl From<Moment> for SystemTime {
    fn from(moment: Moment) -> Self {
        UNIX_EPOCH + Duration::from_secs(moment.0)
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let midnight = || format!("{text}T00:00:00Z");
        let read = if text.len() == "2027-01-31".len() {
            humantime::parse_rfc3339(&midnight())
        } else {
            humantime::parse_rfc3339(text)
        };
        read.map(Self::of).map_err(|_| MomentError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Beyond the year 9999 there is no text for it.
        let shown = self.0.min(253_402_300_799);
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(shown)).fmt(f)
    }
}

/// A TOML date or time, or a text with one.
impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_dates_or_in_utc() {
        for (text, shown) in [
            ("2027-01-31", "2027-01-31T00:00:00Z"),
            ("2027-01-31T18:00:01Z", "2027-01-31T18:00:01Z"),
            ("1970-01-01", "1970-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ] {
            let moment: Moment = text.parse().expect("a time");
            assert_eq!(moment.to_string(), shown);
            assert_eq!(Moment::from_bytes(moment.to_bytes()), moment);
        }
        for bad in ["", "tomorrow", "2027-13-01", "2027-01-31T18:00:01+02:00", "2027-01-31T18:00", "üüüüü", "1"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
        assert_eq!(Moment::from_bytes([0xff; LENGTH]).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn windows_round_down_and_nothing_overflows() {
        let moment: Moment = "2027-01-31T18:59:59Z".parse().expect("a time");
        assert_eq!(moment.floor(Duration::from_hours(1)).to_string(), "2027-01-31T18:00:00Z");
        assert_eq!(moment.floor(Duration::ZERO), moment);
        assert_eq!(moment.plus(Duration::from_secs(1)).to_string(), "2027-01-31T19:00:00Z");
        assert_eq!(moment.plus(Duration::MAX), Moment(Moment::LAST));
        assert_eq!(Moment::of(UNIX_EPOCH - Duration::from_secs(1)), Moment(0));
    }
}
