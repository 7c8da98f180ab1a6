//! What an error means and what to do about it. Pure: error and circumstances in, cause and remedy out.
//!
//! Each kind of failure has a [`Fault`] of its own, so that it can be told apart by people, pages and scripts.
//! Follows <https://cloud.google.com/storage/docs/troubleshooting> and the error tables that it leads to.

mod contents;
mod credential;
mod network;
mod storage;

use serde::Serialize;

pub(super) use self::contents::{Contents, near, outcome as contents};
pub(super) use self::credential::token_creator;
pub(super) use self::storage::{LOUD_SKEW, binding, clock, consumer, missing};
use super::scene::{Asked, Scene};
use crate::gcs;

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The credential's file is not there or not for us.
    FileUnreadable,
    /// The credential's file is open to others.
    FileOpenToOthers,
    /// The credential's file is not JSON.
    NotJson,
    /// JSON, but no credential that can be used.
    WrongType,
    /// The private key is cut off.
    KeyTruncated,
    /// The private key is damaged.
    KeyDamaged,
    /// A field of the file is missing or wrong.
    FileWrong,
    /// No application default credentials.
    NoCredential,
    /// The key was deleted.
    KeyRevoked,
    /// The account was disabled or deleted.
    AccountGone,
    /// The user's grant was taken back or ended.
    SignInEnded,
    /// The token endpoint refused for another reason.
    TokenRefused,
    /// The audience of federation does not fit.
    FederationAudience,
    /// The subject of federation does not fit.
    FederationSubject,
    /// There is no subject token.
    SubjectToken,
    /// The token-creator role is missing.
    TokenCreator,
    /// IAM's API is off.
    ApiDisabled,
    /// A permission is missing.
    PermissionMissing,
    /// The token's scope does not reach.
    ScopeMissing,
    /// No such bucket.
    BucketNotFound,
    /// No such object.
    ObjectNotFound,
    /// The caller has to name a project that pays.
    RequesterPays,
    /// The named project may not be charged.
    PayerDenied,
    /// A service perimeter.
    VpcServiceControls,
    /// The bucket's IP filter.
    IpFilter,
    /// The project's billing account is off.
    BillingDisabled,
    /// Nothing under the prefix.
    EmptyPrefix,
    /// The prefix does not end in a slash.
    PrefixWithoutSlash,
    /// Nothing passes the filter.
    FilterMatchesNothing,
    /// Names that no URL can carry.
    UnservableNames,
    /// Objects without content.
    EmptyObjects,
    /// Signed URLs are wanted and cannot be made.
    CannotSign,
    /// GCS does not accept the signature.
    SignatureRefused,
    /// Signed URLs lead pages to a bucket whose CORS does not let them read.
    CorsMissing,
    /// The host's name is not known.
    Dns,
    /// Nobody listens there, or no route.
    Connect,
    /// The connection is not made in time.
    ConnectTimeout,
    /// The certificate is not trusted, or TLS fails otherwise.
    Tls,
    /// A proxy on the way.
    Proxy,
    /// Connected, but no answer in time, or a broken one.
    Interrupted,
    /// Whoever answers does not speak as GCS does.
    NotGcs,
    /// GCS is busy or down.
    Busy,
    /// This machine's clock.
    ClockSkew,
    /// None of these.
    Other,
}

/// Why something failed and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Which kind of failure.
    pub fault: Fault,
    /// Why.
    pub cause: String,
    /// What to do, in order.
    pub remedy: Vec<String>,
    /// Command lines for it, to be read before they are run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

impl Diagnosis {
    pub(super) fn new(fault: Fault, cause: impl Into<String>) -> Self {
        Self { fault, cause: cause.into(), remedy: Vec::new(), commands: Vec::new() }
    }

    pub(super) fn remedy(mut self, step: impl Into<String>) -> Self {
        self.remedy.push(step.into());
        self
    }

    /// The same with every text changed.
    pub(super) fn map(self, change: fn(&str) -> String) -> Self {
        let all = |texts: Vec<String>| texts.iter().map(|text| change(text)).collect();
        Self { cause: change(&self.cause), remedy: all(self.remedy), commands: all(self.commands), ..self }
    }

    pub(super) fn command(mut self, line: impl Into<String>) -> Self {
        self.commands.push(line.into());
        self
    }
}

/// What an error means.
pub fn diagnose(error: &gcs::Error, asked: Asked, scene: &Scene) -> Diagnosis {
    match error {
        gcs::Error::Credential(source) | gcs::Error::Signature(source) => match source.downcast_ref() {
            Some(error) => credential::diagnose(error, asked, scene),
            None => Diagnosis::new(Fault::Other, chain(error)).remedy("Read the cause; it is none that gsgate knows."),
        },
        gcs::Error::Connect { authority, source } => network::diagnose(source.as_ref(), authority, scene),
        _ => storage::diagnose(error, asked, scene),
    }
}

/// What an error of a credential means.
pub(super) fn diagnose_credential(error: &gcs::credentials::Error, asked: Asked, scene: &Scene) -> Diagnosis {
    credential::diagnose(error, asked, scene)
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// A shell word: in quotes where it needs them.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
pub(in crate::check) mod tests;
