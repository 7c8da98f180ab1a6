//! An event as one JSON object for Google Cloud Logging.
//!
//! Follows <https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields>.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tracing::Level;

use super::{Fields, Origin, Value, escaped, is_unsafe};
use crate::telemetry::TARGET;

/// Fields of an access event that Cloud Logging can filter by as labels.
const LABELS: [&str; 5] = ["connection", "delivery", "reason", "cache", "outcome"];

/// Keys that no field may write a second time.
const OURS: [&str; 5] = ["severity", "time", "httpRequest", "message", "target"];

/// The whole line, its end included.
pub(super) fn line(
    (time, level, target): Origin<'_>,
    fields: &mut Fields,
    project: Option<&str>,
) -> Result<String, fmt::Error> {
    let mut entry = Object { bytes: Vec::with_capacity(1024), is_empty: true };
    entry.bytes.push(b'{');
    entry.text("severity", severity(level));
    entry.text("time", &time.to_string());
    if target == TARGET {
        entry.open("httpRequest");
        http_request(&mut entry, fields);
        entry.close();
        entry.open("logging.googleapis.com/labels");
        for name in LABELS {
            if let Some(value) = fields.take(name) {
                entry.value(name, &value, fields);
            }
        }
        entry.close();
    }
    trace(&mut entry, fields, project);
    entry.text("message", fields.text(&fields.message));
    entry.text("target", target);
    for (name, value) in &fields.values {
        if !matches!(value, Value::Taken) && !OURS.contains(name) {
            entry.value(name, value, fields);
        }
    }
    entry.close();
    entry.bytes.push(b'\n');
    String::from_utf8(entry.bytes).map_err(|_| fmt::Error)
}

fn http_request(request: &mut Object, fields: &mut Fields) {
    for (from, to) in [
        ("method", "requestMethod"),
        ("path", "requestUrl"),
        ("status", "status"),
        ("user_agent", "userAgent"),
        ("client", "remoteIp"),
        ("protocol", "protocol"),
    ] {
        if let Some(value) = fields.take(from) {
            request.value(to, &value, fields);
        }
    }
    // Cloud Logging wants int64 as text, but the status as a number.
    if let Some(Value::Unsigned(bytes)) = fields.take("bytes_sent") {
        request.text("responseSize", &bytes.to_string());
    }
    if let Some(Value::Float(seconds)) = fields.take("end_seconds") {
        let latency = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        request.text("latency", &format!("{}.{:06}s", latency.as_secs(), latency.subsec_micros()));
    }
}

fn trace(entry: &mut Object, fields: &mut Fields, project: Option<&str>) {
    if let Some(Value::Text(range)) = fields.take("trace") {
        let trace = fields.text(&range);
        let name = "logging.googleapis.com/trace";
        match project {
            Some(project) => entry.text(name, &format!("projects/{project}/traces/{trace}")),
            None => entry.text(name, trace),
        }
    }
    if let Some(span) = fields.take("span") {
        entry.value("logging.googleapis.com/spanId", &span, fields);
    }
    if let Some(sampled) = fields.take("sampled") {
        entry.value("logging.googleapis.com/trace_sampled", &sampled, fields);
    }
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

/// Whether a byte stands for itself, in JSON and on a terminal.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')
}

/// A JSON object that is written key by key.
struct Object {
    bytes: Vec<u8>,
    is_empty: bool,
}

impl Object {
    fn key(&mut self, name: &'static str) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.bytes.push(b',');
        }
        self.bytes.push(b'"');
        // Written in this source, or an identifier.
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    fn json(&mut self, value: impl Serialize) {
        // Numbers and texts are always JSON, and writing to a vector does not fail.
        let _ = serde_json::to_writer(&mut self.bytes, &value);
    }

    fn put(&mut self, name: &'static str, value: impl Serialize) {
        self.key(name);
        self.json(value);
    }

    /// JSON escapes the control characters of ASCII itself; the others are escaped here, for whoever prints the value.
    fn text(&mut self, name: &'static str, value: &str) {
        // All bytes, without a look back: the compiler takes sixteen at a time.
        if value.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            self.key(name);
            self.bytes.push(b'"');
            self.bytes.extend_from_slice(value.as_bytes());
            self.bytes.push(b'"');
        } else if value.chars().any(is_unsafe) {
            self.put(name, escaped(value));
        } else {
            self.put(name, value);
        }
    }

    fn value(&mut self, name: &'static str, value: &Value, fields: &Fields) {
        match value {
            Value::Text(range) => self.text(name, fields.text(range)),
            Value::Float(number) => self.put(name, number),
            Value::Unsigned(number) => self.put(name, number),
            Value::Signed(number) => self.put(name, number),
            Value::Bool(value) => self.put(name, value),
            Value::Taken => {}
        }
    }

    fn open(&mut self, name: &'static str) {
        self.key(name);
        self.bytes.push(b'{');
        self.is_empty = true;
    }

    fn close(&mut self) {
        self.bytes.push(b'}');
        self.is_empty = false;
    }
}
