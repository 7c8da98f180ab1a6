//! The members of a request's entry: there is one for every request, so they are written as they stand in the line.
//!
//! Follows <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest>.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::{decimal, string, trace};
use crate::telemetry::access::{AccessEvent, cut};
use crate::telemetry::format::micros;

/// What stands before a member's value, unless the member is the first of its object.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// Writes all members but those that every event has.
pub(super) fn write(line: &mut String, project: Option<&str>, event: &AccessEvent) {
    request(line, event);
    labels(line, event);
    line.push_str(key!("request_id"));
    word(line, event.request_id.as_str());
    if let Some(of) = &event.trace {
        trace(line, project, of.trace_id());
        if let Some(span) = of.span_id() {
            line.push_str(key!("logging.googleapis.com/spanId"));
            word(line, span);
        }
        line.push_str(key!("logging.googleapis.com/trace_sampled"));
        line.push_str(if of.is_sampled() { "true" } else { "false" });
    }
    if let Some(object) = &event.object {
        line.push_str(key!("object"));
        string(line, cut(object));
    }
    if let Some(generation) = event.generation {
        line.push_str(key!("generation"));
        decimal(line, generation);
    }
    line.push_str(key!("first_byte_seconds"));
    seconds(line, event.to_first_byte);
    line.push_str(key!("message"));
    line.push_str("\"request\"");
}

fn request(line: &mut String, event: &AccessEvent) {
    line.push_str(key!("httpRequest"));
    line.push('{');
    if let Some(client) = event.client {
        line.push_str("\"remoteIp\":\"");
        address(line, client);
        line.push_str("\",");
    }
    line.push_str("\"requestMethod\":");
    word(line, cut(event.method.as_str()));
    line.push_str(key!("requestUrl"));
    string(line, cut(&event.path_without_link()));
    line.push_str(key!("protocol"));
    word(line, event.protocol);
    line.push_str(key!("status"));
    decimal(line, event.status);
    // Cloud Logging wants int64 as text.
    line.push_str(key!("responseSize"));
    line.push('"');
    decimal(line, event.bytes_sent);
    line.push('"');
    // A duration as protocol buffers write it in JSON.
    line.push_str(key!("latency"));
    line.push('"');
    seconds(line, event.to_end);
    line.push_str("s\"");
    if let Some(agent) = &event.user_agent {
        line.push_str(key!("userAgent"));
        string(line, cut(agent));
    }
    line.push('}');
}

/// What Cloud Logging can filter by.
fn labels(line: &mut String, event: &AccessEvent) {
    line.push_str(key!("logging.googleapis.com/labels"));
    line.push('{');
    if let Some(connection) = &event.connection {
        line.push_str("\"connection\":");
        string(line, connection);
        line.push(',');
    }
    line.push_str("\"delivery\":");
    word(line, event.delivery);
    line.push_str(key!("reason"));
    word(line, event.reason);
    line.push_str(key!("cache"));
    word(line, event.cache);
    line.push_str(key!("outcome"));
    word(line, event.outcome.as_str());
    line.push('}');
}

/// A word of our own, or what was parsed as strictly: nothing in it needs to be escaped.
fn word(line: &mut String, word: &str) {
    debug_assert!(super::is_plain(word), "{word:?} is no word");
    line.push('"');
    line.push_str(word);
    line.push('"');
}

/// An address: the usual ones without the formatting machinery.
fn address(line: &mut String, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            let [first, others @ ..] = ip.octets();
            decimal(line, first);
            for octet in others {
                line.push('.');
                decimal(line, octet);
            }
        }
        IpAddr::V6(ip) => {
            // Writing to a string does not fail.
            let _ = write!(line, "{ip}");
        }
    }
}

/// A number of seconds, to the nearest microsecond.
fn seconds(line: &mut String, time: Duration) {
    let time = time.saturating_add(Duration::from_nanos(500));
    decimal(line, time.as_secs());
    line.push('.');
    micros(line, time.subsec_micros());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_written_to_the_microsecond() {
        for (nanos, expected) in [
            (0, "0.000000"),
            (499, "0.000000"),
            (500, "0.000001"),
            (4_000_000, "0.004000"),
            (999_999_700, "1.000000"),
            (61_250_000_000, "61.250000"),
        ] {
            let mut line = String::new();
            seconds(&mut line, Duration::from_nanos(nanos));
            assert_eq!(line, expected);
        }
        seconds(&mut String::new(), Duration::MAX);
    }

    #[test]
    fn addresses_are_written_as_the_library_writes_them() {
        for ip in ["0.0.0.0", "203.0.113.7", "255.255.255.255", "::1", "2001:db8::1"] {
            let mut line = String::new();
            address(&mut line, ip.parse().unwrap());
            assert_eq!(line, ip);
        }
    }
}
