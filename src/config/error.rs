//! Configuration errors: one line that says where, what, and how to mend it.

use std::fmt;
use std::io;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::Origin;

/// What is wrong with the configuration, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    message: String,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Messages of libraries may have several lines; an operator's log wants one.
        let message = self.message.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(f, "{}: {message}", self.place)
    }
}

impl ConfigError {
    /// An error at `place`, which is a file, a variable or a flag.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }

    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let cure = match error.kind() {
            io::ErrorKind::NotFound => "; name it with --config, or start from config.example.toml",
            io::ErrorKind::PermissionDenied => "; let the user that gsgate runs as read it",
            _ => "",
        };
        Self::new(path.display().to_string(), format!("cannot read the configuration: {error}{cure}"))
    }

    pub(super) fn too_large(path: &Path, limit: u64) -> Self {
        Self::new(
            path.display().to_string(),
            format!("a configuration has {limit} bytes at most; is this the right file?"),
        )
    }

    pub(super) fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let place = match error.span() {
            Some(span) => format!("{}:{}", path.display(), line(text, span.start)),
            None => path.display().to_string(),
        };
        Self::new(place, error.message())
    }

    pub(super) fn at_key(origin: &Origin, key: &[String], message: String) -> Self {
        let variable = origin.overridden.iter().find(|(path, _)| key.starts_with(path));
        let place = match (variable, find(&origin.text, key)) {
            (Some((_, variable)), _) => variable.clone(),
            (None, Some(line)) => format!("{}:{line}", origin.path.display()),
            (None, None) => origin.path.display().to_string(),
        };
        let place = if key.is_empty() { place } else { format!("{place}: {}", key.join(".")) };
        Self::new(place, message)
    }
}

/// The line of a key, or of the nearest table around it.
fn find(text: &str, key: &[String]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut found = None;
    for segment in key {
        let Some((name, value)) = table.get_key_value(segment.as_str()) else { break };
        found = Some(line(text, name.span().start));
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    found
}

fn line(text: &str, offset: usize) -> usize {
    text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1)
}
