//! `[label_studio]`: where Label Studio is, whom it knows us as, and how its media is answered for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{export, storage};
use crate::gcs::Endpoint;

/// First segments of Label Studio's own paths, which no connection may take from it.
pub const PATHS: [&str; 33] = [
    "admin",
    "annotator",
    "api",
    "api-auth",
    "authentication",
    "data",
    "django-rq",
    "dm",
    "docs",
    "export",
    "favicon",
    "feature-flags",
    "files",
    "health",
    "heidi-tips",
    "import",
    "label-studio-frontend",
    "labels",
    "metrics",
    "ml",
    "models",
    "organization",
    "people",
    "projects",
    "react-app",
    "samples",
    "static",
    "storage-data",
    "tasks",
    "trigger500",
    "upload",
    "user",
    "version",
];

/// The `[label_studio]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where Label Studio's API is asked; without it, at `upstream`.
    pub url: Option<Endpoint>,
    /// File with a personal access token, or with a legacy token.
    pub token_file: Option<PathBuf>,
    /// Where annotations go.
    pub export: Option<export::Config>,
    /// What Label Studio's own Cloud Storage client may do through the gateway.
    pub storage: Option<storage::Config>,
    /// Where Label Studio itself listens; with it, the gateway stands in front of Label Studio.
    pub upstream: Option<Endpoint>,
    /// PEM file with certificate authorities to trust for an upstream that speaks https, besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for a connection to it.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Longest wait for an answer to begin, and longest silence inside one. Its storage sync answers when it is done.
    #[serde(with = "humantime_serde")]
    pub answer_timeout: Duration,
    /// How long what Label Studio said about a user and a task is believed.
    #[serde(with = "humantime_serde")]
    pub decision_ttl: Duration,
    /// Whether an object must stand in the task's own data.
    pub require_in_task: bool,
    /// What becomes of objects that no connection covers.
    pub uncovered: Uncovered,
    /// Whether `/{connection}/{object}` is served as well, by the connection's own rules and without asking Label Studio.
    pub media_paths: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            token_file: None,
            export: None,
            storage: None,
            upstream: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_mins(10),
            decision_ttl: Duration::from_secs(5),
            require_in_task: true,
            uncovered: Uncovered::Stream,
            media_paths: false,
        }
    }
}

impl Config {
    /// Where Label Studio's API is asked.
    pub fn server(&self) -> Option<&Endpoint> {
        self.url.as_ref().or(self.upstream.as_ref())
    }

    /// Makes paths absolute.
    pub fn locate(&mut self, locate: impl Fn(&Path) -> PathBuf) {
        for file in [&mut self.token_file, &mut self.ca_file] {
            *file = file.take().map(|path| locate(&path));
        }
        if let Some(export) = &mut self.export {
            export.secret_file = export.secret_file.take().map(|path| locate(&path));
        }
        if let Some(storage) = &mut self.storage {
            storage.locate(locate);
        }
    }
}

/// What becomes of an object that no connection covers, once Label Studio has signed a URL for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uncovered {
    /// The gateway fetches the URL, if it leads to the storage host, and streams it.
    #[default]
    Stream,
    /// The redirect is passed on.
    Pass,
}
