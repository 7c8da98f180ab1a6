//! The access log: one event for each request, whatever became of it.
//!
//! The event is plain data that the gateway fills in; this file decides the names under which it is logged.
//! Long values from clients are cut, and a path loses its query and its first `~` segment, either of which may be a link.
//! Follows <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest>.

use std::borrow::Cow;
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::telemetry::scan::has_one_of;
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
    pub method: Method,
    /// The path as sent; a query is cut off, a link blacked out.
    pub path: String,
    /// `HTTP/1.1` or the like.
    pub protocol: &'static str,
    /// The status sent.
    pub status: u16,
    /// The connection, if the request reached one.
    pub connection: Option<Arc<str>>,
    /// The object's name in the bucket.
    pub object: Option<Arc<str>>,
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

impl AccessEvent {
    /// Logs it: as a warning where we failed, else as information.
    pub fn emit(&self) {
        // An error is the one kind of value that a subscriber can look into: ours writes the event from its own parts,
        // which is much cheaper than visiting a field for each of them.
        let access: &(dyn Error + 'static) = self;
        if self.status >= 500 || self.outcome == Outcome::Aborted {
            tracing::warn!(target: TARGET, access);
        } else {
            tracing::info!(target: TARGET, access);
        }
    }

    /// The path as it may be logged.
    pub(super) fn path_without_link(&self) -> Cow<'_, str> {
        without_link(&self.path)
    }
}

/// So that it can travel through `tracing` as it is.
impl Error for AccessEvent {}

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
    if !has_one_of([b'?', b'#', b'~', b'%'], path) {
        return Cow::Borrowed(path);
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if !path.split('/').any(|segment| mark(segment).is_some()) {
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

/// What is logged of a client's value.
pub(super) fn cut(value: &str) -> &str {
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

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = "é".repeat(LONGEST_VALUE);
        assert_eq!(cut(&long).len(), LONGEST_VALUE);
        assert_eq!(cut(&long[..LONGEST_VALUE - 2]).len(), LONGEST_VALUE - 2);
        assert_eq!(cut(&["x", &long].concat()).len(), LONGEST_VALUE - 1);
    }
}
