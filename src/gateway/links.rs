//! Links: URLs that carry the right to read. Decides what a link proves, and says nothing to anybody but the log.
//!
//! A link is `?sig=TOKEN`, or `/~TOKEN/` before the connection's name, so that relative references keep it.
//! Verification is pure: time and address are arguments, keys and list are there. Only [`files`] touches files.
//! The token is a secret: nothing here puts one into an error, a log or `Debug`. `docs/links.md` has the format.

mod config;
mod files;
mod id;
mod key;
mod moment;
mod payload;
mod revoked;
mod shown;
mod sign;
mod token;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

pub use self::config::{Config, ConfigError, KeyConfig};
pub use self::files::{LoadError, new_key};
pub use self::id::{LinkId, LinkIdError};
pub use self::key::{Key, KeyId, KeyIdError, KeyTextError, Keyring};
pub use self::moment::{Moment, MomentError};
pub use self::revoked::{Revoked, RevokedError};
pub use self::shown::Shown;
pub use self::sign::{Expiry, Link, Scope, SignError, Signer, Target, Terms};

use self::payload::{Payload, Reach};
use self::revoked::Entry;
use self::token::{Binding, Token};
use super::client_addr::ClientAddr;
use super::subject::Subject;
use crate::object::{BucketName, ObjectName};

/// Keys and revocations: makes links and verifies them.
pub struct Links {
    ring: Keyring,
    window: Duration,
    list: Option<PathBuf>,
    revoked: ArcSwap<Revoked>,
}

/// What a request wants, as far as a link can cover it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The connection's name.
    pub connection: &'a str,
    /// Its bucket.
    pub bucket: &'a BucketName,
    /// The object's full name; nothing where the path names none that there could be.
    pub object: Option<&'a ObjectName>,
}

/// What a good link says about its bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    subject: Option<Subject>,
    id: LinkId,
}

/// Why a link does not admit. The client never learns which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkRefusal {
    /// None was shown.
    #[error("no link was shown")]
    Missing,
    /// More than one was shown.
    #[error("more than one link was shown")]
    Repeated,
    /// Not a token.
    #[error("what was shown is no link's token")]
    Malformed,
    /// Made with a key that is not there.
    #[error("the link's key is not known")]
    UnknownKey,
    /// Forged, changed, or for another object, connection or bucket; nobody can tell these apart.
    #[error("the link is not for this object, or it was changed")]
    Mismatch,
    /// Too early.
    #[error("the link is not valid yet")]
    NotYetValid,
    /// Too late.
    #[error("the link has expired")]
    Expired,
    /// Too late for its key.
    #[error("the link's key has ended")]
    KeyEnded,
    /// From elsewhere.
    #[error("the link is for other networks")]
    Network,
    /// On the list, by its key.
    #[error("the link's key is revoked")]
    RevokedKey,
    /// On the list, by its subject.
    #[error("the link's subject is revoked")]
    RevokedSubject,
    /// On the list, itself.
    #[error("the link is revoked")]
    RevokedLink,
    /// On the list, by its time of issue.
    #[error("links as old as this one are revoked")]
    RevokedTime,
}

impl Links {
    /// Keys and an empty list.
    pub fn new(ring: Keyring, window: Duration) -> Self {
        Self { ring, window, list: None, revoked: ArcSwap::default() }
    }

    /// Reads the files that the configuration names.
    pub fn load(config: &Config) -> Result<Self, LoadError> {
        let revoked = config.revoked.as_deref().map(files::revoked).transpose()?.unwrap_or_default();
        let ring = files::keyring(config)?;
        Ok(Self { ring, window: config.window, list: config.revoked.clone(), revoked: ArcSwap::from_pointee(revoked) })
    }

    /// The revocation list's file.
    pub fn list(&self) -> Option<&Path> {
        self.list.as_deref()
    }

