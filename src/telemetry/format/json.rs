//! An event as one JSON object for Google Cloud Logging.
//!
//! Each field is written once, where it belongs, as it is visited: there is such a line for every request.
//! Follows <https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields>.

use std::fmt::{self, Write};

use tracing::Level;
use tracing::field::{Field, Visit};

use super::{Origin, escaped, is_unsafe};
use crate::telemetry::{Causes, TARGET};

/// The parts of a line, each without its braces.
pub(super) struct Entry<'a> {
    project: Option<&'a str>,
    is_access: bool,
    /// `httpRequest` of an access event.
    request: String,
    /// What Cloud Logging can filter by.
    labels: String,
    /// All other fields.
    rest: String,
}

/// Where a field stands, and under which key.
enum Place {
    Request(&'static str),
    Label(&'static str),
    Rest(&'static str),
    /// The name of a trace, which a project completes.
    Trace,
    /// Cloud Logging wants int64 as text here.
    Size,
    /// A duration as protocol buffers write it in JSON.
    Latency,
    /// A key that is written already.
    Nowhere,
}

impl<'a> Entry<'a> {
    pub(super) fn new(target: &str, project: Option<&'a str>) -> Self {
        let is_access = target == TARGET;
        let capacity = |part| if is_access { part } else { 0 };
        Self {
            project,
            is_access,
            request: String::with_capacity(capacity(384)),
            labels: String::with_capacity(capacity(160)),
            rest: String::with_capacity(384),
        }
    }

    /// Writes the whole line, its end included.
    pub(super) fn write(mut self, line: &mut dyn Write, (time, level, target): Origin<'_>) -> fmt::Result {
        line.write_str("{\"severity\":\"")?;
        line.write_str(severity(level))?;
        write!(line, "\",\"time\":\"{time}\",")?;
        if self.is_access {
            line.write_str("\"httpRequest\":{")?;
            line.write_str(&self.request)?;
            line.write_str("},\"logging.googleapis.com/labels\":{")?;
            line.write_str(&self.labels)?;
            line.write_str("},")?;
        }
        text(&mut self.rest, "target", target);
        line.write_str(&self.rest)?;
        line.write_str("}\n")
    }

    fn place(&self, name: &'static str) -> Place {
        match name {
            "severity" | "time" | "httpRequest" | "target" => Place::Nowhere,
            "trace" => Place::Trace,
            "span" => Place::Rest("logging.googleapis.com/spanId"),
            "sampled" => Place::Rest("logging.googleapis.com/trace_sampled"),
            name if !self.is_access => Place::Rest(name),
            "method" => Place::Request("requestMethod"),
            "path" => Place::Request("requestUrl"),
            "user_agent" => Place::Request("userAgent"),
            "client" => Place::Request("remoteIp"),
            "status" | "protocol" => Place::Request(name),
            "bytes_sent" => Place::Size,
            "end_seconds" => Place::Latency,
            "connection" | "delivery" | "reason" | "cache" | "outcome" => Place::Label(name),
            name => Place::Rest(name),
        }
    }

    fn text(&mut self, name: &'static str, value: &str) {
        match self.place(name) {
            Place::Request(key) => text(&mut self.request, key, value),
            Place::Label(key) => text(&mut self.labels, key, value),
            Place::Trace => {
                let project = self.project.map(|project| format!("projects/{project}/traces/{value}"));
                text(&mut self.rest, "logging.googleapis.com/trace", project.as_deref().unwrap_or(value));
            }
            Place::Rest(key) => text(&mut self.rest, key, value),
            Place::Size | Place::Latency => text(&mut self.rest, name, value),
            Place::Nowhere => {}
        }
    }

    /// Where a value goes that needs no quotes; its key is written.
    fn bare(&mut self, name: &'static str) -> Option<&mut String> {
        let (part, key) = match self.place(name) {
            Place::Request(key) => (&mut self.request, key),
            Place::Label(key) => (&mut self.labels, key),
            Place::Rest(key) => (&mut self.rest, key),
            Place::Trace | Place::Size | Place::Latency => (&mut self.rest, name),
            Place::Nowhere => return None,
        };
        begin(part, key);
        Some(part)
    }
}

impl Visit for Entry<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if matches!(self.place(field.name()), Place::Size) {
            text(&mut self.request, "responseSize", itoa::Buffer::new().format(value));
        } else if let Some(part) = self.bare(field.name()) {
            decimal(part, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if let Some(part) = self.bare(field.name()) {
            decimal(part, value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if matches!(self.place(field.name()), Place::Latency) {
            begin(&mut self.request, "latency");
            self.request.push('"');
            seconds(&mut self.request, value);
            self.request.push_str("s\"");
            return;
        }
        let is_access = self.is_access;
        let Some(part) = self.bare(field.name()) else { return };
        if is_access {
            seconds(part, value);
        } else if value.is_finite() {
            // Writing to a string does not fail.
            let _ = write!(part, "{value}");
        } else {
            part.push_str("null");
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if let Some(part) = self.bare(field.name()) {
            part.push_str(if value { "true" } else { "false" });
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field.name(), &Causes(value).to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
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

/// Begins a value: its key is written in this source, or an identifier.
fn begin(part: &mut String, key: &'static str) {
    part.push_str(if part.is_empty() { "\"" } else { ",\"" });
    part.push_str(key);
    part.push_str("\":");
}

/// JSON escapes the control characters of ASCII itself; the others are escaped here, for whoever prints the value.
fn text(part: &mut String, key: &'static str, value: &str) {
    begin(part, key);
    // All bytes, without a look back: the compiler takes sixteen at a time.
    if value.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        part.push('"');
        part.push_str(value);
        part.push('"');
    } else if value.chars().any(is_unsafe) {
        quoted(part, &escaped(value));
    } else {
        quoted(part, value);
    }
}

fn quoted(part: &mut String, value: &str) {
    part.push_str(&serde_json::to_string(value).expect("every text can be written as JSON"));
}

/// Whether a byte stands for itself, in JSON and on a terminal.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')
}

/// A number of seconds to the microsecond; none where there is no such number.
fn seconds(part: &mut String, value: f64) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it ends at the bounds of u64")]
    let micros = (value * 1e6).round() as u64;
    decimal(part, micros / 1_000_000);
    let mut buffer = itoa::Buffer::new();
    // The first digit only keeps the zeros.
    let fraction = buffer.format(1_000_000 + micros % 1_000_000);
    part.push('.');
    part.push_str(fraction.get(1..).unwrap_or_default());
}

fn decimal(part: &mut String, number: impl itoa::Integer) {
    part.push_str(itoa::Buffer::new().format(number));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_written_to_the_microsecond() {
        for (value, expected) in [
            (0.0, "0.000000"),
            (0.004, "0.004000"),
            (0.999_999_7, "1.000000"),
            (61.25, "61.250000"),
            (-1.0, "0.000000"),
            (f64::NAN, "0.000000"),
        ] {
            let mut part = String::new();
            seconds(&mut part, value);
            assert_eq!(part, expected);
        }
    }
}
