//! Which hosts a credential file may send us to.
//!
//! Such a file may have been pasted: whatever URL it names would get our tokens, or be called from inside the network.
//! So only Google's hosts (or those of the file's universe) over https, and hosts the operator trusts by name.
//! Follows <https://cloud.google.com/docs/authentication/client-libraries#external-credentials>.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::Url;

/// The universe of everybody who has no other.
pub(crate) const GOOGLE: &str = "googleapis.com";
/// The address of every cloud's instance metadata, which speaks only http.
const INSTANCE_METADATA: [&str; 3] = ["169.254.169.254", "[fd00:ec2::254]", "[fd20:ce::254]"];

/// The hosts beyond Google's that the operator trusts.
#[derive(Clone, Debug)]
pub(crate) struct TrustedHosts(Arc<[String]>);

impl TrustedHosts {
    pub(crate) fn new(hosts: &[String]) -> Self {
        Self(hosts.iter().map(|host| host.to_ascii_lowercase()).collect())
    }

    /// A URL of Google, of `universe`, or of a trusted host; otherwise what is wrong with it.
    pub(crate) fn google(&self, url: &str, universe: &str) -> Result<Url, String> {
        self.check(url, |host| [GOOGLE, universe].iter().any(|domain| is_within(host, domain)))
    }

    /// Whether a universe may be believed that a credential file names for its own URLs.
    pub(crate) fn universe(&self, universe: &str) -> Result<(), String> {
        let trusted = universe == GOOGLE || self.trusts(universe, None);
        let cure = || format!("is {universe}; if the file is yours, add \"{universe}\" to gcs.trusted_hosts");
        if trusted { Ok(()) } else { Err(cure()) }
    }

    /// AWS's STS, or a trusted host.
    pub(crate) fn aws(&self, url: &str) -> Result<Url, String> {
        let sts = |host: &str| {
            host.starts_with("sts.") && ["amazonaws.com", "amazonaws.com.cn"].iter().any(|d| is_within(host, d))
        };
        self.check(url, sts)
    }

    /// The metadata address of the instance that we run on, or a trusted host.
    pub(crate) fn instance(&self, url: &str) -> Result<Url, String> {
        match Url::parse(url) {
            Ok(parsed) if parsed.host_str().is_some_and(|host| INSTANCE_METADATA.contains(&host)) => Ok(parsed),
            _ => self.check(url, |_| false),
        }
    }

    fn check(&self, url: &str, known: impl Fn(&str) -> bool) -> Result<Url, String> {
        let parsed = Url::parse(url).map_err(|_| "is not a URL".to_owned())?;
        let host = parsed.host_str().unwrap_or_default().to_owned();
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("has a user name in its URL; remove it".to_owned());
        }
        let trusted = self.trusts(&host, parsed.port_or_known_default());
        match parsed.scheme() {
            "https" if trusted || known(&host) => Ok(parsed),
            "http" if trusted && is_loopback(&host) => Ok(parsed),
            "https" => Err(format!(
                "leads to {host}, which is not a host of {GOOGLE}; if the file is yours, add \"{host}\" to gcs.trusted_hosts"
            )),
            _ => Err(format!("leads to {host} without https; correct the file")),
        }
    }

    fn trusts(&self, host: &str, port: Option<u16>) -> bool {
        let with_port = format!("{host}:{}", port.unwrap_or_default());
        self.0.iter().any(|trusted| *trusted == host || *trusted == with_port)
    }
}

/// Whether `host` is `domain` or below it, at a label boundary.
fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A universe's domain: lower-case labels, two at least.
pub(crate) fn is_universe(domain: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    domain.len() <= 253 && domain.contains('.') && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_and_trusted_hosts_are_called() {
        let hosts = TrustedHosts::new(&["127.0.0.1:9000".into(), "login.Example.com".into(), "localhost".into()]);
        for (url, good) in [
            ("https://oauth2.googleapis.com/token", true),
            ("https://sts.universe.example/v1/token", true),
            ("https://login.example.com/x", true),
            ("http://127.0.0.1:9000/token", true),
            ("http://localhost:1/token", true),
            ("http://127.0.0.1:9001/token", false),
            ("http://oauth2.googleapis.com/token", false),
            ("http://login.example.com/x", false),
            ("https://evilgoogleapis.com/token", false),
            ("https://googleapis.com.evil.example/", false),
            ("https://user@oauth2.googleapis.com/token", false),
            ("https://googleapis.com@evil.example/token", false),
            ("ftp://oauth2.googleapis.com/token", false),
            ("/token", false),
        ] {
            assert_eq!(hosts.google(url, "universe.example").is_ok(), good, "{url}");
        }
    }

    #[test]
    fn aws_and_instance_metadata_have_addresses_of_their_own() {
        let hosts = TrustedHosts::new(&[]);
        assert!(hosts.aws("https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity").is_ok());
        assert!(hosts.aws("https://s3.amazonaws.com/").is_err());
        assert!(hosts.instance("http://169.254.169.254/latest/meta-data").is_ok());
        assert!(hosts.instance("http://10.0.0.1/latest").is_err());
    }

    #[test]
    fn a_universe_is_a_domain() {
        for (domain, good) in [("googleapis.com", true), ("com", false), ("a..b", false), ("a.b/c", false), ("", false)]
        {
            assert_eq!(is_universe(domain), good, "{domain}");
        }
    }
}
