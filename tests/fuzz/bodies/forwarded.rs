//! `X-Forwarded-For` and `Forwarded`: what an untrusted peer says changes nothing, what a trusted one says is never trusted.

use std::net::SocketAddr;

use gsgate::gateway::client_addr::{ClientAddr, Network};
use http::{HeaderMap, HeaderValue};

/// Lines that begin with `F` are `Forwarded`, all others `X-Forwarded-For`.
pub fn forwarded(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let (name, value) = match line.strip_prefix(b"F") {
            Some(value) => ("forwarded", value),
            None => ("x-forwarded-for", line),
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    let trusted: Vec<Network> = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network")).into();
    let stranger: SocketAddr = "203.0.113.9:1234".parse().expect("an address");
    let derived = ClientAddr::derive(stranger, &headers, &trusted).expect("a stranger's headers are not read");
    assert_eq!(derived.ip(), stranger.ip());
    let proxy: SocketAddr = "10.1.2.3:1234".parse().expect("an address");
    if let Ok(client) = ClientAddr::derive(proxy, &headers, &trusted) {
        assert_eq!(client.ip(), client.ip().to_canonical(), "IPv4 wherever it can be");
    }
}
