//! What a status other than success means.
//!
//! Decides which error a refusal becomes. GCS's own text is kept for the log, bounded and on one line; a redirect is
//! never followed.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/status-codes>.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt;
use serde::Deserialize;

use crate::gcs::Error;
use crate::gcs::wire::{Answer, Field, Fields};
use crate::object::{ContentRange, Generation, decimal};

/// As much of an error's body is read.
const LONGEST_BODY: usize = 8 * 1024;
/// As much of it is kept.
const LONGEST_MESSAGE: usize = 1024;

/// The refusal that a status and its headers announce, before its text is read.
pub(super) struct Refusal {
    status: StatusCode,
    retry_after: Option<Duration>,
    size: Option<u64>,
}

impl Refusal {
    /// `None` for 2xx: no refusal. Dates are compared with `now`.
    pub(super) fn of<B>(answer: &Answer<B>, now: impl FnOnce() -> SystemTime) -> Option<Self> {
        let Answer { status, fields, .. } = answer;
        (!status.is_success()).then(|| Self {
            status: *status,
            retry_after: retry_after(fields, now()),
            size: size(fields),
        })
    }

    /// The error, with GCS's text. `generation` is the one that was asked for.
    pub(super) fn error(self, generation: Option<Generation>, message: String) -> Error {
        let status = self.status.as_u16();
        let retry_after = self.retry_after;
        match status {
            401 => Error::Unauthorized { message },
            403 => Error::Forbidden { message },
            404 if generation.is_some() => Error::Changed,
            404 => Error::NotFound { message },
            412 => Error::Changed,
            416 => Error::RangeNotSatisfiable { size: self.size },
            429 => Error::Throttled { retry_after },
            408 | 500..=599 => Error::Unavailable { status, message, retry_after },
            300..=399 => Error::Redirected { status },
            400..=499 => Error::Refused { status, message },
            _ => Error::Protocol(format!("unexpected status {status}")),
        }
    }
}

/// GCS's text out of an error's body; what cannot be read is left out.
pub(super) async fn message<B>(body: B) -> String
where
    B: Body<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    let mut text = Vec::new();
    while text.len() < LONGEST_BODY
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            text.extend_from_slice(&data[..data.len().min(LONGEST_BODY - text.len())]);
        }
    }
    one_line(&text)
}

/// GCS answers media requests with text and metadata requests with JSON.
fn one_line(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
        error: Detail,
    }
    #[derive(Deserialize)]
    struct Detail {
        message: String,
    }
    let text = match serde_json::from_slice::<Answer>(body) {
        Ok(answer) => answer.error.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.trim().chars().map(printable).collect();
    line.truncate(line.floor_char_boundary(LONGEST_MESSAGE));
    line
}

/// Seconds, or a date that is turned into the time left until then.
fn retry_after(fields: &Fields, now: SystemTime) -> Option<Duration> {
    let value = fields.text(Field::RetryAfter)?.trim();
    if let Some(seconds) = decimal(value) {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

fn size(fields: &Fields) -> Option<u64> {
    ContentRange::parse_unsatisfied(fields.text(Field::ContentRange)?)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http_body_util::Full;

    use super::*;

    fn refused(status: u16, headers: &[(&str, &str)], pinned: bool) -> Error {
        let status = StatusCode::from_u16(status).expect("a legal status");
        let answer = Answer { status, fields: headers.iter().copied().collect(), body: () };
        let refusal = Refusal::of(&answer, || UNIX_EPOCH).expect("no success");
        refusal.error(pinned.then_some(Generation(1)), "why".to_owned())
    }

    #[test]
    fn every_status_has_its_error() {
        for (status, expected) in [
            (301, "GCS answered with a redirect (301)"),
            (304, "GCS answered with a redirect (304)"),
            (400, "GCS refused the request (400): why"),
            (401, "GCS refused the token (401): why"),
            (403, "GCS denied access (403): why"),
            (404, "not found in GCS (404): why"),
            (408, "GCS is unavailable (408): why"),
            (412, "the object changed"),
            (416, "the range is not satisfiable"),
            (429, "GCS asks to slow down (429)"),
            (451, "GCS refused the request (451): why"),
            (500, "GCS is unavailable (500): why"),
            (503, "GCS is unavailable (503): why"),
            (599, "GCS is unavailable (599): why"),
            (600, "GCS answered nonsense: unexpected status 600"),
        ] {
            assert_eq!(refused(status, &[], false).to_string(), expected);
        }
        assert!(matches!(refused(404, &[], true), Error::Changed), "the generation is gone");
    }

    #[test]
    fn headers_of_refusals_are_read() {
        let size = refused(416, &[("content-range", "bytes */10")], false);
        assert!(matches!(size, Error::RangeNotSatisfiable { size: Some(10) }));
        for (value, expected) in [
            ("3", Some(3)),
            ("Thu, 01 Jan 1970 00:00:09 GMT", Some(9)),
            ("soon", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            let Error::Throttled { retry_after } = refused(429, &[("retry-after", value)], false) else {
                panic!("429 throttles")
            };
            assert_eq!(retry_after, expected.map(Duration::from_secs), "{value}");
        }
    }

    #[tokio::test]
    async fn texts_are_one_bounded_line() {
        let read = |body: &'static [u8]| message(Full::new(Bytes::from_static(body)));
        assert_eq!(read(b"No such object: b/o\n").await, "No such object: b/o");
        assert_eq!(read(br#"{"error":{"code":404,"message":"Not\nFound"}}"#).await, "Not Found");
        assert_eq!(read(b"a\x1b[31m\xff").await, "a [31m\u{fffd}");
        let long = "\u{fc}".repeat(1500);
        assert_eq!(message(Full::new(Bytes::from(long))).await.len(), LONGEST_MESSAGE);
        let endless = vec![b'x'; 1 << 20];
        assert_eq!(message(Full::new(Bytes::from(endless))).await.len(), LONGEST_MESSAGE);
    }
}
