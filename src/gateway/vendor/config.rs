//! The `[vendors]` section.

use std::path::PathBuf;

use reqwest::Url;
use serde::Deserialize;

use crate::gateway::jwt::is_confidential;
use crate::gateway::route::ConnectionName;

/// `[vendors]`: what is not named is off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[vendors.labelbox]`
    pub labelbox: Option<LabelboxConfig>,
    /// `[vendors.diffgram]`
    pub diffgram: Option<DiffgramConfig>,
    /// `[vendors.toloka]`
    pub toloka: Option<TolokaConfig>,
}

/// `[vendors.labelbox]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelboxConfig {
    /// The file with the secret that tokens are signed with.
    pub secret: PathBuf,
    /// The connections whose objects tokens may name.
    pub connections: Vec<ConnectionName>,
}

/// `[vendors.diffgram]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffgramConfig {
    /// The file with the one value of `Authorization` that is answered.
    pub authorization: PathBuf,
    /// The connections whose objects URLs are given for.
    pub connections: Vec<ConnectionName>,
}

/// `[vendors.toloka]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TolokaConfig {
    /// Toloka's API.
    #[serde(default)]
    pub api: ApiUrl,
    /// The file with the OAuth token for it.
    pub token: PathBuf,
    /// The connection whose objects tasks name.
    pub connection: ConnectionName,
}

/// `https`, or this machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ApiUrl(String);

/// Not a URL that a token may be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an https URL such as https://toloka.dev/api/v1, or http on this machine, without query")]
pub struct ApiUrlError;

impl Default for ApiUrl {
    fn default() -> Self {
        Self("https://toloka.dev/api/v1".to_owned())
    }
}

impl TryFrom<String> for ApiUrl {
    type Error = ApiUrlError;

    fn try_from(text: String) -> Result<Self, ApiUrlError> {
        let url = Url::parse(&text).map_err(|_| ApiUrlError)?;
        let whole = url.query().is_none() && url.fragment().is_none();
        let good = whole && is_confidential(&url);
        if good { Ok(Self(text.trim_end_matches('/').to_owned())) } else { Err(ApiUrlError) }
    }
}

impl ApiUrl {
    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Config {
    /// The files that are read at load.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let labelbox = self.labelbox.as_ref().map(|labelbox| &labelbox.secret);
        let diffgram = self.diffgram.as_ref().map(|diffgram| &diffgram.authorization);
        let toloka = self.toloka.as_ref().map(|toloka| &toloka.token);
        [labelbox, diffgram, toloka].into_iter().flatten()
    }

    /// The connections that are named, with the key that names them.
    pub fn connections(&self) -> impl Iterator<Item = ([&'static str; 2], &ConnectionName)> {
        let labelbox = self.labelbox.iter().flat_map(|labelbox| &labelbox.connections);
        let diffgram = self.diffgram.iter().flat_map(|diffgram| &diffgram.connections);
        let toloka = self.toloka.iter().map(|toloka| &toloka.connection);
        (labelbox.map(|name| (["labelbox", "connections"], name)))
            .chain(diffgram.map(|name| (["diffgram", "connections"], name)))
            .chain(toloka.map(|name| (["toloka", "connection"], name)))
    }
}
