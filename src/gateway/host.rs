//! Which names the gateway answers to.
//!
//! Access goes by address, so a page on a name that an attacker points at the gateway (DNS rebinding) would be of the
//! gateway's own origin, and no CORS rule would stop it. Where the gateway knows its names, media is served for them alone.
//! An address as the host is always good: a browser's origin is then that address, which nobody can rebind.
//! Follows RFC 9110 sections 7.2 and 15.5.20 (<https://www.rfc-editor.org/rfc/rfc9110#section-15.5.20>).

use std::net::IpAddr;

use http::header::HOST;
use http::request::Parts;

/// The names; none at all means that any is good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

/// The request is for somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request names a host that is not the gateway's")]
pub struct ForeignHost;

impl Hosts {
    /// The host of `public_url` and the names of `server.hosts`.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(|name| bare(name).to_ascii_lowercase()).collect())
    }

    /// Checks the host that a request is for.
    pub fn check(&self, head: &Parts) -> Result<(), ForeignHost> {
        if self.0.is_empty() {
            return Ok(());
        }
        let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = bare(head.uri.authority().map(http::uri::Authority::as_str).or(named).unwrap_or_default());
        let is_address = || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let known = || host == "localhost" || self.0.iter().any(|name| name.eq_ignore_ascii_case(host));
        // HTTP/1.0 need not name a host; no browser speaks it.
        if host.is_empty() || is_address() || known() { Ok(()) } else { Err(ForeignHost) }
    }
}

/// The host without port, and without the dot that marks a full name.
fn bare(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(names: &[&str], host: &str) -> bool {
        let request = http::Request::builder().uri("/c/a").header(HOST, host).body(()).expect("legal");
        Hosts::new(names.iter().copied()).check(&request.into_parts().0).is_ok()
    }

    #[test]
    fn a_gateway_that_knows_its_names_answers_to_no_other() {
        let names = ["media.example.com", "Media.Internal:8080"];
        for good in [
            "media.example.com",
            "MEDIA.example.com:443",
            "media.example.com.",
            "media.internal",
            "10.0.0.7:8080",
            "[::1]:8080",
            "[2001:db8::1]",
            "localhost:8080",
            "",
        ] {
            assert!(checked(&names, good), "{good}");
        }
        for foreign in ["evil.example", "media.example.com.evil.example", "xmedia.example.com", "10.0.0.7.evil.example"]
        {
            assert!(!checked(&names, foreign), "{foreign}");
            assert!(checked(&[], foreign), "{foreign}");
        }
    }
}
