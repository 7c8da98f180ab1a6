//! Keys that are fetched from their issuer, and kept.
//!
//! One fetch at a time and one in half a minute at most, whatever clients send. Who has usable keys never waits for
//! fresher ones. When the issuer cannot be reached, what is known stays good for a day.
//! Only https (or this machine), no redirects, bounded answers; the state outlives a reload of the configuration.
//! What is known of an issuer, and what to do about it, is decided by [`Held`], with the time as an argument.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use reqwest::Url;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{KeySet, KeySetError, Token};
use crate::metrics::Metrics;
use crate::telemetry::Causes;

/// Younger keys are taken as they are.
const FRESH: Duration = Duration::from_mins(15);
/// Older ones are not taken at all.
const KEEP: Duration = Duration::from_hours(24);
/// Between two fetches.
pub const BETWEEN: Duration = Duration::from_secs(30);
/// A key takes about half a KiB.
const LONGEST_ANSWER: usize = 256 * 1024;
/// For one fetch.
const PATIENCE: Duration = Duration::from_secs(10);
/// Issuers that are kept in mind; a configuration has a few.
const MOST_ISSUERS: u64 = 1000;

/// What is known of all issuers; clones share it.
#[derive(Clone, Debug)]
pub struct Issuers {
    known: Cache<Url, Arc<watch::Sender<Held>>>,
    metrics: Metrics,
}

/// The keys at one URL.
#[derive(Clone, Debug)]
pub struct Fetched {
    url: Url,
    client: reqwest::Client,
    held: Arc<watch::Sender<Held>>,
    metrics: Metrics,
}

/// What is known of one issuer.
#[derive(Clone, Debug, Default)]
struct Held {
    keys: Option<(Arc<KeySet>, Instant)>,
    tried: Option<Instant>,
    fetching: bool,
}

/// What a token needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// What is known will do.
    Nothing,
    /// It will do, but should be fetched again meanwhile.
    Refresh,
    /// Wait for the fetch that is under way.
    Wait,
    /// Fetch, and wait.
    Fetch,
    /// Nothing can be done now.
    Forgo,
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("no answer")]
    Unreachable(#[source] reqwest::Error),
    #[error("status {0}")]
    Status(u16),
    #[error("more than 256 KiB")]
    TooLong,
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

impl Issuers {
    /// Nothing is known yet.
    pub fn new(metrics: Metrics) -> Self {
        Self { known: Cache::builder().max_capacity(MOST_ISSUERS).time_to_idle(KEEP).build(), metrics }
    }

    /// The keys at `url`, which are fetched when the first token comes.
    pub async fn at(&self, url: Url, client: reqwest::Client) -> Fetched {
        let new = async { Arc::new(watch::Sender::new(Held::default())) };
        let held = self.known.get_with(url.clone(), new).await;
        Fetched { url, client, held, metrics: self.metrics.clone() }
    }
}

impl Fetched {
    /// The best keys that can be had for the token; nothing if there are none at all.
    pub(super) async fn keys(&self, token: &Token) -> Option<Arc<KeySet>> {
        let mut updates = self.held.subscribe();
        loop {
            let held = updates.borrow_and_update().clone();
            let now = Instant::now();
            match held.need(token, now) {
                Need::Nothing | Need::Forgo => return held.usable(now).cloned(),
                Need::Refresh => {
                    self.fetch(now);
                    return held.usable(now).cloned();
                }
                Need::Wait => updates.changed().await.ok()?,
                Need::Fetch => self.fetch(now),
            }
        }
    }

    /// Begins a fetch, unless somebody was faster. It goes on even if who waits for it goes away.
    fn fetch(&self, now: Instant) {
        let begun = self.held.send_if_modified(|held| {
            let begins = !held.fetching && held.may_try(now);
            if begins {
                (held.fetching, held.tried) = (true, Some(now));
            }
            begins
        });
        if begun {
            let flight = Flight(self.clone());
            tokio::spawn(async move { flight.land().await });
        }
    }

    async fn download(&self) -> Result<KeySet, FetchError> {
        // A URL's query could hold a secret.
        let unreachable = |error: reqwest::Error| FetchError::Unreachable(error.without_url());
        let mut response = self.client.get(self.url.clone()).timeout(PATIENCE).send().await.map_err(unreachable)?;
        if response.status() != http::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut json = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if json.len() + chunk.len() > LONGEST_ANSWER {
                return Err(FetchError::TooLong);
            }
            json.extend_from_slice(&chunk);
        }
        Ok(KeySet::parse(&json)?)
    }
}

