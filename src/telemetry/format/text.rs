//! An event as a line of text for people: `time LEVEL target: message key=value …`

use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};

use super::escaped;
use crate::telemetry::access::{AccessEvent, cut};
use crate::telemetry::{Causes, Trace};

/// The fields of one event, in their order.
#[derive(Default)]
pub(super) struct Fields {
    message: String,
    values: Vec<(&'static str, Value)>,
}

enum Value {
    Text(String),
    /// A number or a boolean.
    Bare(String),
}

impl Fields {
    fn bare(&mut self, name: &'static str, value: impl fmt::Display) {
        self.values.push((name, Value::Bare(value.to_string())));
    }

    fn text(&mut self, name: &'static str, value: impl Into<String>) {
        match name {
            "message" => self.message = value.into(),
            name => self.values.push((name, Value::Text(value.into()))),
        }
    }

    fn text_if_any(&mut self, name: &'static str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    fn bare_if_any(&mut self, name: &'static str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.bare(name, value);
        }
    }

    fn access(&mut self, event: &AccessEvent) {
        let trace = event.trace.as_ref();
        self.text("message", "request");
        self.text("request_id", event.request_id.as_str());
        self.text_if_any("trace", trace.map(Trace::trace_id));
        self.text_if_any("span", trace.and_then(Trace::span_id));
        self.bare_if_any("sampled", trace.map(Trace::is_sampled));
        self.text_if_any("client", event.client.map(|client| client.to_string()));
        self.text("method", cut(event.method.as_str()));
        self.text("path", cut(&event.path_without_link()));
        self.text("protocol", event.protocol);
        self.bare("status", event.status);
        self.text_if_any("connection", event.connection.as_deref());
        self.text_if_any("object", event.object.as_deref().map(cut));
        self.bare_if_any("generation", event.generation);
        self.text("delivery", event.delivery);
        self.text("reason", event.reason);
        self.text("cache", event.cache);
        self.bare("bytes_sent", event.bytes_sent);
        self.bare("first_byte_seconds", event.to_first_byte.as_secs_f64());
        self.bare("end_seconds", event.to_end.as_secs_f64());
        self.text("outcome", event.outcome.as_str());
        self.text_if_any("user_agent", event.user_agent.as_deref().map(cut));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.bare(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        match value.downcast_ref() {
            Some(event) => self.access(event),
            None => self.text(field.name(), Causes(value).to_string()),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), format!("{value:?}"));
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.message))?;
        for (name, value) in &self.values {
            write!(f, " {name}=")?;
            match value {
                Value::Bare(value) => f.write_str(value)?,
                Value::Text(value) => {
                    let bare =
                        !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\');
                    if bare { f.write_str(value)? } else { write!(f, "\"{}\"", escaped(value))? }
                }
            }
        }
        Ok(())
    }
}

/// As a subscriber shows it that does not know what it is.
impl fmt::Display for AccessEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        fields.access(self);
        fields.fmt(f)
    }
}
