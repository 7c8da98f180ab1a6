//! How an event becomes a line: text for people, JSON for Google Cloud Logging.
//!
//! Every value is escaped, so that nothing a client sent can end a line, forge one or colour a terminal.
//! Follows <https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields>.

use std::fmt::{self, Write};
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::telemetry::{Causes, TARGET};

/// Fields of an access event that Cloud Logging can filter by as labels.
const LABELS: [&str; 5] = ["connection", "delivery", "reason", "cache", "outcome"];

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
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        match self {
            Self::Text => writeln!(writer, "{}", text(&time, level, target, fields)),
            Self::Json { project } => {
                writeln!(writer, "{}", json(&time, level, target, fields, project.as_deref()))
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

impl Fields {
    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.values.iter().position(|(known, _)| *known == name)?;
        Some(self.values.remove(at).1)
    }

    fn put(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = plain(&value);
        } else {
            self.values.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, json!(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, json!(Causes(value).to_string()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, json!(format!("{value:?}")));
    }
}

fn text(time: &str, level: Level, target: &str, fields: Fields) -> String {
    let mut line = format!("{time} {level:>5} {target}: {}", escaped(&fields.message));
    for (name, value) in fields.values {
        let value = plain(&value);
        let bare = !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\');
        let value = if bare { value } else { format!("\"{}\"", escaped(&value)) };
        let _ = write!(line, " {name}={value}");
    }
    line
}

fn json(time: &str, level: Level, target: &str, mut fields: Fields, project: Option<&str>) -> Value {
    let mut entry = Map::new();
    entry.insert("severity".into(), severity(level).into());
    entry.insert("time".into(), time.into());
    if target == TARGET {
        entry.insert("httpRequest".into(), http_request(&mut fields));
        entry.insert("logging.googleapis.com/labels".into(), labels(&mut fields));
    }
    if let Some(Value::String(trace)) = fields.take("trace") {
        let trace = project.map_or_else(|| trace.clone(), |project| format!("projects/{project}/traces/{trace}"));
        entry.insert("logging.googleapis.com/trace".into(), trace.into());
    }
    if let Some(span) = fields.take("span") {
        entry.insert("logging.googleapis.com/spanId".into(), span);
    }
    if let Some(sampled) = fields.take("sampled") {
        entry.insert("logging.googleapis.com/trace_sampled".into(), sampled);
    }
    entry.insert("message".into(), escaped(&fields.message).into());
    entry.insert("target".into(), target.into());
    for (name, value) in fields.values {
        entry.entry(name).or_insert(visible(value));
    }
    Value::Object(entry)
}

fn http_request(fields: &mut Fields) -> Value {
    let mut request = Map::new();
    for (from, to) in [
        ("method", "requestMethod"),
        ("path", "requestUrl"),
        ("status", "status"),
        ("bytes_sent", "responseSize"),
        ("user_agent", "userAgent"),
        ("client", "remoteIp"),
        ("protocol", "protocol"),
    ] {
        if let Some(value) = fields.take(from) {
            // Cloud Logging wants int64 as text, but the status as a number.
            let value = if from == "bytes_sent" { plain(&value).into() } else { visible(value) };
            request.insert(to.into(), value);
        }
    }
    if let Some(seconds) = fields.take("end_seconds").and_then(|value| value.as_f64()) {
        request.insert("latency".into(), format!("{seconds:.6}s").into());
    }
    Value::Object(request)
}

fn labels(fields: &mut Fields) -> Value {
    LABELS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), visible(fields.take(name)?))))
        .collect::<Map<_, _>>()
        .into()
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// JSON escapes the control characters of ASCII itself; the others are escaped here, for whoever prints the value.
fn visible(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().any(is_unsafe) => escaped(&text).into(),
        other => other,
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::Ipv4Addr;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

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
    fn a_message_cannot_forge_a_line() {
        let line = logged(Formatter::Text, || tracing::info!("a\r\nb {}", "\u{7}"));
        assert!(line.ends_with("a\\r\\nb \\u{7}\n"), "{line}");
        let line = logged(Formatter::Json { project: None }, || tracing::info!(key = "x\ny", "a\nb"));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
    }
}
