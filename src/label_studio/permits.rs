//! Whether a user may have an object: Label Studio is asked, and believed for some seconds.
//!
//! It is asked what the task holds, in the user's own name: who may not see the task gets no answer, and what the task
//! does not name is not given. What it said is kept by a hash of the user's credential, never by the credential.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use moka::future::Cache;
use serde::Deserialize;
use serde_json::Value;

use super::forward::{self, Arrival, X_API_KEY};
use super::named;
use super::resolve::Holder;
use super::upstream::{Upstream, UpstreamError};

/// Longest description of a task, annotations included, that is read.
const LONGEST_TASK: usize = 64 * 1024 * 1024;
/// Bytes of remembered URIs.
const REMEMBERED: u64 = 64 * 1024 * 1024;
/// What one entry takes besides its URIs.
const OVERHEAD: usize = 256;

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
}

/// A user's credential, hashed, and what was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    credential: [u8; 32],
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
            let bytes = names.iter().map(String::len).sum::<usize>() + OVERHEAD;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self { known: Cache::builder().max_capacity(REMEMBERED).weigher(weigh).time_to_live(ttl).build() }
    }

    /// What Label Studio says about the user who sent `head`. Several who ask at once are one question.
    pub(super) async fn ask(
        &self,
        upstream: &Upstream,
        (head, arrival): (&Parts, Arrival),
        holder: Holder,
    ) -> Result<Said, Arc<UpstreamError>> {
        let key = Key { credential: credential(&head.headers), holder };
        let said = self.known.try_get_with(key, question(upstream, (head, arrival), holder)).await;
        match said {
            Ok(names) => Ok(Said::Names(names)),
            Err(silent) => match &*silent {
                Silent::Refused => Ok(Said::Refused),
                Silent::Away(error) => Err(Arc::clone(error)),
            },
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

/// A hash of everything that says who the user is.
fn credential(headers: &HeaderMap) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    for name in [COOKIE, AUTHORIZATION, X_API_KEY] {
        for value in headers.get_all(&name) {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                hash.update(&part.len().to_be_bytes());
                hash.update(part);
            }
        }
    }
    let digest = hash.finish();
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_part_of_a_credential_counts() {
        let headers = |pairs: &[(http::HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name, HeaderValue::from_str(value).expect("legal"));
            }
            credential(&headers)
        };
        let known = [
            headers(&[]),
            headers(&[(COOKIE, "a")]),
            headers(&[(COOKIE, "b")]),
            headers(&[(AUTHORIZATION, "a")]),
            headers(&[(X_API_KEY, "a")]),
            headers(&[(COOKIE, "a"), (AUTHORIZATION, "a")]),
            headers(&[(COOKIE, "a"), (COOKIE, "a")]),
        ];
        assert_eq!(known.iter().collect::<HashSet<_>>().len(), known.len());
        assert_eq!(headers(&[(COOKIE, "a")]), headers(&[(COOKIE, "a"), (http::header::RANGE, "bytes=0-")]));
    }
}
