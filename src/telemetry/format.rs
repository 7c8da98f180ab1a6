//! How an event becomes a line: text for people, JSON for Google Cloud Logging.
//!
//! Every value is escaped, so that nothing a client sent can end a line, forge one or colour a terminal.
//! Follows <https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields>.

mod json;

use std::fmt;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::telemetry::Causes;

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

impl<S, N> FormatEvent<S, N> for Formatter
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let time = humantime::format_rfc3339_micros(SystemTime::now());
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        match self {
            Self::Text => {
                let mut fields = Fields::default();
                event.record(&mut fields);
                text(&mut writer, (&time, level, target), &fields)
            }
            Self::Json { project } => {
                let mut entry = json::Entry::new(target, project.as_deref());
                event.record(&mut entry);
                entry.write(&mut writer, (&time, level, target))
            }
        }
    }
}

/// The fields of one event, in their order.
#[derive(Default)]
struct Fields {
    message: String,
    values: Vec<(&'static str, Value)>,
}

enum Value {
    Text(String),
    /// A number or a boolean.
    Bare(String),
}

impl Fields {
    fn bare(&mut self, field: &Field, value: impl fmt::Display) {
        self.values.push((field.name(), Value::Bare(value.to_string())));
    }

    fn text(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.values.push((name, Value::Text(value))),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.bare(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, Causes(value).to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }
}

/// Time, level and target of an event.
type Origin<'a> = (&'a dyn fmt::Display, Level, &'a str);

fn text(line: &mut Writer<'_>, (time, level, target): Origin<'_>, fields: &Fields) -> fmt::Result {
    write!(line, "{time} {level:>5} {target}: {}", escaped(&fields.message))?;
    for (name, value) in &fields.values {
        write!(line, " {name}=")?;
        match value {
            Value::Bare(value) => line.write_str(value)?,
            Value::Text(value) => {
                let bare = !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\');
                if bare { line.write_str(value)? } else { write!(line, "\"{}\"", escaped(value))? }
            }
        }
    }
    writeln!(line)
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::Ipv4Addr;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

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
            method: "GET".into(),
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
