//! What the process says: one line a request in target `gsgate::access`, and events of the other rooms.
//!
//! Everything goes to standard error, as text on a terminal and as Google Cloud Logging JSON elsewhere.
//! It never logs a query string, a token or a signature, and it escapes whatever a client chose.
//! Follows <https://cloud.google.com/logging/docs/structured-logging>.

mod access;
mod causes;
mod format;
mod lines;
mod output;
mod scan;
mod sender;
mod trace;

use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, registry};

use self::output::Output;

pub use access::{AccessEvent, Outcome, TARGET};
pub use causes::Causes;
pub use format::Formatter;
pub use lines::{flush, gather};
pub use sender::Sender;
pub use trace::{RequestId, Trace};

/// The `[log]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How a line looks.
    pub format: Format,
    /// From which level on, perhaps per module: `info`, `info,gsgate=debug`.
    pub level: Level,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For Google Cloud Logging.
    Json,
}

/// A level, or a list of `module=level`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Level(String);

impl Config {
    /// Only what went wrong, for commands whose own words are what matters.
    pub fn quiet() -> Self {
        Self { format: Format::Auto, level: Level("warn".to_owned()) }
    }
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A level that nobody knows.
    #[error("{0:?} is no log level: use error, warn, info, debug or trace, or a list such as info,gsgate=debug")]
    Level(String),
    /// Something else in the process logs already.
    #[error("logging is set up twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Sends all events to standard error from now on; `project` completes the trace names of Cloud Logging.
pub fn init(config: &Config, project: Option<String>) -> Result<(), Error> {
    let for_people = match config.format {
        Format::Text => true,
        Format::Json => false,
        Format::Auto => io::stderr().is_terminal(),
    };
    let formatter = if for_people { Formatter::Text } else { Formatter::Json { project } };
    subscriber(&config.level, formatter, lines::Lines)?.try_init().map_err(Error::Twice)
}

/// The subscriber that [`init`] installs, with a writer of one's choice.
pub fn subscriber<W>(level: &Level, formatter: Formatter, writer: W) -> Result<impl Subscriber + Send + Sync, Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&level.0).map_err(|_| Error::Level(level.0.clone()))?;
    Ok(registry().with(filter).with(Output::new(formatter, writer)))
}

impl Default for Level {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl TryFrom<String> for Level {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let known = |level: &str| ["error", "warn", "info", "debug", "trace", "off"].contains(&level);
        let good = !text.is_empty()
            && text.split(',').all(|part| known(part.split_once('=').map_or(part, |(_, level)| level)))
            && EnvFilter::try_new(&text).is_ok();
        if good { Ok(Self(text)) } else { Err(Error::Level(text)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_known_words() {
        for good in ["info", "debug", "info,gsgate=debug", "off"] {
            assert!(Level::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "loud", "info,", "gsgate=loud"] {
            let error = Level::try_from(bad.to_owned()).unwrap_err().to_string();
            assert!(error.contains("no log level"), "{bad}: {error}");
        }
    }

    #[test]
    fn the_section_refuses_unknown_keys_and_has_defaults() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(config, Config { format: Format::Auto, level: Level("info".to_owned()) });
        assert!(toml::from_str::<Config>("colour = true").is_err());
        assert!(toml::from_str::<Config>("format = \"xml\"").is_err());
    }
}
