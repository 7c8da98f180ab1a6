//! `[connections.NAME.jwt]`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::{Carrier, Policy};

const IAP_ISSUER: &str = "https://cloud.google.com/iap";
const IAP_JWKS: &str = "https://www.gstatic.com/iap/verify/public_key-jwk";
/// Whose clock is further off has another trouble.
const LONGEST_LEEWAY: Duration = Duration::from_mins(5);

/// `[connections.NAME.jwt]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The one `iss`.
    pub issuer: Option<String>,
    /// `aud` must have one of these.
    pub audience: Option<Audience>,
    /// Where the issuer's keys are: a URL or a file.
    pub jwks: Option<JwksSource>,
    /// The only algorithms.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may differ.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
    /// The claim that says who.
    pub subject_claim: String,
    /// In place of issuer, audience and keys: Google's Identity-Aware Proxy.
    pub iap: Option<Iap>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            jwks: None,
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256],
            leeway: Duration::from_secs(30),
            subject_claim: "sub".to_owned(),
            iap: None,
        }
    }
}

/// `iap = { audience = "/projects/NUMBER/global/backendServices/ID" }`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Iap {
    /// The backend service, or the App Engine application.
    pub audience: Audience,
    /// Google's keys, unless they are elsewhere.
    #[serde(default)]
    pub jwks: Option<JwksSource>,
}

/// One audience or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// How a token is signed. Symmetric ways and `none` do not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Algorithm {
    /// RSA, PKCS#1 v1.5, SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA, P-256, SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}

impl Algorithm {
    /// By the name in a token's header.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }
}

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum JwksSource {
    /// Fetched and kept.
    Url(Url),
    /// Read at load.
    File(PathBuf),
}

/// Why `[connections.NAME.jwt]` was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtConfigError {
    /// A URL that keys must not be had from.
    #[error("keys are fetched by https only, or by http from this machine; without user name and fragment")]
    Url,
    /// Something is missing.
    #[error("{0} is missing; a token's issuer, audience and keys are all needed, or iap")]
    Missing(&'static str),
    /// Empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// Both.
    #[error("iap stands in place of {0}; remove one of the two")]
    Both(&'static str),
    /// Clocks.
    #[error("leeway is 5m at most")]
    Leeway,
}

impl TryFrom<String> for JwksSource {
    type Error = JwtConfigError;

    fn try_from(text: String) -> Result<Self, JwtConfigError> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let url = Url::parse(&text).map_err(|_| JwtConfigError::Url)?;
        let good = is_confidential(&url) && url.fragment().is_none();
        if good { Ok(Self::Url(url)) } else { Err(JwtConfigError::Url) }
    }
}

/// Whether nobody on the way can read or change what is said: https, or this machine. A user name has no place there.
pub(in crate::gateway) fn is_confidential(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let plain = url.username().is_empty() && url.password().is_none();
    plain && (url.scheme() == "https" || url.scheme() == "http" && local)
}

impl JwtConfigError {
    /// The key that the error is about.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Url => "jwks",
            Self::Missing(key) | Self::Empty(key) => key,
            Self::Both(_) => "iap",
            Self::Leeway => "leeway",
        }
    }
}

/// Carrier, issuer, audience, algorithms, keys.
type Parts = (Carrier, String, Vec<String>, Vec<Algorithm>, JwksSource);

impl Config {
    /// Which tokens are good, and where the keys are.
    pub fn policy(&self) -> Result<(Policy, JwksSource), JwtConfigError> {
        let (carrier, issuer, audience, algorithms, jwks) =
            if let Some(iap) = &self.iap { self.assertions(iap)? } else { self.bearer()? };
        let empty = [
            ("issuer", issuer.is_empty()),
            ("audience", audience.is_empty() || audience.iter().any(String::is_empty)),
            ("algorithms", algorithms.is_empty()),
            ("subject_claim", self.subject_claim.is_empty()),
        ];
        if let Some((key, _)) = empty.into_iter().find(|(_, empty)| *empty) {
            return Err(JwtConfigError::Empty(key));
        }
        if self.leeway > LONGEST_LEEWAY {
            return Err(JwtConfigError::Leeway);
        }
        let (leeway, subject_claim) = (self.leeway, self.subject_claim.clone());
        let issuer = issuer.into();
        Ok((Policy { carrier, issuer, audience, algorithms, leeway, subject_claim }, jwks))
    }

    fn assertions(&self, iap: &Iap) -> Result<Parts, JwtConfigError> {
        let given =
            [("issuer", self.issuer.is_some()), ("audience", self.audience.is_some()), ("jwks", self.jwks.is_some())];
        if let Some((key, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(JwtConfigError::Both(key));
        }
        let google = || JwksSource::try_from(IAP_JWKS.to_owned());
        let jwks = iap.jwks.clone().map_or_else(google, Ok)?;
        Ok((Carrier::Iap, IAP_ISSUER.to_owned(), iap.audience.list(), vec![Algorithm::Es256], jwks))
    }

    fn bearer(&self) -> Result<Parts, JwtConfigError> {
        let missing = JwtConfigError::Missing;
        let issuer = self.issuer.clone().ok_or(missing("issuer"))?;
        let audience = self.audience.as_ref().ok_or(missing("audience"))?.list();
        let jwks = self.jwks.clone().ok_or(missing("jwks"))?;
        Ok((Carrier::Bearer, issuer, audience, self.algorithms.clone(), jwks))
    }

    /// The file that the keys are in, if they are in one.
    pub fn file(&self) -> Option<&PathBuf> {
        let own = self.iap.as_ref().map_or(self.jwks.as_ref(), |iap| iap.jwks.as_ref());
        match own {
            Some(JwksSource::File(path)) => Some(path),
            Some(JwksSource::Url(_)) | None => None,
        }
    }
}

impl Audience {
    fn list(&self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one.clone()],
            Self::Several(several) => several.clone(),
        }
    }
}
