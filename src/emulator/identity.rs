//! Who exists and what they hold: service accounts with their keys, users, tokens, grants of impersonation.
//!
//! Decides who a credential stands for; what they may do in a bucket is the bucket's business.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use super::Error;
use super::jwt::{Claims, Jwt};
use super::key::{Key, hex};

/// How many tokens and how many verified JWTs are remembered.
const MAX_REMEMBERED: usize = 20_000;

/// Everyone.
#[derive(Default)]
pub(super) struct Identity {
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) users: HashMap<String, User>,
    pub(super) subjects: HashMap<String, String>,
    pub(super) creators: BTreeSet<(String, String)>,
    pub(super) sts_client: Option<(String, String)>,
    pub(super) token_life: Option<Duration>,
    tokens: HashMap<String, Issued>,
    verified: HashMap<String, (Option<String>, Issued)>,
    refused: BTreeSet<String>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

/// A service account.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// Keys that users hold, by id. The key of the ready credential file is made when first asked for.
    pub(super) keys: BTreeMap<String, Arc<Key>>,
    /// The id of the key that goes into the ready credential file.
    pub(super) own: Option<String>,
    /// The key that signBlob uses.
    pub(super) system: Arc<OnceLock<Key>>,
    /// A disabled account can do nothing.
    pub(super) disabled: bool,
}

/// A person with a refresh token.
#[derive(Clone)]
pub(super) struct User {
    pub(super) email: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
}

/// What a token stands for.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) principal: String,
    pub(super) scopes: Vec<String>,
    pub(super) expires: SystemTime,
}

impl Identity {
    /// A service account, made if there is none.
    pub(super) fn account(&mut self, email: &str) -> &mut Account {
        self.accounts.entry(email.to_owned()).or_default()
    }

    /// Issues an opaque token.
    pub(super) fn issue(&mut self, principal: &str, scopes: Vec<String>, now: SystemTime, life: Duration) -> String {
        if self.tokens.len() >= MAX_REMEMBERED {
            self.tokens.retain(|_, issued| issued.expires > now);
        }
        if self.tokens.len() >= MAX_REMEMBERED {
            self.tokens.clear();
        }
        let life = self.token_life.map_or(life, |limit| limit.min(life));
        let mut random = [0; 24];
        fastrand::fill(&mut random);
        let token = format!("ya29.{}", hex(&random));
        self.tokens.insert(token.clone(), Issued { principal: principal.to_owned(), scopes, expires: now + life });
        token
    }

    /// How long an issued token says it lives.
    pub(super) fn life(&self, asked: Duration) -> Duration {
        self.token_life.map_or(asked, |limit| limit.min(asked))
    }

    /// Makes all tokens issued so far, and all JWTs seen so far, invalid.
    pub(super) fn revoke_tokens(&mut self) {
        self.tokens.clear();
        let seen: Vec<String> = self.verified.drain().map(|(token, _)| token).collect();
        if self.refused.len() >= MAX_REMEMBERED {
            self.refused.clear();
        }
        self.refused.extend(seen);
    }

    /// Whom a bearer token stands for.
    pub(super) fn bearer(&mut self, token: &str, now: SystemTime) -> Option<(&'static str, Issued)> {
        if let Some(issued) = self.tokens.get(token) {
            let good = issued.expires > now && !self.disabled(&issued.principal);
            return good.then(|| ("token", issued.clone()));
        }
        if let Some((kid, issued)) = self.verified.get(token) {
            let account = self.accounts.get(&issued.principal)?;
            let held = kid.as_ref().is_none_or(|kid| account.keys.contains_key(kid)) && !account.keys.is_empty();
            return (held && !account.disabled && issued.expires > now).then(|| ("jwt", issued.clone()));
        }
        if self.refused.contains(token) {
            return None;
        }
        let jwt = Jwt::parse(token)?;
        let claims = self.verify(&jwt, now)?;
        let audience = claims.audience.as_deref();
        let storage = audience.is_none_or(|url| url.trim_end_matches('/').ends_with("storage.googleapis.com"));
        if !storage || (claims.scopes.is_empty() && audience.is_none()) {
            return None;
        }
        let mut scopes = claims.scopes;
        if audience.is_some() && scopes.is_empty() {
            scopes.push("https://www.googleapis.com/auth/devstorage.full_control".to_owned());
        }
        let issued = Issued { principal: claims.email, scopes, expires: claims.expires };
        if self.verified.len() >= MAX_REMEMBERED {
            self.verified.clear();
        }
        self.verified.insert(token.to_owned(), (jwt.kid, issued.clone()));
        Some(("jwt", issued))
    }

    /// The claims of a JWT that one of its issuer's keys signed.
    pub(super) fn verify(&self, jwt: &Jwt, now: SystemTime) -> Option<Claims> {
        let account = self.accounts.get(jwt.issuer()?).filter(|account| !account.disabled)?;
        let good = |key: &Arc<Key>| key.verify(jwt.signed.as_bytes(), &jwt.signature);
        let signed = match &jwt.kid {
            Some(kid) => account.keys.get(kid).is_some_and(good),
            None => account.keys.values().any(good),
        };
        if signed { jwt.claims_at(now) } else { None }
    }

    /// Whether an account exists and is disabled; others are never disabled.
    pub(super) fn disabled(&self, principal: &str) -> bool {
        self.accounts.get(principal).is_some_and(|account| account.disabled)
    }

    /// Whether `caller`, through the delegates in their order, may act as `target`.
    pub(super) fn may_act(&self, caller: &str, delegates: &[String], target: &str) -> bool {
        let chain = delegates.iter().map(String::as_str).chain([target]);
        let mut actor = caller;
        for next in chain {
            if !self.creators.contains(&(actor.to_owned(), next.to_owned())) {
                return false;
            }
            actor = next;
        }
        true
    }
}

impl Account {
    /// Adds a key.
    pub(super) fn add(&mut self, id: String, key: Key) {
        self.keys.insert(id.clone(), Arc::new(key));
        self.own = Some(id);
    }

    /// The key for the ready credential file, made if there is none.
    pub(super) fn own_key(&mut self) -> Result<(String, Arc<Key>), Error> {
        if self.own.is_none() {
            let key = Key::generate()?;
            self.add(key.id().to_owned(), key);
        }
        let held = self.own.as_ref().and_then(|id| Some((id.clone(), Arc::clone(self.keys.get(id)?))));
        held.ok_or(Error::Key)
    }

    /// Whether one of the account's keys, or the system's key for it, made this signature.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let good = |key: &Key| key.verify(message, signature);
        !self.disabled && (self.keys.values().any(|key| good(key)) || self.system.get().is_some_and(good))
    }

    /// The system's key, made if there is none.
    pub(super) fn system_key(cell: &OnceLock<Key>) -> Result<&Key, Error> {
        if cell.get().is_none() {
            // If another was quicker, its key counts.
            let _ = cell.set(Key::generate()?);
        }
        cell.get().ok_or(Error::Key)
    }
}
