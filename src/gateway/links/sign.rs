//! Makes links. The same inputs give the same link, on every replica; `now` is one of the inputs.
//!
//! Pure. With a window the time of issue is rounded down to the window's beginning, and the expiry follows from it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Links;
use super::id::LinkId;
use super::key::Key;
use super::moment::Moment;
use super::payload::{MOST_NETWORKS, Payload, Reach};
use super::revoked::Entry;
use super::token::{self, Binding, Mac};
use crate::gateway::client_addr::Network;
use crate::gateway::subject::Subject;
use crate::object::{BucketName, ObjectName, ObjectPrefix};

/// What links have in common that are made together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When they end.
    pub expires: Expiry,
    /// When they begin; at once without it.
    pub not_before: Option<SystemTime>,
    /// From where they may be used; from anywhere if there are none.
    pub networks: Vec<Network>,
    /// For whom they are.
    pub subject: Option<Subject>,
}

/// When a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// After this time; up to a window later.
    In(Duration),
    /// At this time exactly.
    At(SystemTime),
}

/// What a link is for: objects of one connection in one bucket, so that neither can be exchanged behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The connection's name.
    pub connection: &'a str,
    /// Its bucket.
    pub bucket: &'a BucketName,
    /// Which objects.
    pub target: Target<'a>,
}

/// Which objects a link is for, by their full names in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// This one.
    Object(&'a ObjectName),
    /// All whose names begin like this.
    Prefix(&'a ObjectPrefix),
}

/// A link: its token is a secret, its id is not.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    token: String,
    id: LinkId,
}

/// Makes any number of links under the same terms.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Arc<Key>,
    issued: Moment,
    expires: Moment,
    not_before: Option<Moment>,
    networks: Vec<Network>,
    subject: Option<Subject>,
}

/// Why no links are made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// No key at all, or none that has not ended.
    #[error("no key signs; add one that has not ended to links.keys, made with: gsgate link --new-key FILE")]
    NoKey,
    /// Over before it began.
    #[error("the link would never be good: it ends at {expires} and is good from {from} on")]
    NeverGood {
        /// When it would begin.
        from: Moment,
        /// When it would end.
        expires: Moment,
    },
    /// The key ends first.
    #[error(
        "the link would live until {expires}, but its key \"{key}\" ends at {end}; shorten it, or put a newer key in front"
    )]
    OutlivesKey {
        /// The key's name.
        key: String,
        /// When the key ends.
        end: Moment,
        /// When the link would end.
        expires: Moment,
    },
    /// More than a token has room for.
    #[error("a link has {MOST_NETWORKS} networks at most, not {0}")]
    TooManyNetworks(usize),
    /// It would be refused from the beginning.
    #[error("the link would be refused: the revocation list has {0}")]
    Revoked(&'static str),
}

impl Links {
    /// Prepares to sign under these terms, as of `now`.
    pub fn signer(&self, terms: &Terms, now: SystemTime) -> Result<Signer, SignError> {
        let (now, window) = (Moment::of(now), self.window());
        let key = self.ring.signing(now).ok_or(SignError::NoKey)?;
        let issued = now.floor(window);
        let expires = match terms.expires {
            // Whoever gets a link at the window's end has all of the time that was asked for.
            Expiry::In(life) => issued.plus(window).plus(life),
            Expiry::At(time) => Moment::of(time),
        };
        let mut networks = terms.networks.clone();
        networks.sort_unstable();
        networks.dedup();
        let not_before = terms.not_before.map(Moment::of);
        let signer =
            Signer { key: Arc::clone(key), issued, expires, not_before, networks, subject: terms.subject.clone() };
        signer.check(now)?;
        let subject = signer.subject.as_ref().map(Subject::as_str);
        match self.revoked().entry(key.id().as_str(), issued, subject, None) {
            None => Ok(signer),
            Some(Entry::Key) => Err(SignError::Revoked("its key")),
            Some(Entry::Subject) => Err(SignError::Revoked("its subject")),
            Some(Entry::Before | Entry::Link) => Err(SignError::Revoked("'all before' a time after its issue")),
        }
    }
}

impl Signer {
    fn check(&self, now: Moment) -> Result<(), SignError> {
        let from = self.not_before.unwrap_or(now).max(now);
        if self.expires <= from {
            return Err(SignError::NeverGood { from, expires: self.expires });
        }
        if let Some(end) = self.key.not_after().filter(|end| *end < self.expires) {
            return Err(SignError::OutlivesKey { key: self.key.id().to_string(), end, expires: self.expires });
        }
        match self.networks.len() {
            count if count > MOST_NETWORKS => Err(SignError::TooManyNetworks(count)),
            _ => Ok(()),
        }
    }

    /// When the links end.
    pub fn expires(&self) -> SystemTime {
        self.expires.into()
    }

    /// The link for this scope.
    pub fn sign(&self, scope: Scope<'_>) -> Link {
        let (reach, name) = match scope.target {
            Target::Object(name) => (Reach::Object, name.as_str()),
            // A prefix is no longer than a name, which is 1024 bytes.
            Target::Prefix(prefix) => {
                (Reach::Prefix(u16::try_from(prefix.as_str().len()).unwrap_or(u16::MAX)), prefix.as_str())
            }
        };
        let mut payload = Vec::with_capacity(64);
        Payload {
            key: self.key.id().as_str(),
            issued: self.issued,
            expires: self.expires,
            reach,
            not_before: self.not_before,
            networks: self.networks.clone(),
            subject: self.subject.as_ref().map(Subject::as_str),
        }
        .write(&mut payload);
        let binding = Binding { connection: scope.connection, bucket: scope.bucket.as_str(), name: name.as_bytes() };
        let mac = Mac::new(self.key.hmac(), binding, &payload);
        Link { token: token::write(&payload, &mac), id: mac.id() }
    }
}

impl Link {
    /// The token, as it stands in a URL: it needs no percent-encoding.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What it is known by.
    pub fn id(&self) -> LinkId {
        self.id
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.id)
    }
}
