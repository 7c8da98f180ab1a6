//! Configuration: one TOML file, overlaid by environment variables, checked as a whole.
//!
//! Order: flag > environment > file > default. Unknown keys are errors, and every error names file, line and key.
//! Each room owns its section; here they are put together. No network is touched.

mod environment;
mod error;
mod resolve;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::environment::Environment;
pub use self::error::ConfigError;
pub use self::resolve::{KeysAt, Resolved, ResolvedConnection};
use crate::gateway::access::{self, Networks};
use crate::gateway::budget;
use crate::gateway::connection;
use crate::gateway::cors;
use crate::gateway::links;
use crate::gateway::route::ConnectionName;
use crate::gateway::vendor;
use crate::gcs::credentials;
use crate::{audit, cache, gcs, label_studio, server, telemetry};

/// A configuration file is never larger than this.
const MAX_FILE: u64 = 1024 * 1024;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    #[serde(default)]
    pub server: server::Config,
    /// `[admin]`
    #[serde(default)]
    pub admin: server::AdminConfig,
    /// `[networks]`
    #[serde(default)]
    pub networks: Networks,
    /// `[access]`
    #[serde(default)]
    pub access: access::Config,
    /// `[cors]`
    #[serde(default)]
    pub cors: cors::Config,
    /// `[links]`
    #[serde(default)]
    pub links: links::Config,
    /// `[gcs]`
    #[serde(default)]
    pub gcs: gcs::Config,
    /// `[cache]`
    #[serde(default)]
    pub cache: cache::Config,
    /// `[credentials.*]`
    #[serde(default)]
    pub credentials: BTreeMap<String, credentials::Config>,
    /// `[connections.*]`
    #[serde(default)]
    pub connections: BTreeMap<ConnectionName, connection::Config>,
    /// `[budgets]`
    #[serde(default)]
    pub budgets: budget::Config,
    /// `[vendors]`
    #[serde(default)]
    pub vendors: vendor::Config,
    /// `[audit]`
    #[serde(default)]
    pub audit: audit::Config,
    /// `[label_studio]`
    #[serde(default)]
    pub label_studio: label_studio::Config,
    /// `[log]`
    #[serde(default)]
    pub log: telemetry::Config,
}

/// Where a configuration came from: for messages, and for paths inside it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// Its text, to find lines in.
    text: String,
    /// What the environment overrode.
    overridden: environment::Overridden,
}

impl Config {
    /// Reads and checks the file, with `environment` laid over it.
    pub fn load(path: &Path, environment: &Environment) -> Result<Resolved, ConfigError> {
        let text = read(path)?;
        Self::parse(path, text, environment)
    }

    /// The same for a text that is already there; `path` is for messages and for relative paths inside.
    pub fn parse(path: &Path, text: String, environment: &Environment) -> Result<Resolved, ConfigError> {
        let mut table: toml::Table = toml::from_str(&text).map_err(|error| ConfigError::syntax(path, &text, &error))?;
        let overridden = environment.overlay(&mut table)?;
        let redacted = redacted(&table);
        let origin = Origin { path: path.to_owned(), text, overridden };
        let mut config: Self = serde_path_to_error::deserialize(toml::Value::Table(table))
            .map_err(|error| origin.error(segments(error.path()), error.inner().message().to_owned()))?;
        environment.apply(&mut config, &origin.overridden)?;
        resolve::resolve(config, origin, redacted)
    }
}

impl Origin {
    /// An error at a key: names the environment variable or the file's line that it came from.
    pub fn error(&self, key: Vec<String>, message: String) -> ConfigError {
        ConfigError::at_key(self, &key, message)
    }

    /// A path from the configuration: relative ones are relative to the file.
    pub fn locate(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |error: std::io::Error| ConfigError::unreadable(path, &error);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE { Err(ConfigError::too_large(path, MAX_FILE)) } else { Ok(text) }
}

/// The configuration in force as text, without the places where secrets are.
fn redacted(table: &toml::Table) -> String {
    let mut table = table.clone();
    let credentials = table.get_mut("credentials").and_then(toml::Value::as_table_mut);
    for (_, credential) in credentials.into_iter().flatten() {
        if let Some(path) = credential.get_mut("path") {
            *path = toml::Value::String("[redacted]".to_owned());
        }
    }
    let keys = table.get_mut("links").and_then(|links| links.get_mut("keys")).and_then(toml::Value::as_array_mut);
    for key in keys.into_iter().flatten() {
        if let Some(file) = key.get_mut("file") {
            *file = toml::Value::String("[redacted]".to_owned());
        }
    }
    if let Some(file) = table.get_mut("admin").and_then(|admin| admin.get_mut("token_file")) {
        *file = toml::Value::String("[redacted]".to_owned());
    }
    table.to_string()
}

fn segments(path: &serde_path_to_error::Path) -> Vec<String> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } | Segment::Enum { variant: key } => Some(key.clone()),
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Unknown => None,
        })
        .collect()
}
