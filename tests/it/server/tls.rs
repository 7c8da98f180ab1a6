//! TLS: protocols, refusals, and a new certificate without losing a connection.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::rig::{GET_OK, Running, answer, h2_get, h2_over, rest, serve, within};

/// Writes a new self-signed pair where the server looks, and gives the certificate.
fn renew(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

fn start() -> (Running, TempDir, CertificateDer<'static>) {
    let folder = tempfile::tempdir().unwrap();
    let certificate = renew(folder.path());
    let path = |name: &str| format!("\"{}\"", folder.path().join(name).display());
    let section = format!(
        "[tls]\ncertificate = {}\nprivate_key = {}\n[limits]\nheader_timeout = \"1s\"",
        path("tls.crt"),
        path("tls.key")
    );
    (serve(&section), folder, certificate)
}

async fn connect(
    server: &Running,
    trusted: &CertificateDer<'static>,
    alpn: &[&str],
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    within(TlsConnector::from(Arc::new(config)).connect(name, server.connect().await)).await
}

#[tokio::test]
async fn the_client_chooses_http2_or_http1() {
    let (server, _folder, certificate) = start();
    let stream = connect(&server, &certificate, &["h2", "http/1.1"], &TLS13).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let response = within(h2_over(stream).await.send_request(h2_get("/ok"))).await.unwrap();
    assert_eq!(response.status(), 200);
    for (alpn, version) in [(&["http/1.1"][..], &TLS13), (&[], &TLS13), (&["http/1.1"], &TLS12)] {
        let mut stream = connect(&server, &certificate, alpn, version).await.unwrap();
        stream.write_all(GET_OK.as_bytes()).await.unwrap();
        let answer = answer(&mut stream, "ok").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("tls=true"), "{answer}");
    }
    assert!(connect(&server, &certificate, &["spdy/1"], &TLS13).await.is_err());
}

#[tokio::test]
async fn whoever_does_not_speak_tls_is_refused() {
    let (server, _folder, _) = start();
    let answer = server.exchange(GET_OK).await;
    assert!(!answer.contains("HTTP/"), "{answer}");
    rest(&mut server.connect().await).await;
    assert_eq!(server.calls(), 0);
    server.counted("gsgate_connections_refused_total{reason=\"tls\"} 1").await;
    server.counted("gsgate_connections_refused_total{reason=\"tls-timeout\"} 1").await;
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_drops_none() {
    let (server, folder, old) = start();
    let mut open = connect(&server, &old, &["http/1.1"], &TLS13).await.unwrap();
    fs::write(folder.path().join("tls.key"), "no key").unwrap();
    assert!(server.tls.as_ref().unwrap().reload().is_err());
    assert!(connect(&server, &old, &["http/1.1"], &TLS13).await.is_ok(), "the old certificate stays in force");
    let new = renew(folder.path());
    within(async { while connect(&server, &new, &["http/1.1"], &TLS13).await.is_err() {} }).await;
    assert!(connect(&server, &old, &["http/1.1"], &TLS13).await.is_err());
    for _ in 0..2 {
        open.write_all(GET_OK.as_bytes()).await.unwrap();
        assert!(answer(&mut open, "ok").await.starts_with("HTTP/1.1 200 "));
    }
}
