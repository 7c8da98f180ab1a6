//! One line: plain data that the gateway fills in, and the names under which it is written.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::Serialize;

/// One media request and its answer.
#[derive(Clone, Debug)]
pub struct Record {
    /// When the request came.
    pub time: SystemTime,
    /// The same as in the access log and in the answer's `X-Request-Id`.
    pub request_id: String,
    /// Who, as a link or a token says.
    pub subject: Option<String>,
    /// The link that let them in.
    pub link: Option<String>,
    /// Where from, behind trusted proxies.
    pub client: Option<IpAddr>,
    /// The method as sent.
    pub method: String,
    /// The connection asked for, if there is one of that name; they may have been refused.
    pub connection: Option<String>,
    /// The object's name in the bucket, once it is known and belongs to the connection.
    pub object: Option<String>,
    /// The generation delivered.
    pub generation: Option<u64>,
    /// The `Content-Range` of the answer.
    pub range: Option<String>,
    /// The status sent.
    pub status: u16,
    /// Bytes of body handed to the client's connection.
    pub bytes_sent: u64,
    /// `proxy`, `signed-url` or `none`.
    pub delivery: &'static str,
    /// Why it was delivered or refused like this.
    pub reason: &'static str,
    /// `complete`, `aborted` or `client-gone`.
    pub outcome: &'static str,
    /// From the request's head to the end.
    pub took: Duration,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    subject: Option<&'a str>,
    link: Option<&'a str>,
    client: Option<IpAddr>,
    method: &'a str,
    connection: Option<&'a str>,
    object: Option<&'a str>,
    generation: Option<String>,
    range: Option<&'a str>,
    status: u16,
    bytes_sent: u64,
    delivery: &'a str,
    reason: &'a str,
    outcome: &'a str,
    seconds: f64,
}

impl Record {
    /// Appends the line with its end. Every field is always there, `null` where nothing is known.
    pub(super) fn write(&self, buffer: &mut Vec<u8>) {
        let line = Line {
            time: humantime::format_rfc3339_millis(self.time).to_string(),
            request_id: &self.request_id,
            subject: self.subject.as_deref(),
            link: self.link.as_deref(),
            client: self.client,
            method: &self.method,
            connection: self.connection.as_deref(),
            object: self.object.as_deref(),
            // As text: JSON's readers may take numbers for floating point, and generations have more than 53 bits.
            generation: self.generation.map(|generation| generation.to_string()),
            range: self.range.as_deref(),
            status: self.status,
            bytes_sent: self.bytes_sent,
            delivery: self.delivery,
            reason: self.reason,
            outcome: self.outcome,
            seconds: self.took.as_secs_f64(),
        };
        let start = buffer.len();
        if serde_json::to_writer(&mut *buffer, &line).is_err() {
            buffer.truncate(start);
            return;
        }
        buffer.push(b'\n');
    }
}
