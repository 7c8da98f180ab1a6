//! The access log: one event for each request, whatever became of it.
//!
//! The event is plain data that the gateway fills in; this file decides the names under which it is logged.
//! Long values from clients are cut, and a path loses its query and its first `~` segment, either of which may be a link.
//! Follows <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest>.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::{RequestId, Trace};

/// The tracing target of access events.
pub const TARGET: &str = "gsgate::access";

/// Bytes of a client's value that are logged; the longest GCS name fits, percent-encoded.
const LONGEST_VALUE: usize = 4096;

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Whole and correct.
    Complete,
    /// Broken off by us, visibly, since GCS failed beyond healing.
    Aborted,
    /// The client left before the end.
    ClientGone,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct AccessEvent {
    /// Accepted or made.
    pub request_id: RequestId,
    /// From the load balancer, if it traces.
    pub trace: Option<Trace>,
    /// Who asked, behind trusted proxies.
    pub client: Option<IpAddr>,
    /// The method as sent.
    pub method: String,
    /// The path as sent; a query is cut off, a link blacked out.
    pub path: String,
    /// `HTTP/1.1` or the like.
    pub protocol: &'static str,
    /// The status sent.
    pub status: u16,
    /// The connection, if the request reached one.
    pub connection: Option<Arc<str>>,
    /// The object's name in the bucket.
    pub object: Option<String>,
    /// The generation delivered.
    pub generation: Option<u64>,
    /// `proxy`, `signed-url` or `none`.
    pub delivery: &'static str,
    /// Why it was delivered or refused like this.
    pub reason: &'static str,
    /// `hit`, `miss`, `stale`, `revalidated` or `none`.
    pub cache: &'static str,
    /// Bytes of body handed to the client's connection.
    pub bytes_sent: u64,
    /// From the request's head to the answer's head.
    pub to_first_byte: Duration,
    /// From the request's head to the end.
    pub to_end: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The client's own name for itself.
    pub user_agent: Option<String>,
}

/// `tracing`'s macros want the level as a constant.
macro_rules! event {
    ($level:ident, $event:expr) => {
        tracing::$level!(
            target: TARGET,
            request_id = $event.request_id.as_str(),
            trace = $event.trace.as_ref().map(Trace::trace_id),
            span = $event.trace.as_ref().and_then(Trace::span_id),
            sampled = $event.trace.as_ref().map(Trace::is_sampled),
            client = $event.client.map(address).as_deref(),
            method = cut(&$event.method),
            path = cut(&without_link(&$event.path)),
            protocol = $event.protocol,
            status = $event.status,
            connection = $event.connection.as_deref(),
            object = $event.object.as_deref().map(cut),
            generation = $event.generation,
            delivery = $event.delivery,
            reason = $event.reason,
            cache = $event.cache,
            bytes_sent = $event.bytes_sent,
            first_byte_seconds = $event.to_first_byte.as_secs_f64(),
            end_seconds = $event.to_end.as_secs_f64(),
            outcome = $event.outcome.as_str(),
            user_agent = $event.user_agent.as_deref().map(cut),
            message = "request",
        )
    };
}

impl AccessEvent {
    /// Logs it: as a warning where we failed, else as information.
    pub fn emit(&self) {
        if self.status >= 500 || self.outcome == Outcome::Aborted {
            event!(warn, self);
        } else {
            event!(info, self);
        }
    }
}

impl Outcome {
    /// The word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Aborted => "aborted",
            Self::ClientGone => "client-gone",
        }
    }
}

/// The path without its query; of a segment that begins with `~`, as a link does, only that is left.
///
/// A link stands in the first segment, but URLs are joined badly, and proxies put segments in front.
fn without_link(path: &str) -> Cow<'_, str> {
    let end = path.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    let path = end.map_or(path, |end| &path[..end]);
    let may_be_marked = path.bytes().any(|byte| matches!(byte, b'~' | b'%'));
    if !may_be_marked || !path.split('/').any(|segment| mark(segment).is_some()) {
        return Cow::Borrowed(path);
    }
    let segments: Vec<_> = path
        .split('/')
        .map(|segment| mark(segment).map_or(Cow::Borrowed(segment), |mark| Cow::Owned(format!("{mark}\u{2026}"))))
        .collect();
    Cow::Owned(segments.join("/"))
}

/// What a link's segment begins with.
fn mark(segment: &str) -> Option<&'static str> {
    ["~", "%7E", "%7e"].into_iter().find(|mark| segment.starts_with(mark))
}

/// An address as text: the usual ones without the formatting machinery.
fn address(ip: IpAddr) -> String {
    let IpAddr::V4(ip) = ip else { return ip.to_string() };
    let mut text = String::with_capacity(15);
    for octet in ip.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(LONGEST_VALUE)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_query_nor_a_link_is_left_of_a_path() {
        for (path, logged) in [
            ("/street/a.jpg", "/street/a.jpg"),
            ("/street/a.jpg?sig=secret", "/street/a.jpg"),
            ("/~secret/street/a.jpg", "/~…/street/a.jpg"),
            ("/~secret", "/~…"),
            ("/media/~secret/street/a.jpg", "/media/~…/street/a.jpg"),
            ("/street/%7Esecret", "/street/%7E…"),
            ("/%7Esecret/street/a?sig=secret", "/%7E…/street/a"),
            ("//~secret/street/a", "//~…/street/a"),
            ("/street/~home/a", "/street/~…/a"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(without_link(path), logged, "{path}");
        }
    }
}
