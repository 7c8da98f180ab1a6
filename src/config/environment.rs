//! Environment variables: `GSGATE_SECTION__KEY` over the file, and the few names that platforms and SDKs use.
//!
//! The environment is a value that `main` takes once; nothing else reads the process's own.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use super::{Config, ConfigError};
use crate::gcs::credentials;

const PREFIX: &str = "GSGATE_";

/// The variables of a process, and the flags that override them.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    flags: Vec<Flag>,
}

/// A command-line flag that stands for a key.
#[derive(Clone, Debug)]
struct Flag {
    name: &'static str,
    key: Vec<String>,
    value: toml::Value,
}

/// Which keys were overridden, and by what.
pub(super) type Overridden = Vec<(Vec<String>, String)>;

/// Values may be secrets of other programs.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("names", &self.variables.keys()).field("flags", &self.flags).finish()
    }
}

impl Environment {
    /// The variables of this process; those that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// One variable, unless it is empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same variables for credentials, with the system's clock.
    pub fn for_credentials(&self) -> credentials::Environment {
        let variables = self.variables.clone();
        credentials::Environment::new(move |name| variables.get(name).cloned())
    }

    /// Lets the flag `name` set the key `key`, such as `server.listen`.
    pub fn with_flag(mut self, name: &'static str, key: &str, value: impl Into<toml::Value>) -> Self {
        self.flags.push(Flag { name, key: key.split('.').map(str::to_owned).collect(), value: value.into() });
        self
    }

    /// Lays `GSGATE_A__B=value` over `table` as `a.b`; returns which keys came from which variable.
    /// A value is TOML where it reads as such, else a string. Names without `__` are not ours: Kubernetes sets `GSGATE_PORT` for a service of that name.
    pub(super) fn overlay(&self, table: &mut toml::Table) -> Result<Overridden, ConfigError> {
        let mut overridden = Overridden::new();
        for (name, value) in &self.variables {
            let Some(key) = name.strip_prefix(PREFIX).filter(|key| key.contains("__")) else { continue };
            let path: Vec<String> = key.split("__").map(str::to_ascii_lowercase).collect();
            insert(table, &path, parse(value)).map_err(|message| ConfigError::new(name.as_str(), message))?;
            overridden.push((path, name.clone()));
        }
        for Flag { name, key, value } in &self.flags {
            insert(table, key, value.clone()).map_err(|message| ConfigError::new(*name, message))?;
            overridden.insert(0, (key.clone(), (*name).to_owned()));
        }
        Ok(overridden)
    }

    /// `PORT` (Cloud Run and others) and `STORAGE_EMULATOR_HOST` (Google's SDKs).
    /// What names a key itself is more exact than they are, and wins.
    pub(super) fn apply(&self, config: &mut Config, overridden: &Overridden) -> Result<(), ConfigError> {
        let listen_is_set = overridden.iter().any(|(key, _)| key == &["server", "listen"]);
        if let Some(port) = self.var("PORT").filter(|_| !listen_is_set) {
            let port: u16 = port.parse().map_err(|_| {
                ConfigError::new("PORT", format!("'{port}' is no port; it must be a number from 1 to 65535"))
            })?;
            config.server.listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into();
        }
        if let Some(host) = self.var("STORAGE_EMULATOR_HOST") {
            let url = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
            config.gcs.endpoint = url.parse().map_err(|error| {
                ConfigError::new("STORAGE_EMULATOR_HOST", format!("'{host}' is no endpoint: {error}"))
            })?;
        }
        Ok(())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().collect(), flags: Vec::new() }
    }
}

fn parse(value: &str) -> toml::Value {
    let read = toml::from_str::<toml::Table>(&format!("v = {value}")).ok();
    let single = read.filter(|table| table.len() == 1).and_then(|mut table| table.remove("v"));
    single.unwrap_or_else(|| toml::Value::String(value.to_owned()))
}

fn insert(table: &mut toml::Table, path: &[String], value: toml::Value) -> Result<(), String> {
    match path {
        [] => Ok(()),
        [last] => {
            table.insert(last.clone(), value);
            Ok(())
        }
        [first, rest @ ..] => {
            let inner = table.entry(first.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let inner = inner
                .as_table_mut()
                .ok_or_else(|| format!("'{first}' is no table, so it has no '{}'", rest.join(".")))?;
            insert(inner, rest, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_lie_over_the_file_as_toml_or_text() {
        let environment: Environment = [
            ("GSGATE_SERVER__LISTEN", "0.0.0.0:80"),
            ("GSGATE_GCS__RETRIES", "7"),
            ("GSGATE_ACCESS__ALLOW", "[\"10.0.0.0/8\"]"),
            ("GSGATE_PORT", "tcp://10.0.0.1:80"),
            ("HOME", "/root"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let mut table: toml::Table = toml::from_str("[server]\nlisten = \"127.0.0.1:1\"\n").expect("legal");
        let overridden = environment.overlay(&mut table).expect("legal");
        assert_eq!(overridden.len(), 3);
        let expected = "[server]\nlisten = \"0.0.0.0:80\"\n[gcs]\nretries = 7\n[access]\nallow = [\"10.0.0.0/8\"]\n";
        assert_eq!(table, toml::from_str(expected).expect("legal"));
    }

    #[test]
    fn a_value_cannot_smuggle_in_further_keys() {
        assert_eq!(parse("1\nw = 2"), toml::Value::String("1\nw = 2".to_owned()));
    }
}
