//! Tokens: one loader per kind of token however many requests wait, renewed early, dropped by a 401, never given up.
//!
//! moka makes the loading single-flight; when a token is too old is decided here, by the environment's clock. A failure
//! is remembered only for a back-off, during which everybody gets it at once. Each renewal has a number, and that number
//! is part of the key: so two renewals are never mixed up, and a 401 drops the very token that got it.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ahash::RandomState;
use arc_swap::ArcSwapOption;
use http::HeaderValue;
use moka::future::Cache;
use moka::policy::EvictionPolicy;

use crate::gcs::credentials::{self, Environment, Error, Refresh, Secret};

/// How long before its end a token is renewed; the metadata server gives a new one only in the last four to five minutes.
const EARLY: Duration = Duration::from_mins(4);
/// A token with less life left could end on its way.
const MARGIN: Duration = Duration::from_secs(10);
/// Short-lived tokens are not asked for again at once.
const REST: Duration = Duration::from_secs(10);
/// A token that is refused at this age was never any good; an older one has worked, and something changed.
const YOUNG: Duration = Duration::from_secs(30);
const FIRST_BACK_OFF: Duration = Duration::from_millis(500);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    /// Reading objects.
    Reading,
    /// Writing and deleting them.
    Writing,
    /// Calling IAM as the credential itself.
    Calling,
    /// Calling IAM as the source of an impersonation.
    Source,
}

/// A token as a source gives it.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) secret: Secret,
    pub(crate) expires_at: SystemTime,
}

/// A token that can be sent.
#[derive(Clone)]
pub struct Token {
    authorization: HeaderValue,
    slot: Slot,
    number: u64,
    issued_at: SystemTime,
    renew_at: SystemTime,
    expires_at: SystemTime,
}

impl Token {
    /// The value of the `Authorization` header; marked sensitive.
    pub fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    /// When the token ends.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("slot", &self.slot).field("number", &self.number).finish_non_exhaustive()
    }
}

/// The tokens of one credential.
pub(crate) struct Tokens {
    held: Cache<(Slot, u64), Token, RandomState>,
    slots: [State; 4],
    environment: Environment,
}

#[derive(Default)]
struct State {
    /// The newest token; the first has the number 1.
    current: ArcSwapOption<Token>,
    /// Tokens up to this number were refused by their receiver.
    refused: AtomicU64,
    renewing: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

#[derive(Clone)]
struct Failure {
    error: Arc<Error>,
    times: u32,
    since: SystemTime,
    until: SystemTime,
}

impl Tokens {
    pub(crate) fn new(environment: Environment) -> Self {
        // LRU, because the default policy may refuse a new key. Each slot has one living token and perhaps the next.
        let held = Cache::builder().max_capacity(32).eviction_policy(EvictionPolicy::lru());
        let held = held.build_with_hasher(RandomState::new());
        Self { held, slots: Default::default(), environment }
    }

    /// A token with life left; `load` is called if there is none, or in the background if it is time for the next.
    pub(crate) async fn get<F, L>(self: &Arc<Self>, slot: Slot, load: F) -> Result<Token, Arc<Error>>
    where
        F: FnOnce() -> L,
        L: Future<Output = Result<Fresh, Error>> + Send + 'static,
    {
        let (now, state) = (self.environment.now(), self.state(slot));
        let newest = state.current.load_full();
        let number = newest.as_ref().map_or(0, |token| token.number);
        if let Some(token) = newest
            && number > state.refused.load(Ordering::Acquire)
            && token.expires_at > now + MARGIN
        {
            if token.renew_at <= now && state.back_off(now).is_none() && !state.renewing.swap(true, Ordering::AcqRel) {
                let (tokens, load) = (self.clone(), load());
                tokio::spawn(async move {
                    let _renewing = Renewing(tokens.clone(), slot);
                    // A failure is recorded in the slot; the old token goes on serving.
                    let _ = tokens.renew(slot, number + 1, load).await;
                });
            }
            return Ok(Token::clone(&token));
        }
        if let Some(error) = state.back_off(now) {
            return Err(error);
        }
        // A task of its own: a client that leaves does not interrupt the loading that others wait for.
        let renewal = tokio::spawn(self.clone().renew(slot, number + 1, load()));
        renewal.await.unwrap_or_else(|_| Err(Arc::new(Error::Interrupted)))
    }

