//! The `[audit]` section.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;

use super::writer::open_file;

/// `[audit]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where lines go; nowhere unless it is said.
    pub output: Option<Output>,
    /// Whether GCS learns the subject, for its own Data Access logs.
    pub upstream: bool,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Output {
    /// Standard output; the log goes to standard error.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

impl From<String> for Output {
    fn from(text: String) -> Self {
        if text == "stdout" { Self::Stdout } else { Self::File(text.into()) }
    }
}

impl Output {
    /// Whether it can be written now; a file is created by this.
    pub fn check(&self) -> io::Result<()> {
        match self {
            Self::Stdout => Ok(()),
            Self::File(path) => open_file(path)
                .map(drop)
                .map_err(|error| io::Error::new(error.kind(), format!("cannot append to {}: {error}", path.display()))),
        }
    }
}
