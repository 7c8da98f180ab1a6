//! An event as one JSON object for Google Cloud Logging.
//!
//! Each field is written once, where it belongs, as it is visited.
//! Follows <https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields>.

mod access;

use std::error::Error;
use std::fmt::{self, Write};
use std::time::SystemTime;

use tracing::Level;
use tracing::field::{Field, Visit};

use super::{clock, escaped, is_unsafe};
use crate::telemetry::Causes;
use crate::telemetry::scan::is_plain;

/// Holds the line of a usual request.
const USUAL_LENGTH: usize = 1024;

/// A line in the making.
pub(super) struct Entry<'a> {
    project: Option<&'a str>,
    line: String,
}

impl<'a> Entry<'a> {
    pub(super) fn begin(level: Level, time: SystemTime, project: Option<&'a str>) -> Self {
        let mut line = String::with_capacity(USUAL_LENGTH);
        line.push_str("{\"severity\":\"");
        line.push_str(severity(level));
        line.push_str("\",\"time\":\"");
        clock::write(&mut line, time);
        line.push('"');
        Self { project, line }
    }

    /// The whole line, its end included.
    pub(super) fn end(mut self, target: &str) -> String {
        begin(&mut self.line, "target");
        string(&mut self.line, target);
        self.line.push_str("}\n");
        self.line
    }

    fn text(&mut self, name: &'static str, value: &str) {
        if name == "trace" {
            trace(&mut self.line, self.project, value);
        } else if let Some(line) = self.bare(name) {
            string(line, value);
        }
    }

    /// Where a value goes that needs no quotes; its key is written.
    fn bare(&mut self, name: &'static str) -> Option<&mut String> {
        let key = match name {
            "severity" | "time" | "httpRequest" | "target" => return None,
            "span" => "logging.googleapis.com/spanId",
            "sampled" => "logging.googleapis.com/trace_sampled",
            name => name,
        };
        begin(&mut self.line, key);
        Some(&mut self.line)
    }
}

impl Visit for Entry<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if let Some(line) = self.bare(field.name()) {
            decimal(line, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if let Some(line) = self.bare(field.name()) {
            decimal(line, value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let Some(line) = self.bare(field.name()) else { return };
        if value.is_finite() {
            // Writing to a string does not fail.
            let _ = write!(line, "{value}");
        } else {
            line.push_str("null");
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if let Some(line) = self.bare(field.name()) {
            line.push_str(if value { "true" } else { "false" });
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        match value.downcast_ref() {
            Some(event) => access::write(&mut self.line, self.project, event),
            None => self.text(field.name(), &Causes(value).to_string()),
        }
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

/// Begins a member: its key is written in this source, or an identifier.
fn begin(line: &mut String, key: &'static str) {
    line.push_str(",\"");
    line.push_str(key);
    line.push_str("\":");
}

/// Writes the name of a trace, which a project completes.
fn trace(line: &mut String, project: Option<&str>, id: &str) {
    begin(line, "logging.googleapis.com/trace");
    match project {
        Some(project) => string(line, &["projects/", project, "/traces/", id].concat()),
        None => string(line, id),
    }
}

/// JSON escapes the control characters of ASCII itself; the others are escaped here, for whoever prints the value.
fn string(line: &mut String, value: &str) {
    if is_plain(value) {
        line.push('"');
        line.push_str(value);
        line.push('"');
    } else if value.chars().any(is_unsafe) {
        quoted(line, &escaped(value));
    } else {
        quoted(line, value);
    }
}

fn quoted(line: &mut String, value: &str) {
    line.push_str(&serde_json::to_string(value).expect("every text can be written as JSON"));
}

fn decimal(line: &mut String, number: impl itoa::Integer) {
    line.push_str(itoa::Buffer::new().format(number));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_escaped_for_json_and_for_terminals(value in "[ -~]{0,40}|\\PC{0,40}|(?s).{0,40}") {
            let mut line = String::new();
            string(&mut line, &value);
            let read: String = serde_json::from_str(&line).unwrap();
            let shown = if value.chars().any(is_unsafe) { escaped(&value) } else { value };
            prop_assert_eq!(&read, &shown);
            prop_assert_eq!(line, serde_json::to_string(&shown).unwrap());
            prop_assert!(!read.chars().any(is_unsafe));
        }
    }
}
