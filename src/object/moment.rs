//! Moments to the second, as HTTP dates tell them.
//!
//! Reads and writes the one form that is ever sent, `Sun, 06 Nov 1994 08:49:37 GMT`; the obsolete two are httpdate's.
//! Follows <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7>; days are counted as
//! <https://howardhinnant.github.io/date_algorithms.html> explains, from 1 March on, so that a leap day comes last.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const WEEKDAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const DAY: u64 = 24 * 60 * 60;
/// As many days are 400 years.
const ERA: u64 = 146_097;
/// Days from 1 March of the year 0 to 1 January 1970.
const BEFORE_1970: u64 = 719_468;
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

    /// Reads an HTTP date.
    pub fn parse(text: &[u8]) -> Option<Self> {
        text.try_into().ok().and_then(Self::parse_usual).or_else(|| {
            let text = std::str::from_utf8(text).ok()?;
            Self::of(httpdate::parse_http_date(text).ok()?)
        })
    }

    /// Reads the usual form, if that is exactly how the moment is written.
    fn parse_usual(text: &[u8; 29]) -> Option<Self> {
        let two = |at: usize| match (text[at], text[at + 1]) {
            (tens @ b'0'..=b'9', ones @ b'0'..=b'9') => Some(u64::from(tens - b'0') * 10 + u64::from(ones - b'0')),
            _ => None,
        };
        let month = MONTHS.iter().position(|month| text[8..11] == **month)?;
        let (year, month) = (two(12)? * 100 + two(14)?, u64::try_from(month).ok()? + 1);
        let second = two(17)? * 3600 + two(20)? * 60 + two(23)?;
        let moment = Self::at(days_until(year, month, two(5)?)?.checked_mul(DAY)? + second)?;
        (moment.to_http() == *text).then_some(moment)
    }

    /// The moment as an HTTP date.
    pub fn to_http(self) -> [u8; 29] {
        let (days, second) = (self.second() / DAY, self.second() % DAY);
        let (year, month, day) = date(days);
        let mut text = *b"Sun, 00 Jan 0000 00:00:00 GMT";
        let mut two = |at: usize, number: u64| {
            text[at] = digit(number / 10);
            text[at + 1] = digit(number);
        };
        two(5, day);
        two(12, year / 100);
        two(14, year % 100);
        two(17, second / 3600);
        two(20, second / 60 % 60);
        two(23, second % 60);
        // 1 January 1970 was a Thursday.
        text[..3].copy_from_slice(named(&WEEKDAYS, (days + 4) % 7));
        text[8..11].copy_from_slice(named(&MONTHS, month - 1));
        text
    }
}

impl From<Moment> for SystemTime {
    fn from(moment: Moment) -> Self {
        UNIX_EPOCH + Duration::from_secs(moment.second())
    }
}

fn digit(number: u64) -> u8 {
    u8::try_from(number % 10).map_or(b'0', |digit| b'0' + digit)
}

fn named<'a>(names: &[&'a [u8; 3]], number: u64) -> &'a [u8; 3] {
    usize::try_from(number).ok().and_then(|number| names.get(number)).copied().unwrap_or(b"???")
}

/// How many days after 1 January 1970 a date is.
fn days_until(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let year_of_era = year % 400;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (year / 400 * ERA + day_of_era).checked_sub(BEFORE_1970)
}

/// Year, month and day, so many days after 1 January 1970.
fn date(days: u64) -> (u64, u64, u64) {
    let (era, day) = ((days + BEFORE_1970) / ERA, (days + BEFORE_1970) % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn httpdate(text: &[u8]) -> Option<SystemTime> {
        httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()
    }

    #[test]
    fn every_day_is_written_and_read_as_by_httpdate() {
        for day in (0..END / DAY).step_by(5) {
            let moment = Moment::at(day * DAY + day % DAY).expect("before the end");
            let text = moment.to_http();
            assert_eq!(text, httpdate::fmt_http_date(moment.into()).as_bytes());
            assert_eq!(Moment::parse_usual(&text), Some(moment));
        }
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

    proptest! {
        #[test]
        fn no_text_is_read_otherwise_than_by_httpdate(
            second in 0..END,
            damage in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..3),
            swapped in any::<(Index, Index)>(),
        ) {
            let mut text = Moment::at(second).expect("before the end").to_http();
            for (place, byte) in damage {
                text[place.index(29)] = byte;
            }
            prop_assert_eq!(Moment::parse(&text).map(SystemTime::from), httpdate(&text));
            text.swap(swapped.0.index(29), swapped.1.index(29));
            prop_assert_eq!(Moment::parse(&text).map(SystemTime::from), httpdate(&text));
        }
    }
}
