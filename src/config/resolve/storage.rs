//! `[label_studio.storage]` beside the other sections: its connections, and from where it may be used.

use super::{Section, with};
use crate::config::ConfigError;
use crate::gateway::access::{self, Access, Demand};

impl Section<'_> {
    /// The connections of the storage endpoint, and from where its API may be used.
    pub(super) fn storage(&self) -> Result<Option<Access>, ConfigError> {
        let Some(config) = &self.config.label_studio.storage else { return Ok(None) };
        let path = ["label_studio", "storage"];
        let at = |last: &str, message: String| self.origin.error(with(&path, last), message);
        if config.named().next().is_none() {
            let cure = "Label Studio could see nothing; name connections that it may read, or write to in export";
            return Err(at("connections", cure.to_owned()));
        }
        for (list, name) in config.named() {
            match self.config.connections.get(name.as_str()) {
                None => return Err(at(list, format!("there is no [connections.{name}]"))),
                Some(connection) if connection.jwt.is_some() => {
                    let cure = format!(
                        "connection \"{name}\" demands a jwt, which Label Studio's client cannot show; name another"
                    );
                    return Err(at(list, cure));
                }
                Some(_) => {}
            }
        }
        let Some(allow) = &config.allow else { return Ok(None) };
        let deny = self.config.access.deny.clone();
        let rules = access::Config { allow: Some(allow.clone()), deny, ip_filter_file: None };
        self.access(&path, Demand::Network, &rules).map(Some)
    }
}
