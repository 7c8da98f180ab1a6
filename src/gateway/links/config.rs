//! `[links]`: with which keys links are signed and verified, and where the revocation list is.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::key::KeyId;
use super::moment::Moment;

/// `[links]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The keys; the first one that has not ended signs, all of them verify.
    pub keys: Vec<KeyConfig>,
    /// The revocation list.
    pub revoked: Option<PathBuf>,
    /// Links made in the same window of time are the same; they live up to this much longer.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
}

/// One of `links.keys`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Its name.
    pub id: KeyId,
    /// Where it is.
    pub file: PathBuf,
    /// When it ends.
    #[serde(default)]
    pub not_after: Option<Moment>,
}

/// What is wrong in `[links]` by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Two keys with one name.
    #[error("two keys have the id \"{0}\"; links are told apart by it, so give each its own")]
    Twice(KeyId),
    /// More than anybody rotates.
    #[error("there are {0} keys; {MOST_KEYS} at most")]
    TooMany(usize),
}

const MOST_KEYS: usize = 32;

impl Config {
    /// Checks the section by itself; no file is touched.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.keys.len() > MOST_KEYS {
            return Err(ConfigError::TooMany(self.keys.len()));
        }
        let twice = |(at, key): (usize, &KeyConfig)| self.keys[..at].iter().any(|other| other.id == key.id);
        match self.keys.iter().enumerate().find(|(at, key)| twice((*at, key))) {
            Some((_, key)) => Err(ConfigError::Twice(key.id.clone())),
            None => Ok(()),
        }
    }
}

/// Where a key is, is nobody's business.
impl fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyConfig").field("id", &self.id).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_may_end_and_their_ids_differ() {
        let read = |text: &str| toml::from_str::<Config>(text).expect("legal TOML");
        let two = read(
            "keys = [{ id = \"a\", file = \"/secret/a\" }, { id = \"b\", file = \"b\", not_after = 2027-01-31 }]\n\
             revoked = \"revoked.txt\"\nwindow = \"1h\"",
        );
        assert_eq!(two.check(), Ok(()));
        assert_eq!(two.keys[1].not_after, "2027-01-31".parse().ok());
        assert!(!format!("{two:?}").contains("secret"));
        let text = read("keys = [{ id = \"a\", file = \"a\", not_after = \"2027-01-31T00:00:00Z\" }]");
        assert_eq!(text.keys[0].not_after, two.keys[1].not_after);
        let twice = read("keys = [{ id = \"a\", file = \"a\" }, { id = \"a\", file = \"b\" }]");
        assert!(matches!(twice.check(), Err(ConfigError::Twice(_))));
        assert!(toml::from_str::<Config>("keys = [{ id = \"a\", file = \"a\", not_after = \"soon\" }]").is_err());
    }
}
