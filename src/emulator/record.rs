//! What the emulator saw: one bounded list of requests, and counters.
//!
//! Records never hold a token or a signature: of a credential only its kind and whom it stands for.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};

use super::state::locked;

/// How many requests are remembered.
const CAPACITY: usize = 20_000;

/// The kinds of request that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// JSON API, an object's bytes.
    Media,
    /// JSON API, an object's metadata.
    Metadata,
    /// JSON API, a bucket's listing.
    List,
    /// JSON API, a bucket.
    Bucket,
    /// JSON API, `testIamPermissions`.
    TestPermissions,
    /// JSON API, an upload.
    Upload,
    /// Deletion of an object.
    Delete,
    /// XML API, an object's bytes.
    XmlGet,
    /// XML API, HEAD of an object.
    XmlHead,
    /// A CORS preflight.
    Preflight,
    /// OAuth token endpoint.
    Token,
    /// Security Token Service.
    Sts,
    /// IAM `generateAccessToken`.
    GenerateAccessToken,
    /// IAM `signBlob`.
    SignBlob,
    /// Metadata server.
    MetadataServer,
    /// Imitation of AWS's metadata server.
    Aws,
    /// The URL source of subject tokens.
    SubjectToken,
    /// Anything else.
    Other,
}

const OPERATIONS: usize = Operation::Other as usize + 1;

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not all of it has been handed to the connection yet.
    Pending,
    /// All of it was handed to the connection.
    Complete,
    /// The client went away, or a fault broke the connection.
    Broken,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// The raw path and query; a signature in it is blanked.
    pub target: String,
    /// The headers, without `Authorization`.
    pub headers: HeaderMap,
    /// Kind of credential and whom it stands for: `jwt:a@b`, `token:a@b`, `signed:a@b`, `anonymous`, `invalid`.
    pub credential: String,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The kind of request.
    pub operation: Operation,
    /// The object's name, decoded.
    pub object: Option<String>,
    /// The answer's status; 0 while there is none.
    pub status: u16,
    /// Bytes of the body handed to the connection.
    pub sent: u64,
    /// What became of the answer.
    pub outcome: Outcome,
}

/// One request while it is being answered. Dropped early, it counts as broken.
#[derive(Debug)]
pub(super) struct Ticket {
    entry: Arc<Entry>,
    journal: Arc<Journal>,
}

#[derive(Debug)]
struct Entry {
    request: Recorded,
    credential: Mutex<Option<String>>,
    status: AtomicU64,
    sent: AtomicU64,
    outcome: AtomicU8,
}

/// All that was seen.
#[derive(Debug)]
pub(super) struct Journal {
    entries: Mutex<VecDeque<Arc<Entry>>>,
    counts: [AtomicU64; OPERATIONS],
    bytes: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) open: AtomicU64,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            counts: [const { AtomicU64::new(0) }; OPERATIONS],
            bytes: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
        }
    }
}

impl Journal {
    /// Notes a request.
    pub(super) fn begin(
        self: &Arc<Self>,
        head: &http::request::Parts,
        peer: SocketAddr,
        operation: Operation,
        object: Option<&str>,
    ) -> Ticket {
        let mut headers = head.headers.clone();
        headers.remove(AUTHORIZATION);
        let request = Recorded {
            method: head.method.clone(),
            target: blank(head.uri.path_and_query().map_or("", |target| target.as_str())),
            headers,
            credential: String::new(),
            peer,
            operation,
            object: object.map(str::to_owned),
            status: 0,
            sent: 0,
            outcome: Outcome::Pending,
        };
        let entry = Arc::new(Entry {
            request,
            credential: Mutex::default(),
            status: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            outcome: AtomicU8::new(0),
        });
        self.counts[operation as usize].fetch_add(1, Ordering::Relaxed);
        let mut entries = locked(&self.entries);
        if entries.len() == CAPACITY {
            entries.pop_front();
        }
        entries.push_back(Arc::clone(&entry));
        drop(entries);
        Ticket { entry, journal: Arc::clone(self) }
    }

    /// The requests so far, oldest first.
    pub(super) fn requests(&self) -> Vec<Recorded> {
        locked(&self.entries).iter().map(|entry| entry.recorded()).collect()
    }

    /// How many requests of a kind.
    pub(super) fn count(&self, operation: Operation) -> u64 {
        self.counts[operation as usize].load(Ordering::Relaxed)
    }

    /// Bytes of bodies handed to connections.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Forgets the requests and sets the counters to zero; open connections stay counted.
    pub(super) fn clear(&self) {
        locked(&self.entries).clear();
        self.counts.iter().chain([&self.bytes, &self.connections]).for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

impl Entry {
    fn recorded(&self) -> Recorded {
        let mut recorded = self.request.clone();
        recorded.credential = locked(&self.credential).clone().unwrap_or_else(|| "anonymous".to_owned());
        recorded.status = u16::try_from(self.status.load(Ordering::Relaxed)).unwrap_or(0);
        recorded.sent = self.sent.load(Ordering::Relaxed);
        recorded.outcome = match self.outcome.load(Ordering::Acquire) {
            0 => Outcome::Pending,
            1 => Outcome::Complete,
            _ => Outcome::Broken,
        };
        recorded
    }
}

impl Ticket {
    /// Notes whose credential came.
    pub(super) fn credential(&self, text: String) {
        *locked(&self.entry.credential) = Some(text);
    }

    /// Notes the status.
    pub(super) fn status(&self, status: u16) {
        self.entry.status.store(status.into(), Ordering::Relaxed);
    }

    /// Notes bytes of the body.
    pub(super) fn sent(&self, bytes: u64) {
        self.entry.sent.fetch_add(bytes, Ordering::Relaxed);
        self.journal.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes the end of the body.
    pub(super) fn complete(&self) {
        self.entry.outcome.store(1, Ordering::Release);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Only from pending: what is complete stays so.
        let _ = self.entry.outcome.compare_exchange(0, 2, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Blanks the signature in a target.
fn blank(target: &str) -> String {
    let Some(start) = target.to_ascii_lowercase().find("x-goog-signature=") else { return target.to_owned() };
    let value = start + "x-goog-signature=".len();
    let end = target[value..].find('&').map_or(target.len(), |length| value + length);
    format!("{}…{}", &target[..value], &target[end..])
}
