//! Times in a configuration: what a person may write, and no more.
//!
//! A year is the most that any of them can mean; larger ones overflow clocks and caches.

use std::time::Duration;

use serde::{Deserializer, de};

const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Reads a time such as `"30s"`, above zero and at most a year; for `#[serde(deserialize_with)]`.
pub fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let duration = zero_or_more(deserializer)?;
    if duration.is_zero() {
        Err(de::Error::custom("expected a time above zero, such as \"30s\""))
    } else {
        Ok(duration)
    }
}

/// The same, and zero.
pub fn zero_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let duration = humantime_serde::deserialize::<Duration, D>(deserializer)?;
    if duration > LONGEST { Err(de::Error::custom("expected a time of 365days at most")) } else { Ok(duration) }
}
