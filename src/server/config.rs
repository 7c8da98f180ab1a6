//! The sections `[server]`, `[server.tls]`, `[server.limits]` and `[admin]`.
//!
//! Every limit is above zero: a limit of nothing would be a gateway that serves nobody.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::gateway::client_addr::Network;
use crate::object::limit;

/// The `[server]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients connect: one address or several.
    pub listen: Listen,
    /// How browsers reach the gateway; used in manifests.
    pub public_url: Option<PublicUrl>,
    /// Names that the gateway answers to besides that of `public_url`.
    pub hosts: Vec<String>,
    /// Peers whose forwarding headers and PROXY headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// The VPC network that the listener stands in.
    pub network: Option<String>,
    /// How long answers in flight may go on after a signal to end.
    #[serde(deserialize_with = "limit::positive")]
    pub drain_timeout: Duration,
    /// Whether every connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// TLS, if the listener speaks it.
    pub tls: Option<TlsConfig>,
    /// What a client may take.
    pub limits: Limits,
}

/// The `[server.tls]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the certificate and its chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub private_key: PathBuf,
}

/// The `[server.limits]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections open at once; further ones wait in the kernel's queue.
    #[serde(deserialize_with = "count")]
    pub max_connections: usize,
    /// Longest wait for a PROXY header and TLS handshake, and for a request's whole head.
    #[serde(deserialize_with = "limit::positive")]
    pub header_timeout: Duration,
    /// Longest silence between two requests.
    #[serde(deserialize_with = "limit::positive")]
    pub idle_timeout: Duration,
    /// A client that takes no byte for this long is dropped.
    #[serde(deserialize_with = "limit::positive")]
    pub stall_timeout: Duration,
}

/// The `[admin]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Where the operator and the orchestrator connect.
    pub listen: Listen,
    /// File with the token that the page, the API and the configuration ask for; needed unless all addresses are loopback.
    pub token_file: Option<PathBuf>,
    /// Names that the listener answers to without a token, besides `localhost` and addresses.
    pub hosts: Vec<String>,
}

/// One address or several, at least one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "OneOrMany")]
pub struct Listen(Vec<SocketAddr>);

/// `http://` or `https://`, a host and perhaps a port and a path; no query.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicUrl(String);

impl Config {
    /// The server of the admin listener: few connections, no TLS, no PROXY header.
    pub fn for_admin(admin: &AdminConfig) -> Self {
        let limits = Limits { max_connections: 64, ..Limits::default() };
        Self { listen: admin.listen.clone(), drain_timeout: Duration::from_secs(1), limits, ..Self::default() }
    }

    /// Whether a peer's word about its client counts.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(peer.to_canonical()))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)).into(),
            public_url: None,
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            network: None,
            drain_timeout: Duration::from_secs(30),
            proxy_protocol: false,
            tls: None,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_mins(1),
        }
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)).into(), token_file: None, hosts: Vec::new() }
    }
}

impl Listen {
    /// All of them.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.0
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self(vec![address])
    }
}

impl PublicUrl {
    /// Host and perhaps port.
    pub fn host(&self) -> &str {
        let authority = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        authority.split('/').next().unwrap_or_default()
    }

    /// The URL without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an address such as \"127.0.0.1:8080\", or a list of them")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<OneOrMany> for Listen {
    type Error = String;

    fn try_from(addresses: OneOrMany) -> Result<Self, String> {
        let texts = match addresses {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        };
        if texts.is_empty() {
            return Err("expected at least one address, such as \"127.0.0.1:8080\"".to_owned());
        }
        let parse = |text: String| {
            text.parse().map_err(|_| format!("{text:?} is no address with a port, such as \"127.0.0.1:8080\""))
        };
        texts.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let good = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && uri.query().is_none()
                && !text.contains('#')
        });
        if good {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(format!("{text:?} is no URL such as \"https://media.example.com\""))
        }
    }
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let count = usize::deserialize(deserializer)?;
    if count == 0 { Err(de::Error::custom("expected a number above zero")) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_default() {
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
        assert_eq!(toml::from_str::<AdminConfig>("").unwrap(), AdminConfig::default());
    }

    #[test]
    fn every_key_is_read() {
        let config: Config = toml::from_str(
            r#"
            listen = ["127.0.0.1:1", "[::1]:2"]
            public_url = "https://media.example.com/"
            trusted_proxies = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]
            network = "projects/P/global/networks/N"
            drain_timeout = "5s"
            proxy_protocol = true
            [tls]
            certificate = "tls.crt"
            private_key = "tls.key"
            [limits]
            max_connections = 7
            header_timeout = "1s"
            idle_timeout = "2s"
            stall_timeout = "3s"
            "#,
        )
        .unwrap();
        assert_eq!(config.listen.addresses().len(), 2);
        assert_eq!(config.public_url.as_ref().map(PublicUrl::as_str), Some("https://media.example.com"));
        assert!(config.trusts("10.1.2.3".parse().unwrap()));
        assert!(config.trusts("::ffff:192.0.2.1".parse().unwrap()));
        assert!(!config.trusts("192.0.2.2".parse().unwrap()));
        assert_eq!(config.limits.max_connections, 7);
    }

    #[test]
    fn nonsense_is_refused_with_a_cure() {
        for (text, cure) in [
            ("listen = []", "at least one"),
            ("listen = \"8080\"", "such as"),
            ("listen = 8080", "expected an address"),
            ("trusted_proxies = [\"10.0.0.0/99\"]", "such as"),
            ("public_url = \"media\"", "such as"),
            ("public_url = \"https://a/?b\"", "such as"),
            ("drain_timeout = \"0s\"", "above zero"),
            ("limits = { max_connections = 0 }", "above zero"),
            ("colour = 1", "unknown field"),
            ("tls = { certificate = \"a\" }", "private_key"),
        ] {
            let error = toml::from_str::<Config>(text).unwrap_err().to_string();
            assert!(error.contains(cure), "{text}: {error}");
        }
    }
}
