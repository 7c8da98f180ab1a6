//! The time of a line. What lines of one second share is put together once a second and thread.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use super::micros;

/// A second since 1970, and its text up to the fraction: `2026-01-31T12:00:00.`
type Second = (u64, String);

thread_local! {
    /// The second of this thread's last line.
    static LAST: RefCell<Second> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Writes a time as RFC 3339 has it, in UTC, to the microsecond; what was before 1970 is its beginning.
pub(super) fn write(line: &mut String, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let shared = LAST.try_with(|last| {
        let (second, text) = &mut *last.borrow_mut();
        if *second != since.as_secs() {
            *second = since.as_secs();
            *text = up_to_fraction(UNIX_EPOCH + since);
        }
        line.push_str(text);
    });
    // A thread that is at its end remembers nothing.
    if shared.is_err() {
        line.push_str(&up_to_fraction(UNIX_EPOCH + since));
    }
    micros(line, since.subsec_micros());
    line.push('Z');
}

fn up_to_fraction(time: SystemTime) -> String {
    let mut text = String::new();
    // There is none for years of five digits.
    let _ = write!(text, "{}", humantime::format_rfc3339_seconds(time));
    text.pop();
    text.push('.');
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_is_written_as_the_library_writes_it() {
        let seconds = [0, 0, 1, 951_782_399, 951_782_400, 1_700_000_000, 1_700_000_000, 253_402_300_799, 5];
        for (second, micros) in seconds.into_iter().flat_map(|second| [0, 1, 99_999, 999_999].map(|m| (second, m))) {
            let time = UNIX_EPOCH + Duration::from_secs(second) + Duration::from_micros(micros);
            let mut line = String::new();
            write(&mut line, time + Duration::from_nanos(999));
            assert_eq!(line, humantime::format_rfc3339_micros(time).to_string());
        }
        let mut line = String::new();
        write(&mut line, UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(line, "1970-01-01T00:00:00.000000Z");
    }
}
