//! Moments to the second, as HTTP dates tell them.
//!
//! Follows <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7>.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first second of the year 10000, which no HTTP date can tell.
const END: u64 = 253_402_300_800;

/// A second between 1970 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(
    /// Seconds since 1970, and one: so that `Option<Moment>` takes no more room.
    NonZeroU64,
);

impl Moment {
    /// The second that a time lies in.
    pub fn of(time: SystemTime) -> Option<Self> {
        Self::at(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
    }

    fn at(second: u64) -> Option<Self> {
        (second < END).then(|| Self(NonZeroU64::MIN.saturating_add(second)))
    }

    fn second(self) -> u64 {
        self.0.get() - 1
    }

    /// Reads an HTTP date, in the usual form or an obsolete one.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::of(httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()?)
    }

    /// The moment as an HTTP date.
    pub fn to_http(self) -> String {
        httpdate::fmt_http_date(self.into())
    }
}

impl From<Moment> for SystemTime {
    fn from(moment: Moment) -> Self {
        UNIX_EPOCH + Duration::from_secs(moment.second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_read_as_it_is_written() {
        for day in (0..END / (24 * 60 * 60)).step_by(5) {
            let moment = Moment::at(day * 24 * 60 * 60 + day % (24 * 60 * 60));
            assert_eq!(moment.and_then(|moment| Moment::parse(moment.to_http().as_bytes())), moment, "{day}");
        }
        let last = Moment::at(END - 1).map(Moment::to_http);
        assert_eq!(last.as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!(Moment::at(END), None);
        assert_eq!(Moment::of(UNIX_EPOCH - Duration::from_secs(1)), None);
        let late = UNIX_EPOCH + Duration::from_millis(7999);
        assert_eq!(Moment::of(late), Moment::at(7));
    }

    #[test]
    fn obsolete_forms_are_read_as_well() {
        for text in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(Moment::parse(text.as_bytes()), Moment::at(784_111_777), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1969 08:49:37 GMT"]
        {
            assert_eq!(Moment::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Moment::parse(b"Sun, 06 Nov 1994 08:49:37 GM\xff"), None);
    }
}
