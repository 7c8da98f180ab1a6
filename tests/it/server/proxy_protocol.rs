//! The PROXY header over a socket: whose word counts, and what becomes of those without one.

use super::rig::{GET_OK, serve};

const TRUSTED: &str = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\n[limits]\nheader_timeout = \"300ms\"";

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, block].concat()
}

#[tokio::test]
async fn a_trusted_peer_names_the_client() {
    let server = serve(TRUSTED);
    let mut v6 = [0; 36];
    v6[..16].copy_from_slice(&"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
    v6[33] = 9;
    for (header, client) in [
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n".to_vec(), "203.0.113.7:56324"),
        (b"PROXY TCP6 2001:db8::7 ::1 9 443\r\n".to_vec(), "[2001:db8::7]:9"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1:"),
        (v2(0x21, 0x11, &[203, 0, 113, 7, 10, 0, 0, 1, 0, 9, 1, 187]), "203.0.113.7:9"),
        (v2(0x21, 0x21, &v6), "[2001:db8::7]:9"),
        (v2(0x20, 0x00, &[]), "127.0.0.1:"),
    ] {
        let request = [&header, &GET_OK.as_bytes()[..GET_OK.len() - 2], b"Connection: close\r\n\r\n"].concat();
        let answer = server.exchange(request).await;
        assert!(answer.contains(&format!("x-peer: {client}")), "{client}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_without_a_good_header_is_closed() {
    let server = serve(TRUSTED);
    for header in [
        Vec::new(),
        b"PROXY".to_vec(),
        b"PROXY TCP4 203.0.113.7 10.0.0.1 56324\r\n".to_vec(),
        b"PROXY TCP4 300.0.113.7 10.0.0.1 1 1\r\n".to_vec(),
        [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat(),
        v2(0x21, 0x11, &[203, 0]),
        v2(0x21, 0x31, &[0; 216]),
        v2(0x21, 0x11, &[0; 600]),
        v2(0x31, 0x11, &[0; 12]),
    ] {
        let answer = server.exchange([&header, GET_OK.as_bytes()].concat()).await;
        assert_eq!(answer, "", "{header:?}");
    }
    assert_eq!(server.exchange("PROX").await, "");
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn an_untrusted_peer_is_not_heard() {
    let server = serve("proxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]");
    let request = format!("PROXY TCP4 203.0.113.7 10.0.0.1 1 2\r\n{GET_OK}");
    assert_eq!(server.exchange(request).await, "");
    assert_eq!(server.calls(), 0);
    server.counted("gsgate_connections_refused_total{reason=\"untrusted-proxy\"} 1").await;
}

#[test]
fn proxy_headers_from_nobody_are_a_bad_configuration() {
    let config = toml::from_str("listen = \"127.0.0.1:0\"\nproxy_protocol = true").unwrap();
    let error = gsgate::server::Server::bind(&config, gsgate::metrics::Metrics::new()).unwrap_err();
    assert!(error.to_string().contains("trusted_proxies"), "{error}");
}
