//! How an event becomes a line: text for people, JSON for Google Cloud Logging.
//!
//! Every value is escaped, so that nothing a client sent can end a line, forge one or colour a terminal.
//! Follows <https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields>.

mod clock;
mod json;
mod text;

use std::time::SystemTime;

use tracing::Event;

/// The form of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formatter {
    /// `time LEVEL target: message key=value …`
    Text,
    /// One JSON object.
    Json {
        /// Completes `logging.googleapis.com/trace` to a resource name.
        project: Option<String>,
    },
}

impl Formatter {
    /// The event's line, its end included.
    pub(super) fn line(&self, event: &Event<'_>) -> String {
        let now = SystemTime::now();
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        match self {
            Self::Text => {
                let mut fields = text::Fields::default();
                event.record(&mut fields);
                format!("{} {level:>5} {target}: {fields}\n", humantime::format_rfc3339_micros(now))
            }
            Self::Json { project } => {
                let mut entry = json::Entry::begin(level, now, project.as_deref());
                event.record(&mut entry);
                entry.end(target)
            }
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if is_unsafe(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Control characters, line separators and characters that change the direction of writing.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}')
}

/// Writes what is left of a second in microseconds, by six digits.
fn micros(line: &mut String, micros: u32) {
    let mut buffer = itoa::Buffer::new();
    // The first digit only keeps the zeros.
    let digits = buffer.format(1_000_000 + micros);
    line.push_str(digits.get(1..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use http::Method;
    use serde_json::{Value, json};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::telemetry::{self, AccessEvent, Outcome, RequestId, Trace};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Lines {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    fn logged(formatter: Formatter, act: impl FnOnce()) -> String {
        let lines = Lines::default();
        let subscriber = telemetry::subscriber(&telemetry::Level::default(), formatter, lines.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn event() -> AccessEvent {
        AccessEvent {
            request_id: RequestId::parse(b"r-1").unwrap(),
            trace: Trace::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            client: Some(Ipv4Addr::new(203, 0, 113, 7).into()),
            method: Method::GET,
            path: "/street/a%20b.jpg?X-Goog-Signature=secret".into(),
            protocol: "HTTP/1.1",
            status: 206,
            connection: Some("street".into()),
            object: Some("dataset/a b.jpg".into()),
            generation: Some(1_700_000_000_000_001),
            delivery: "proxy",
            reason: "cors",
            cache: "miss",
            bytes_sent: 1024,
            to_first_byte: Duration::from_millis(4),
            to_end: Duration::from_millis(20),
            outcome: Outcome::Complete,
            user_agent: Some("Mozilla\n\u{1b}[31m\u{9b}31m\u{202e}forged".into()),
        }
    }

    fn bare() -> AccessEvent {
        AccessEvent {
            trace: None,
            client: None,
            method: Method::OPTIONS,
            path: "*".into(),
            protocol: "HTTP/2",
            status: 404,
            connection: None,
            object: None,
            generation: None,
            delivery: "none",
            reason: "no_such_route",
            cache: "none",
            bytes_sent: 0,
            to_first_byte: Duration::ZERO,
            to_end: Duration::from_nanos(61_000_123_499),
            outcome: Outcome::ClientGone,
            user_agent: None,
            ..event()
        }
    }

    fn odd() -> AccessEvent {
        AccessEvent {
            trace: Trace::from_cloud("105445aa7843bc8bf206b12000100000"),
            client: Some(Ipv6Addr::LOCALHOST.into()),
            method: Method::from_bytes(b"M-SEARCH").unwrap(),
            path: "/~secret/street/\u{7f}\u{e9}'\"\\".into(),
            object: Some("é\"".into()),
            generation: Some(u64::MAX),
            bytes_sent: u64::MAX,
            user_agent: Some(String::new()),
            outcome: Outcome::Aborted,
            ..event()
        }
    }

    #[test]
    fn an_access_event_is_one_line_of_text_without_its_query() {
        let line = logged(Formatter::Text, || event().emit());
        let (_, rest) = line.split_once(' ').unwrap();
        assert_eq!(
            rest,
            concat!(
                " INFO gsgate::access: request request_id=r-1 trace=4bf92f3577b34da6a3ce929d0e0e4736 ",
                "span=00f067aa0ba902b7 sampled=true client=203.0.113.7 method=GET path=/street/a%20b.jpg ",
                "protocol=HTTP/1.1 status=206 connection=street object=\"dataset/a b.jpg\" ",
                "generation=1700000000000001 delivery=proxy reason=cors cache=miss bytes_sent=1024 ",
                "first_byte_seconds=0.004 end_seconds=0.02 outcome=complete ",
                "user_agent=\"Mozilla\\n\\u{1b}[31m\\u{9b}31m\\u{202e}forged\"\n"
            )
        );
    }

    #[test]
    fn an_access_event_is_one_entry_of_cloud_logging() {
        let line = logged(Formatter::Json { project: Some("p".into()) }, || event().emit());
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains("secret"));
        let mut entry: Value = serde_json::from_str(&line).unwrap();
        let time = entry.as_object_mut().unwrap().remove("time").unwrap();
        assert!(humantime::parse_rfc3339(time.as_str().unwrap()).is_ok());
        assert_eq!(
            entry,
            json!({
                "severity": "INFO",
                "message": "request",
                "target": "gsgate::access",
                "httpRequest": {
                    "requestMethod": "GET",
                    "requestUrl": "/street/a%20b.jpg",
                    "status": 206,
                    "responseSize": "1024",
                    "userAgent": "Mozilla\\n\\u{1b}[31m\\u{9b}31m\\u{202e}forged",
                    "remoteIp": "203.0.113.7",
                    "protocol": "HTTP/1.1",
                    "latency": "0.020000s",
                },
                "logging.googleapis.com/labels": {
                    "connection": "street", "delivery": "proxy", "reason": "cors", "cache": "miss", "outcome": "complete",
                },
                "logging.googleapis.com/trace": "projects/p/traces/4bf92f3577b34da6a3ce929d0e0e4736",
                "logging.googleapis.com/spanId": "00f067aa0ba902b7",
                "logging.googleapis.com/trace_sampled": true,
                "request_id": "r-1",
                "object": "dataset/a b.jpg",
                "generation": 1_700_000_000_000_001_u64,
                "first_byte_seconds": 0.004,
            })
        );
    }

    #[test]
    fn an_access_event_has_exactly_these_bytes() {
        let bytes = |event: &AccessEvent| {
            let line = logged(Formatter::Json { project: Some("p\"q".into()) }, || event.emit());
            let (before, rest) = line.split_once(r#""time":""#).unwrap();
            [before, rest.split_once("Z\",").unwrap().1].concat()
        };
        assert_eq!(
            bytes(&event()),
            concat!(
                r#"{"severity":"INFO","httpRequest":{"remoteIp":"203.0.113.7","requestMethod":"GET","#,
                r#""requestUrl":"/street/a%20b.jpg","protocol":"HTTP/1.1","status":206,"responseSize":"1024","#,
                r#""latency":"0.020000s","userAgent":"Mozilla\\n\\u{1b}[31m\\u{9b}31m\\u{202e}forged"},"#,
                r#""logging.googleapis.com/labels":{"connection":"street","delivery":"proxy","reason":"cors","#,
                r#""cache":"miss","outcome":"complete"},"request_id":"r-1","#,
                r#""logging.googleapis.com/trace":"projects/p\"q/traces/4bf92f3577b34da6a3ce929d0e0e4736","#,
                r#""logging.googleapis.com/spanId":"00f067aa0ba902b7","logging.googleapis.com/trace_sampled":true,"#,
                r#""object":"dataset/a b.jpg","generation":1700000000000001,"first_byte_seconds":0.004000,"#,
                r#""message":"request","target":"gsgate::access"}"#,
                "\n",
            )
        );
        assert_eq!(
            bytes(&bare()),
            concat!(
                r#"{"severity":"INFO","httpRequest":{"requestMethod":"OPTIONS","requestUrl":"*","#,
                r#""protocol":"HTTP/2","status":404,"responseSize":"0","latency":"61.000123s"},"#,
                r#""logging.googleapis.com/labels":{"delivery":"none","reason":"no_such_route","cache":"none","#,
                r#""outcome":"client-gone"},"request_id":"r-1","first_byte_seconds":0.000000,"message":"request","#,
                r#""target":"gsgate::access"}"#,
                "\n",
            )
        );
        assert_eq!(
            bytes(&odd()),
            concat!(
                r#"{"severity":"WARNING","httpRequest":{"remoteIp":"::1","requestMethod":"M-SEARCH","#,
                r#""requestUrl":"/~…/street/\\u{7f}é'\\\"\\\\","protocol":"HTTP/1.1","status":206,"#,
                r#""responseSize":"18446744073709551615","latency":"0.020000s","userAgent":""},"#,
                r#""logging.googleapis.com/labels":{"connection":"street","delivery":"proxy","reason":"cors","#,
                r#""cache":"miss","outcome":"aborted"},"request_id":"r-1","#,
                r#""logging.googleapis.com/trace":"projects/p\"q/traces/105445aa7843bc8bf206b12000100000","#,
                r#""logging.googleapis.com/trace_sampled":false,"object":"é\"","generation":18446744073709551615,"#,
                r#""first_byte_seconds":0.004000,"message":"request","target":"gsgate::access"}"#,
                "\n",
            )
        );
    }

    #[test]
    fn our_own_failures_are_warnings() {
        let failed = AccessEvent { status: 502, ..event() };
        let line = logged(Formatter::Json { project: None }, || failed.emit());
        assert!(line.contains(r#""severity":"WARNING""#), "{line}");
    }

    #[test]
    fn any_event_is_an_entry() {
        let entry = |project: Option<&str>, act: fn()| {
            let line = logged(Formatter::Json { project: project.map(str::to_owned) }, act);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            let mut entry: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            entry.as_object_mut().unwrap().remove("time").unwrap();
            entry
        };
        let target = module_path!();
        assert_eq!(
            entry(None, || tracing::info!(word = "\"\\", count = 7_u64, least = i64::MIN, most = u128::MAX, "said")),
            json!({
                "severity": "INFO", "target": target, "message": "said", "word": "\"\\", "count": 7, "least": i64::MIN,
                "most": u128::MAX.to_string(),
            })
        );
        let numbers =
            || tracing::warn!(half = 0.5, large = 1e300, none = f64::NAN, endless = f64::INFINITY, yes = true);
        assert_eq!(
            entry(None, numbers),
            json!({
                "severity": "WARNING", "target": target, "half": 0.5, "large": 1e300, "none": null, "endless": null, "yes": true,
            })
        );
        let error = || {
            let error = io::Error::other("a\nb");
            tracing::error!(error = &error as &dyn std::error::Error, trace = "t", "failed");
        };
        let failed = |trace| {
            json!({
                "severity": "ERROR", "target": target, "message": "failed", "error": "a\\nb",
                "logging.googleapis.com/trace": trace,
            })
        };
        assert_eq!((entry(None, error), entry(Some("p"), error)), (failed("t"), failed("projects/p/traces/t")));
        let ours =
            || tracing::info!(target = "forged", time = "forged", severity = 9, httpRequest = 1.0, method = "GET");
        assert_eq!(entry(None, ours), json!({ "severity": "INFO", "target": target, "method": "GET" }));
    }

    #[test]
    fn a_message_cannot_forge_a_line() {
        let line = logged(Formatter::Text, || tracing::info!("a\r\nb {}", "\u{7}"));
        assert!(line.ends_with("a\\r\\nb \\u{7}\n"), "{line}");
        let line = logged(Formatter::Json { project: None }, || tracing::info!(key = "x\ny", "a\nb"));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
    }
}
