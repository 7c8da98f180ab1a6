//! The `[gcs]` section: where GCS is and how long it may take.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::object::limit;

/// The `[gcs]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where GCS answers; `STORAGE_EMULATOR_HOST` overrides it.
    pub endpoint: Endpoint,
    /// Address to connect to in the endpoint's place (`host:port`); Host and SNI stay the endpoint's.
    pub connect_to: Option<String>,
    /// PEM file with certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for a connection, TLS included.
    #[serde(deserialize_with = "limit::positive")]
    pub connect_timeout: Duration,
    /// Longest wait for the head of an answer, retries included.
    #[serde(deserialize_with = "limit::positive")]
    pub first_byte_timeout: Duration,
    /// Longest silence inside a body.
    #[serde(deserialize_with = "limit::positive")]
    pub stall_timeout: Duration,
    /// Requests to GCS under way at once, one at least.
    #[serde(deserialize_with = "one_or_more")]
    pub max_in_flight: usize,
    /// How often one request or one stream is tried again.
    pub retries: u32,
    /// Hosts beyond googleapis.com (or the key's universe domain) that a credential file may send us to.
    pub trusted_hosts: Vec<String>,
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let count = usize::deserialize(deserializer)?;
    if count == 0 { Err(de::Error::custom("expected a number above zero")) } else { Ok(count) }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::default(),
            connect_to: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(20),
            stall_timeout: Duration::from_secs(20),
            max_in_flight: 1024,
            retries: 4,
            trusted_hosts: Vec::new(),
        }
    }
}

/// `http://` or `https://`, a host and perhaps a port; no path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Endpoint {
    scheme: http::uri::Scheme,
    authority: http::uri::Authority,
}

impl Endpoint {
    /// `http` or `https`.
    pub fn scheme(&self) -> &http::uri::Scheme {
        &self.scheme
    }

    /// Host and, where it is not the scheme's own, port.
    pub fn authority(&self) -> &http::uri::Authority {
        &self.authority
    }

    /// Whether tokens would travel in clear text over a network.
    pub fn is_exposed(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.scheme == http::uri::Scheme::HTTP && !local
    }

    /// The host alone.
    pub fn host(&self) -> &str {
        self.authority.host()
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            scheme: http::uri::Scheme::HTTPS,
            authority: http::uri::Authority::from_static("storage.googleapis.com"),
        }
    }
}

/// Why an endpoint was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected http:// or https://, a host and perhaps a port, without a path, such as https://storage.googleapis.com"
)]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let uri: http::Uri = text.parse().map_err(|_| EndpointError)?;
        let parts = uri.into_parts();
        let bare = parts.path_and_query.is_none_or(|path| path == "/");
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority))
                if bare
                    && !authority.as_str().contains('@')
                    && (scheme == http::uri::Scheme::HTTP || scheme == http::uri::Scheme::HTTPS) =>
            {
                Ok(Self { scheme, authority })
            }
            _ => Err(EndpointError),
        }
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_no_path_and_no_user() {
        for good in ["https://storage.googleapis.com", "http://127.0.0.1:9000", "http://[::1]:1/"] {
            assert!(good.parse::<Endpoint>().is_ok(), "{good}");
        }
        for bad in ["storage.googleapis.com", "ftp://x", "https://x/y", "https://x?y", "https://a@x", ""] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