/// A fetch under way; however it ends, nobody waits for it for ever.
struct Flight(Fetched);

impl Flight {
    async fn land(self) {
        let fetched = &self.0;
        match fetched.download().await {
            Ok(keys) => {
                fetched.metrics.jwks_fetch("ok");
                fetched.held.send_modify(|held| held.keys = Some((Arc::new(keys), Instant::now())));
            }
            Err(error) => {
                fetched.metrics.jwks_fetch("failed");
                let host = fetched.url.host_str().unwrap_or_default();
                let error = Causes(&error);
                tracing::warn!(host, %error, "the keys of a token issuer cannot be fetched");
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.held.send_modify(|held| held.fetching = false);
    }
}

impl Held {
    fn usable(&self, now: Instant) -> Option<&Arc<KeySet>> {
        self.keys.as_ref().filter(|(_, since)| now.duration_since(*since) < KEEP).map(|(keys, _)| keys)
    }

    fn may_try(&self, now: Instant) -> bool {
        self.tried.is_none_or(|tried| now.duration_since(tried) >= BETWEEN)
    }

    fn need(&self, token: &Token, now: Instant) -> Need {
        let known = self.usable(now).is_some_and(|keys| keys.knows(token));
        let fresh = self.keys.as_ref().is_some_and(|(_, since)| now.duration_since(*since) < FRESH);
        match (known, fresh) {
            (true, true) => Need::Nothing,
            (true, false) => Need::Refresh,
            (false, _) if self.fetching => Need::Wait,
            (false, _) if self.may_try(now) => Need::Fetch,
            (false, _) => Need::Forgo,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ec_key_set, ec_token};
    use super::*;

    #[test]
    fn known_keys_serve_through_an_outage_until_they_are_a_day_old() {
        let (set, token) = ec_token("one");
        let start = Instant::now();
        let held = Held { keys: Some((Arc::new(set), start)), tried: Some(start), fetching: false };
        let at = |after: Duration| held.need(&token, start + after);
        let moment = Duration::from_nanos(1);
        assert_eq!(at(FRESH.saturating_sub(moment)), Need::Nothing);
        assert_eq!(at(FRESH), Need::Refresh);
        assert_eq!(at(KEEP.saturating_sub(moment)), Need::Refresh);
        assert!(held.usable(start + KEEP.saturating_sub(moment)).is_some());
        assert_eq!(at(KEEP), Need::Fetch);
        assert!(held.usable(start + KEEP).is_none());
    }

    #[test]
    fn an_unknown_key_is_asked_for_once_in_half_a_minute() {
        let (set, _) = ec_token("one");
        let (_, stranger) = ec_token("two");
        let start = Instant::now();
        let mut held = Held { keys: Some((Arc::new(set), start)), tried: Some(start), fetching: false };
        assert_eq!(held.need(&stranger, start + BETWEEN / 2), Need::Forgo);
        assert_eq!(held.need(&stranger, start + BETWEEN), Need::Fetch);
        held.fetching = true;
        assert_eq!(held.need(&stranger, start + BETWEEN), Need::Wait);
        assert_eq!(Held::default().need(&stranger, start), Need::Fetch);
        let failed = Held { tried: Some(start), ..Held::default() };
        assert_eq!(failed.need(&stranger, start), Need::Forgo);
        assert!(failed.usable(start).is_none());
    }

    #[tokio::test]
    async fn a_fetch_that_ends_badly_sets_everybody_free() {
        let issuers = Issuers::new(Metrics::new());
        // Nothing listens on the port of a socket that is bound and does not listen.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        drop(listener);
        let fetched = issuers.at(Url::parse(&url).expect("a URL"), reqwest::Client::new()).await;
        let (_, token) = ec_token("one");
        assert_eq!(fetched.keys(&token).await, None);
        assert!(!fetched.held.borrow().fetching);
        fetched.held.send_modify(|held| held.keys = Some((Arc::new(ec_key_set("one")), Instant::now())));
        assert!(fetched.keys(&token).await.is_some());
    }
}