    /// Reads the list again and says how many entries it has; where it is bad, the old one stays in force.
    pub fn reload(&self) -> Result<usize, LoadError> {
        let Some(path) = &self.list else { return Ok(0) };
        let list = files::revoked(path)?;
        let entries = list.len();
        self.revoke(list);
        Ok(entries)
    }

    /// Puts a list in force.
    pub fn revoke(&self, list: Revoked) {
        self.revoked.store(Arc::new(list));
    }

    /// The list in force.
    pub fn revoked(&self) -> Arc<Revoked> {
        self.revoked.load_full()
    }

    fn window(&self) -> Duration {
        self.window
    }

    /// What the link that a request shows proves about `client`, if it covers what is wanted at `now`.
    pub fn verify(
        &self,
        shown: Shown<'_>,
        wanted: Wanted<'_>,
        client: ClientAddr,
        now: SystemTime,
    ) -> Result<Verified, LinkRefusal> {
        let token = match shown {
            Shown::Nothing => return Err(LinkRefusal::Missing),
            Shown::Several => return Err(LinkRefusal::Repeated),
            Shown::Token(text) => Token::read(text).ok_or(LinkRefusal::Malformed)?,
        };
        let payload = Payload::read(token.payload()).ok_or(LinkRefusal::Malformed)?;
        let key = self.ring.find(payload.key).ok_or(LinkRefusal::UnknownKey)?;
        let binding = wanted.binding(payload.reach).ok_or(LinkRefusal::Mismatch)?;
        let id = token.authenticate(key.hmac(), binding).ok_or(LinkRefusal::Mismatch)?;
        // From here on every word of the payload is ours.
        let now = Moment::of(now);
        if payload.not_before.is_some_and(|begin| now < begin) {
            return Err(LinkRefusal::NotYetValid);
        }
        if payload.expires <= now {
            return Err(LinkRefusal::Expired);
        }
        if key.has_ended(now) {
            return Err(LinkRefusal::KeyEnded);
        }
        let inside = payload.networks.is_empty() || payload.networks.iter().any(|net| net.contains(client.ip()));
        if !inside {
            return Err(LinkRefusal::Network);
        }
        if let Some(entry) = self.revoked.load().entry(payload.key, payload.issued, payload.subject, Some(id)) {
            return Err(entry.into());
        }
        let subject = payload.subject.map(Subject::new).transpose().map_err(|_| LinkRefusal::Malformed)?;
        Ok(Verified { subject, id })
    }
}

impl<'a> Wanted<'a> {
    /// What the MAC of a link that covers this was made over.
    fn binding(self, reach: Reach) -> Option<Binding<'a>> {
        let name = self.object?.as_str().as_bytes();
        let name = match reach {
            Reach::Object => name,
            Reach::Prefix(length) => name.get(..usize::from(length))?,
        };
        Some(Binding { connection: self.connection, bucket: self.bucket.as_str(), name })
    }
}

impl Verified {
    /// Whom the link was made for.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// What the link is known by.
    pub fn id(&self) -> LinkId {
        self.id
    }

    #[cfg(test)]
    pub(super) fn new(subject: Option<Subject>, id: LinkId) -> Self {
        Self { subject, id }
    }
}

impl LinkRefusal {
    /// The word for the log and the metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "link-missing",
            Self::Repeated => "link-repeated",
            Self::Malformed => "link-malformed",
            Self::UnknownKey => "link-key-unknown",
            Self::Mismatch => "link-mismatch",
            Self::NotYetValid => "link-not-yet-valid",
            Self::Expired => "link-expired",
            Self::KeyEnded => "link-key-ended",
            Self::Network => "link-network",
            Self::RevokedKey | Self::RevokedSubject | Self::RevokedLink | Self::RevokedTime => "link-revoked",
        }
    }
}

impl From<Entry> for LinkRefusal {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Key => Self::RevokedKey,
            Entry::Subject => Self::RevokedSubject,
            Entry::Link => Self::RevokedLink,
            Entry::Before => Self::RevokedTime,
        }
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("ring", &self.ring).field("list", &self.list).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
