//! What was going on when something failed: the facts that a diagnosis needs besides the error.

use std::path::PathBuf;
use std::time::Duration;

use crate::gcs::credentials::{Identity, Principal};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The credential's file.
    Credential,
    /// A token.
    Token,
    /// The bucket.
    Bucket,
    /// Its listing.
    Listing,
    /// An object.
    Object,
    /// A signature, or what a signed URL leads to.
    SignedUrl,
}

/// How far this machine's clock is from GCS's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// Ours is ahead by so much.
    Ahead(Duration),
    /// Ours is behind by so much.
    Behind(Duration),
}

impl Skew {
    /// By how much, either way.
    pub fn size(self) -> Duration {
        match self {
            Self::Ahead(by) | Self::Behind(by) => by,
        }
    }
}

/// The circumstances of a connection's check.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The connection's name.
    pub connection: String,
    /// The bucket's name.
    pub bucket: String,
    /// Bucket and prefix.
    pub uri: String,
    /// Which of `[credentials]`.
    pub credential: String,
    /// The credential's file, if it is one.
    pub file: Option<PathBuf>,
    /// Who the credential is, once it could be read.
    pub identity: Option<Identity>,
    /// The project that pays.
    pub project: Option<String>,
    /// Where GCS is.
    pub endpoint: String,
    /// Whether the process is told to use a proxy.
    pub proxied: bool,
    /// How far the clock is off, once it was compared.
    pub skew: Option<Skew>,
    /// Why the token endpoint would not take the key either, after GCS refused its token.
    pub second_opinion: Option<String>,
}

impl Scene {
    /// The caller as IAM takes it.
    pub fn member(&self) -> String {
        self.identity.as_ref().map_or_else(|| "serviceAccount:ADDRESS".to_owned(), |who| who.caller.member())
    }

    /// The caller's address, or a place to fill in.
    pub fn email(&self) -> &str {
        self.identity.as_ref().and_then(|who| who.caller.email()).unwrap_or("SERVICE_ACCOUNT_ADDRESS")
    }

    /// The caller in a sentence.
    pub fn caller(&self) -> String {
        self.identity.as_ref().map_or_else(|| "the caller".to_owned(), |who| who.caller.to_string())
    }

    /// The account whose tokens or signatures are wanted.
    pub fn target(&self) -> &str {
        let named = self.identity.as_ref().and_then(|who| who.sign_as.as_deref());
        named.unwrap_or_else(|| self.email())
    }

    /// Who has to be allowed to act as the target: the source of an impersonation, else the caller itself.
    pub fn actor(&self) -> String {
        let Some(who) = &self.identity else { return "serviceAccount:ADDRESS".to_owned() };
        let impersonated = who.sign_as.as_deref().is_none_or(|account| who.caller.email() == Some(account));
        match &who.source {
            Some(source) if impersonated => source.member(),
            _ => who.caller.member(),
        }
    }

    /// The project that a service account lives in.
    pub fn account_project(&self) -> Option<&str> {
        project_of(self.identity.as_ref()?.caller.email()?)
    }

    /// Whether the caller has no identity at all.
    pub fn is_anonymous(&self) -> bool {
        self.identity.as_ref().is_some_and(|who| who.caller == Principal::Anyone)
    }
}

/// The project in `name@PROJECT.iam.gserviceaccount.com`.
pub(super) fn project_of(email: &str) -> Option<&str> {
    email.rsplit_once('@')?.1.strip_suffix(".iam.gserviceaccount.com")
}
