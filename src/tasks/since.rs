//! Since when, or since which manifest.
//!
//! Decides what `--since` means: a time as RFC 3339 has it, or the file of an earlier manifest.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::format::Format;
use super::known::{self, Known};

/// What is old.
#[derive(Debug)]
pub enum Since {
    /// Objects not written after this time.
    Time(SystemTime),
    /// What an earlier manifest has.
    Manifest(Known),
}

/// Why it means nothing.
#[derive(Debug, thiserror::Error)]
pub enum SinceError {
    /// No time and no file.
    #[error("{0:?} is neither a time such as 2026-01-31T12:00:00Z nor a manifest that exists")]
    Neither(String),
    /// The file cannot be read.
    #[error("cannot read the earlier manifest {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is no manifest of this format: {why}", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Where and what.
        why: String,
    },
}

impl Since {
    /// Reads a time alone, for those who may not name files.
    pub fn time(text: &str) -> Option<SystemTime> {
        time(text)
    }

    /// Reads a time, or a manifest that was made with the same format and first key.
    pub fn read(text: &str, format: Format, key: &str) -> Result<Self, SinceError> {
        if let Some(time) = time(text) {
            return Ok(Self::Time(time));
        }
        let path = Path::new(text);
        if !path.is_file() {
            return Err(SinceError::Neither(text.to_owned()));
        }
        Known::read(path, format, key).map(Self::Manifest).map_err(|error| match error {
            known::Error::Read(source) => SinceError::Unreadable { path: path.to_owned(), source },
            known::Error::Format(why) => SinceError::OtherFormat { path: path.to_owned(), why },
        })
    }
}

/// A time with `Z` or an offset, or a date.
fn time(text: &str) -> Option<SystemTime> {
    if !text.is_ascii() {
        return None;
    }
    if text.len() == 10 {
        return humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).ok();
    }
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Some(time);
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let sign = offset.chars().next().filter(|sign| matches!(sign, '+' | '-'))?;
    let (hours, minutes) = offset[1..].split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let offset = Duration::from_secs((hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?);
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    if sign == '+' { local.checked_sub(offset) } else { local.checked_add(offset) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_zone_and_dates_begin_at_midnight() {
        let at = |text| time(text).and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        for (text, expected) in [
            ("2026-01-02T03:04:05Z", Some(1_767_323_045_000)),
            ("2026-01-02T03:04:05.678Z", Some(1_767_323_045_678)),
            ("2026-01-02T05:04:05+02:00", Some(1_767_323_045_000)),
            ("2026-01-01T20:34:05-06:30", Some(1_767_323_045_000)),
            ("2026-01-02", Some(1_767_312_000_000)),
            ("yesterday", None),
            ("2026-13-02", None),
            ("2026-01-02T03:04:05+99:00", None),
            ("", None),
            ("ü", None),
        ] {
            assert_eq!(at(text).map(|since| since.as_millis()), expected, "{text}");
        }
    }
}
