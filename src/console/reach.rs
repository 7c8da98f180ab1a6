//! How a browser that shows the page reaches the gateway.
//!
//! Pure: `server.public_url` where there is one, else the public listener's own address. A listener on all addresses has
//! none of its own; then the name by which the browser came to the page leads to the same machine.

use std::net::SocketAddr;

use http::header::HOST;
use http::request::Parts;

use crate::gcs::Endpoint;
use crate::server::PublicUrl;

/// Where the public listener stands; the same for as long as the process lives.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Its addresses.
    pub listeners: Vec<SocketAddr>,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// The gateway's URL, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GatewayUrl {
    pub(super) url: String,
    /// Whether it is the configuration's word and not a guess.
    pub(super) configured: bool,
}

impl Reach {
    pub(super) fn url(&self, public: Option<&PublicUrl>, head: &Parts) -> GatewayUrl {
        if let Some(public) = public {
            return GatewayUrl { url: public.as_str().to_owned(), configured: true };
        }
        let scheme = if self.tls { "https" } else { "http" };
        let authority = match self.listeners.first() {
            None => "localhost".to_owned(),
            Some(address) if !address.ip().is_unspecified() => address.to_string(),
            Some(address) => format!("{}:{}", asked_host(head).unwrap_or("localhost"), address.port()),
        };
        GatewayUrl { url: format!("{scheme}://{authority}"), configured: false }
    }
}

impl GatewayUrl {
    /// Scheme, host and port.
    pub(super) fn origin(&self) -> &str {
        let authority = self.url.find("://").map_or(0, |at| at + 3);
        let end = self.url[authority..].find('/').map_or(self.url.len(), |at| authority + at);
        &self.url[..end]
    }
}

/// The origin that signed URLs lead to.
pub(super) fn storage_origin(endpoint: &Endpoint) -> String {
    format!("{}://{}", endpoint.scheme(), endpoint.authority())
}

/// The host that the page was asked of, without its port; only what can stand in a policy as it is.
fn asked_host(head: &Parts) -> Option<&str> {
    let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = head.uri.authority().map(http::uri::Authority::as_str).or(named)?;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-[:]".contains(&byte));
    (!host.is_empty() && plain).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(listener: &str, host: &str) -> GatewayUrl {
        let reach = Reach { listeners: vec![listener.parse().expect("an address")], tls: false };
        let head = http::Request::builder().uri("/").header(HOST, host).body(()).expect("legal").into_parts().0;
        reach.url(None, &head)
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_by_the_name_that_the_page_was() {
        for (listener, host, expected) in [
            ("127.0.0.1:8080", "localhost:9090", "http://127.0.0.1:8080"),
            ("0.0.0.0:8080", "box.internal:9090", "http://box.internal:8080"),
            ("0.0.0.0:8080", "[::1]:9090", "http://[::1]:8080"),
            ("[::]:8080", "10.0.0.7", "http://10.0.0.7:8080"),
            ("0.0.0.0:8080", "a;script-src*:9090", "http://localhost:8080"),
            ("0.0.0.0:8080", "a,b:1", "http://localhost:8080"),
        ] {
            assert_eq!(url(listener, host), GatewayUrl { url: expected.to_owned(), configured: false }, "{host}");
        }
    }

    #[test]
    fn an_origin_has_no_path() {
        for (url, origin) in [("https://a.example/media", "https://a.example"), ("http://a:1", "http://a:1")] {
            assert_eq!(GatewayUrl { url: url.to_owned(), configured: true }.origin(), origin);
        }
    }
}