    /// Drops this very token, after its receiver refused it.
    pub(crate) fn invalidate(&self, token: &Token) {
        let state = self.state(token.slot);
        let before = state.refused.fetch_max(token.number, Ordering::AcqRel);
        let now = self.environment.now();
        let is_new = now < token.issued_at + YOUNG;
        if before > 0 && before + 1 == token.number && is_new {
            // The token's successor was refused as soon as it was made: another at once would be refused too.
            state.fail(now, Arc::new(Error::Rejected));
        }
    }

    async fn renew(
        self: Arc<Self>,
        slot: Slot,
        number: u64,
        load: impl Future<Output = Result<Fresh, Error>> + Send + 'static,
    ) -> Result<Token, Arc<Error>> {
        let state = self.state(slot);
        let loading = async {
            // Whoever waited for a loading that failed must not start the next one.
            if let Some(error) = state.back_off(self.environment.now()) {
                return Err(error);
            }
            let asked_at = self.environment.now();
            let outcome = load.await.and_then(|fresh| Token::new(fresh, slot, number, asked_at)).map_err(Arc::new);
            match &outcome {
                Ok(_) => state.recover(),
                Err(error) => state.fail(self.environment.now(), error.clone()),
            }
            self.environment.refreshed(if outcome.is_ok() { Refresh::Ok } else { Refresh::Failed });
            outcome
        };
        let token = self.held.try_get_with((slot, number), loading).await.map_err(|error| (*error).clone())?;
        state.keep(&token);
        self.held.invalidate(&(slot, number - 1)).await;
        Ok(token)
    }

    fn state(&self, slot: Slot) -> &State {
        let [reading, writing, calling, source] = &self.slots;
        match slot {
            Slot::Reading => reading,
            Slot::Writing => writing,
            Slot::Calling => calling,
            Slot::Source => source,
        }
    }
}

impl Token {
    fn new(fresh: Fresh, slot: Slot, number: u64, now: SystemTime) -> Result<Self, Error> {
        let authorization = credentials::bearer(&fresh.secret)?;
        let expires_at = fresh.expires_at;
        let life = expires_at.duration_since(now).unwrap_or_default();
        let renew_at = now + life.saturating_sub(EARLY).max(REST.min(life / 2));
        Ok(Self { authorization, slot, number, issued_at: now, renew_at, expires_at })
    }
}

impl State {
    /// The last error, while it is too early to try again.
    fn back_off(&self, now: SystemTime) -> Option<Arc<Error>> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not prolong the wait.
        failure.as_ref().filter(|failure| (failure.since..failure.until).contains(&now)).map(|f| f.error.clone())
    }

    fn fail(&self, now: SystemTime, error: Arc<Error>) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let times = failure.as_ref().map_or(0, |failure| failure.times.saturating_add(1));
        let longest = FIRST_BACK_OFF.saturating_mul(1 << times.min(16)).min(LONGEST_BACK_OFF);
        // Jitter, so that replicas do not come back together.
        let until = now + longest.mul_f64(0.5 + fastrand::f64() / 2.0);
        *failure = Some(Failure { error, times, since: now, until });
    }

    /// Makes the token the newest, unless a newer one has come meanwhile.
    fn keep(&self, token: &Token) {
        let token = Arc::new(token.clone());
        self.current.rcu(|newest| match newest {
            Some(newest) if newest.number >= token.number => Some(Arc::clone(newest)),
            _ => Some(Arc::clone(&token)),
        });
    }

    fn recover(&self) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Lets the next renewal begin, also if this one panics.
struct Renewing(Arc<Tokens>, Slot);

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.state(self.1).renewing.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
