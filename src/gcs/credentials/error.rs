//! Why a credential cannot be loaded, or gave no token.
//!
//! No variant holds a secret: of a file only names and places are told, of an answer only its status and reason.

use std::path::PathBuf;
use std::sync::Arc;

use crate::gcs::error::Source;

/// What is wrong with a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Keys of a `[credentials.*]` table that are missing or exclude each other.
    #[error("{0}")]
    Config(String),
    /// The file is not there, or not for us.
    #[error("cannot read the credential file {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// The file is not JSON.
    #[error("{path} is not JSON: it breaks at line {line}, column {column}; expected a Google credential file")]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// The JSON is not a credential that we know.
    #[error("{path}: {field} {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// The field, with those it stands in.
        field: String,
        /// What is wrong, and how to mend it.
        problem: String,
    },
    /// No HTTP client can be built.
    #[error("cannot set up HTTPS for token requests")]
    Setup(#[source] Source),
    /// No answer.
    #[error("{service} cannot be reached")]
    Unreachable {
        /// Who was asked.
        service: &'static str,
        /// What happened.
        #[source]
        source: Source,
    },
    /// An answer other than 200.
    #[error("{service} refused with status {status}: {reason}")]
    Refused {
        /// Who was asked.
        service: &'static str,
        /// The answer's status.
        status: u16,
        /// The answer's own words, shortened.
        reason: String,
    },
    /// An answer that is not understood.
    #[error("{service} answered nonsense: {problem}")]
    Nonsense {
        /// Who was asked.
        service: &'static str,
        /// What is missing.
        problem: &'static str,
    },
    /// A subject token could not be had where `credential_source` says.
    #[error("no subject token: {problem}")]
    Subject {
        /// What is wrong.
        problem: String,
        /// What happened.
        #[source]
        source: Option<Source>,
    },
    /// A private key that does not sign.
    #[error("the private key did not sign")]
    Key(#[source] Source),
    /// GCS refuses every token of this credential.
    #[error("GCS refused two tokens in a row (401)")]
    Rejected,
    /// The task that fetched the token is gone; only at shutdown.
    #[error("the token request was interrupted")]
    Interrupted,
    /// Application default credentials: nothing anywhere.
    #[error(
        "no application default credentials: GOOGLE_APPLICATION_CREDENTIALS is not set, {looked} is not there \
         and there is no metadata server; set the variable, run 'gcloud auth application-default login' or use source = \"file\""
    )]
    NoDefault {
        /// Where gcloud's file would be.
        looked: String,
        /// What the metadata server did.
        #[source]
        source: Option<Box<Error>>,
    },
    /// The same for all who waited.
    #[error(transparent)]
    Shared(Arc<Error>),
}

impl Error {
    /// A problem with one field of a file.
    pub(crate) fn file(path: &std::path::Path, field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), field: field.into(), problem: problem.into() }
    }

    /// Whether the bearer token of the call was refused.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused { status: 401, .. })
    }
}
