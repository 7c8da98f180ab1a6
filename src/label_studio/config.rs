//! `[label_studio]`: where Label Studio is, and whom it knows us as.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::export;
use crate::gcs::Endpoint;

/// The `[label_studio]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where Label Studio's API is asked.
    pub url: Option<Endpoint>,
    /// File with a personal access token, or with a legacy token.
    pub token_file: Option<PathBuf>,
    /// Where annotations go.
    pub export: Option<export::Config>,
}

impl Config {
    /// Where Label Studio's API is asked.
    pub fn server(&self) -> Option<&Endpoint> {
        self.url.as_ref()
    }

    /// Makes paths absolute.
    pub fn locate(&mut self, locate: impl Fn(&Path) -> PathBuf) {
        self.token_file = self.token_file.take().map(|path| locate(&path));
        if let Some(export) = &mut self.export {
            export.secret_file = export.secret_file.take().map(|path| locate(&path));
        }
    }
}
