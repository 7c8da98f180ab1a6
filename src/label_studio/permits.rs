//! Whether a user may have an object: Label Studio is asked, and believed for some seconds.
//!
//! It is asked what the task holds, in the user's own name: who may not see the task gets no answer, and what the task
//! does not name is not given. What it said is kept by a hash of the user's credential, never by the credential.
//! What Label Studio tells the user of a task by itself counts as well, see `told`; it is only asked for what that leaves out.
//! A credential that Label Studio has handed out in an answer may what the one may that it was handed out to: whoever
//! holds the one was told the other. Never the other way round, since a login hands one out to nobody in particular.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, StatusCode, response};
use moka::future::Cache;
use moka::sync;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::credential::Credential;
use super::forward::{self, Arrival};
use super::named;
use super::resolve::{Ask, Holder};
use super::told;
use super::upstream::{Upstream, UpstreamError};

/// Longest description of a task, annotations included, that is read.
const LONGEST_TASK: usize = 64 * 1024 * 1024;
/// Bytes of remembered URIs.
const REMEMBERED: u64 = 64 * 1024 * 1024;
/// What one entry takes besides its URIs.
const OVERHEAD: usize = 256;
/// What a name takes besides its letters.
const NAME: usize = 64;
/// Credentials that are known to have been handed out.
const HANDED_OUT: u64 = 20_000;
/// Answers that are listened to at once.
const EARS: usize = 64;
/// So many were handed out one after another, at most, since Label Studio was asked.
const OLDER: usize = 8;

/// What Label Studio said about a user and a task.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// The user may see it, and it names these.
    Names(Arc<HashSet<String>>),
    /// The user may not, or it does not exist.
    Refused,
}

/// Asks, and remembers the answers.
#[derive(Clone, Debug)]
pub(super) struct Permits {
    known: Cache<Key, Arc<HashSet<String>>>,
    /// What it has told by itself; not everything, perhaps.
    told: sync::Cache<Key, Arc<HashSet<String>>>,
    /// Of credentials that Label Studio has handed out, to which they were.
    handed_out: Cache<Credential, Credential>,
    ears: Arc<Semaphore>,
}

/// A user's credential, hashed, and what was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    credential: Credential,
    holder: Holder,
}

/// What is of interest of a task or a project.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    label_config: Value,
    #[serde(default)]
    expert_instruction: Value,
}

/// Why nothing was said.
#[derive(Debug)]
enum Silent {
    Refused,
    Away(Arc<UpstreamError>),
}

impl Permits {
    pub(super) fn new(ttl: Duration) -> Self {
        let weigh = |_: &Key, names: &Arc<HashSet<String>>| {
            let bytes = names.iter().map(|name| name.len() + NAME).sum::<usize>() + OVERHEAD;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self {
            known: Cache::builder().max_capacity(REMEMBERED).weigher(weigh).time_to_live(ttl).build(),
            told: sync::Cache::builder().max_capacity(REMEMBERED).weigher(weigh).time_to_live(ttl).build(),
            handed_out: Cache::builder().max_capacity(HANDED_OUT).time_to_live(ttl).build(),
            ears: Arc::new(Semaphore::new(EARS)),
        }
    }

    /// Takes down what an answer of Label Studio hands out to whoever sent `request`.
    pub(super) async fn answered(&self, request: &HeaderMap, answer: &HeaderMap) {
        if let Some(next) = Credential::after(request, answer) {
            self.handed_out.insert(next, Credential::of(request)).await;
        }
    }

    /// An ear for an answer that tells of tasks.
    pub(super) fn listen(&self, request: &Parts, answer: &response::Parts) -> Option<Ear> {
        if !told::is_asked_for(request) || !told::is_readable(answer) {
            return None;
        }
        let place = Arc::clone(&self.ears).try_acquire_owned().ok()?;
        let credential = Credential::of(&request.headers);
        Some(Ear { heard: Vec::new(), credential, told: self.told.clone(), _place: place })
    }

    /// What Label Studio says about the user who sent `head`. Several who ask at once are one question.
    pub(super) async fn ask(
        &self,
        upstream: &Upstream,
        (head, arrival): (&Parts, Arrival),
        ask: &Ask,
    ) -> Result<Said, Arc<UpstreamError>> {
        let credential = Credential::of(&head.headers);
        if let Some(names) = self.known_already(credential, ask).await {
            return Ok(Said::Names(names));
        }
        let holder = ask.holder;
        let said =
            self.known.try_get_with(Key { credential, holder }, question(upstream, (head, arrival), holder)).await;
        match said {
            Ok(names) => Ok(Said::Names(names)),
            Err(silent) => match &*silent {
                Silent::Refused => Ok(Said::Refused),
                Silent::Away(error) => Err(Arc::clone(error)),
            },
        }
    }

    /// What Label Studio has said about this credential, or about those that it goes back to, if it is enough.
    async fn known_already(&self, mut credential: Credential, ask: &Ask) -> Option<Arc<HashSet<String>>> {
        let (holder, uri) = (ask.holder, ask.uri.trim());
        for _ in 0..=OLDER {
            let key = Key { credential, holder };
            let told = self.told.get(&key).filter(|names| names.contains(uri));
            let known = match told {
                Some(names) => Some(names),
                None => self.known.get(&key).await,
            };
            if known.is_some() {
                return known;
            }
            credential = self.handed_out.get(&credential).await?;
        }
        None
    }
}

/// Hears an answer that passes, whole, unless it is too long.
#[derive(Debug)]
pub(super) struct Ear {
    heard: Vec<u8>,
    credential: Credential,
    told: sync::Cache<Key, Arc<HashSet<String>>>,
    _place: OwnedSemaphorePermit,
}

impl Ear {
    /// `None` when there is more than is listened to.
    pub(super) fn hear(mut self, piece: &[u8]) -> Option<Self> {
        if piece.len() > told::LONGEST - self.heard.len() {
            return None;
        }
        self.heard.extend_from_slice(piece);
        Some(self)
    }

    /// Takes down what it has heard.
    pub(super) fn tell(self) {
        for (holder, names) in told::read(&self.heard) {
            self.told.insert(Key { credential: self.credential, holder }, Arc::new(names));
        }
    }
}

async fn question(
    upstream: &Upstream,
    (head, arrival): (&Parts, Arrival),
    holder: Holder,
) -> Result<Arc<HashSet<String>>, Silent> {
    let question = forward::question(head, arrival, &holder.api_path()).ok_or(Silent::Refused)?;
    let answer = upstream.ask(question).await.map_err(away)?;
    match answer.status() {
        StatusCode::OK => {}
        status if status.is_client_error() || status.is_redirection() => return Err(Silent::Refused),
        status => return Err(away(UpstreamError::Unexpected(status))),
    }
    let text = upstream.read(answer.into_body(), LONGEST_TASK).await.map_err(away)?;
    let described: Described =
        serde_json::from_slice(&text).map_err(|error| away(UpstreamError::Body(error.into())))?;
    let mut names = HashSet::new();
    match holder {
        Holder::Task(_) => named::collect(&described.data, &mut names),
        Holder::Project(_) => {
            named::collect(&described.label_config, &mut names);
            named::collect(&described.expert_instruction, &mut names);
        }
    }
    Ok(Arc::new(names))
}

fn away(error: UpstreamError) -> Silent {
    Silent::Away(Arc::new(error))
}
