//! A new certificate in the real binary, while connections are open.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use gsgate::emulator::{Emulator, Object};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::faults::wire::{metric, until};
use crate::support::Binary;

const REFUSED: &str = "gsgate_config_reloads_total{outcome=\"refused\"}";

/// Writes a new self-signed pair, and gives the certificate.
fn renew(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

async fn connect(at: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(at).await?).await
}

async fn get(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /media/x HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\nhere") {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(seen).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_comes_with_sighup_and_drops_no_connection() {
    let certificates = tempfile::tempdir().unwrap();
    let old = renew(certificates.path());
    let sections = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[server.tls]\ncertificate = {:?}\nprivate_key = {:?}\n",
        certificates.path().join("tls.crt"),
        certificates.path().join("tls.key")
    );
    let binary = Binary::start(Emulator::builder().start().await.unwrap(), &sections).await;
    binary.bucket().put("x", Object::bytes("here"));
    let at = binary.client.address;
    let mut open = connect(at, &old).await.unwrap();
    assert!(get(&mut open).await.starts_with("HTTP/1.1 200"));

    std::fs::write(certificates.path().join("tls.crt"), "no certificate").unwrap();
    binary.signal("HUP").await;
    until("refused", async || metric(binary.admin, REFUSED).await >= 1).await;
    binary.logged("holds no certificate").await;
    assert!(connect(at, &old).await.is_ok(), "the old one stays in force");

    let new = renew(certificates.path());
    binary.signal("HUP").await;
    until("the new certificate", async || connect(at, &new).await.is_ok()).await;
    assert!(connect(at, &old).await.is_err());
    assert!(get(&mut open).await.starts_with("HTTP/1.1 200"), "the open connection lives on");
}
