//! Who signs: a key that we hold, or IAM's signBlob for a service account that we may act as.
//!
//! A signer is taken from its credential for one URL or a few; it keeps the key it was taken with, so that address
//! and signature belong together also while the key file changes.
//! Follows <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/signBlob>.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Desk, LONGEST_LIFE};
use crate::gcs;
use crate::gcs::credentials::{Account, Error, Inner, Kind, Loaded, SIGN_BLOB, sign_blob};
use crate::gcs::token::Slot;

/// The key behind signBlob stays valid for at least this long after it signed, and maybe no longer.
const SIGN_BLOB_LIFE: Duration = Duration::from_hours(12);

/// Signs as a service account.
#[derive(Clone)]
pub struct Signer {
    inner: Arc<Inner>,
    loaded: Arc<Loaded>,
    way: Way,
}

#[derive(Clone)]
enum Way {
    /// With a key in memory.
    Key { email: Arc<str>, key: Desk },
    /// Through IAM, as the account that the credential impersonates, with its source's token.
    Impersonated,
    /// Through IAM, as the account of the machine.
    Metadata,
    /// Through IAM, as the account that the configuration names.
    Named(Arc<str>),
}

/// The way that a source and a named account leave open.
enum Choice<'a> {
    Key { email: &'a Arc<str>, key: &'a Desk },
    Impersonated,
    Metadata,
    Named(&'a Account),
}

impl<'a> Choice<'a> {
    fn of(kind: &'a Kind, named: Option<&'a Account>) -> Option<Self> {
        let is_named = |email: &str| named.is_none_or(|account| account.as_str() == email);
        match (kind, named) {
            (Kind::ServiceAccount(account), _) if is_named(&account.email) => {
                Some(Self::Key { email: &account.email, key: &account.key })
            }
            (Kind::Impersonated(account), _) if is_named(&account.email) => Some(Self::Impersonated),
            (Kind::MetadataServer(_), None) => Some(Self::Metadata),
            (Kind::Anonymous, _) | (_, None) => None,
            (_, Some(account)) => Some(Self::Named(account)),
        }
    }
}

impl Signer {
    pub(crate) fn of(inner: &Arc<Inner>) -> Option<Self> {
        let loaded = inner.loaded();
        let way = match Choice::of(&loaded.source.kind, inner.sign_as())? {
            Choice::Key { email, key } => Way::Key { email: email.clone(), key: key.clone() },
            Choice::Impersonated => Way::Impersonated,
            Choice::Metadata => Way::Metadata,
            Choice::Named(account) => Way::Named(account.as_str().into()),
        };
        Some(Self { inner: inner.clone(), loaded, way })
    }

    /// Whether there would be one, which costs less to ask.
    pub(crate) fn exists(inner: &Inner) -> bool {
        Choice::of(&inner.peek().source.kind, inner.sign_as()).is_some()
    }

    /// The account that the signature is by; the machine's own is asked for once.
    pub async fn email(&self) -> Result<Arc<str>, gcs::Error> {
        self.account().await.map_err(|error| gcs::Error::Signature(Box::new(error)))
    }

    /// The same, where nobody needs to be asked.
    pub(crate) fn known_email(&self) -> Option<&Arc<str>> {
        match (&self.way, &self.loaded.source.kind) {
            (Way::Key { email, .. } | Way::Named(email), _) => Some(email),
            (_, Kind::Impersonated(account)) => Some(&account.email),
            _ => None,
        }
    }

    /// How long a URL may live that is signed this way.
    pub fn longest_life(&self) -> Duration {
        match self.way {
            Way::Key { .. } => LONGEST_LIFE,
            Way::Impersonated | Way::Metadata | Way::Named(_) => SIGN_BLOB_LIFE,
        }
    }

    /// An RSA signature (PKCS#1 v1.5, SHA-256). Never works on the caller's thread.
    pub async fn sign(&self, string_to_sign: &[u8]) -> Result<Vec<u8>, gcs::Error> {
        let signed = if let Way::Key { key, .. } = &self.way {
            let signed = key.sign(string_to_sign).await.ok_or(Error::Interrupted);
            signed.and_then(|signed| signed.map_err(|error| Error::Key(Box::new(error))))
        } else {
            let permit = self.inner.signatures.clone().acquire_owned().await;
            let _permit = permit.map_err(|error| gcs::Error::Signature(Box::new(error)))?;
            Box::pin(self.sign_remotely(string_to_sign)).await
        };
        signed.map_err(|error| gcs::Error::Signature(Box::new(error)))
    }

    /// Tells signers of the same account with different keys apart, for caches.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        match &self.way {
            Way::Key { key, .. } => key.key().fingerprint(),
            Way::Impersonated | Way::Metadata | Way::Named(_) => [0; 32],
        }
    }

    async fn account(&self) -> Result<Arc<str>, Error> {
        match (self.known_email(), &self.loaded.source.kind) {
            (Some(email), _) => Ok(email.clone()),
            (None, Kind::MetadataServer(server)) => Box::pin(server.email(&self.inner.control)).await,
            _ => Err(Error::Config("this credential has no account to sign as; set sign_as".to_owned())),
        }
    }

    async fn sign_remotely(&self, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let Inner { control, environment, .. } = &*self.inner;
        let (slot, url, delegates) =
            if let (Way::Impersonated, Kind::Impersonated(account)) = (&self.way, &self.loaded.source.kind) {
                (Slot::Source, account.url(SIGN_BLOB, control, environment).await?, account.delegates.clone())
            } else {
                let universe = self.loaded.source.universe(control).await?;
                (Slot::Calling, environment.iam_url(&universe, &self.account().await?, SIGN_BLOB), [].into())
            };
        let token = self.inner.token(slot).await.map_err(Error::Shared)?;
        let outcome = sign_blob(&url, token.authorization(), &delegates, (payload, control)).await;
        if !outcome.as_ref().is_err_and(Error::is_unauthorized) {
            return outcome;
        }
        self.inner.tokens.invalidate(&token);
        let token = self.inner.token(slot).await.map_err(Error::Shared)?;
        sign_blob(&url, token.authorization(), &delegates, (payload, control)).await
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}
