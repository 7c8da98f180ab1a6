//! A Label Studio that speaks https.

use gsgate::emulator::Object;
use serde_json::json;
use tempfile::TempDir;

use super::backend::{Backend, PICTURE, gs, resolve};
use super::upgrade;
use crate::support::TestGateway;

/// A gateway in front of a backend behind TLS, whose certificate it trusts or not.
async fn rig(trusted: bool) -> (Backend, TestGateway, TempDir) {
    let backend = Backend::start_tls(json!({ "image": gs("in/a.jpg") })).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, backend.certificate.as_ref().unwrap()).unwrap();
    let ca = if trusted { format!("ca_file = {:?}\n", file.to_str().unwrap()) } else { String::new() };
    let section = format!("[label_studio]\nupstream = \"https://localhost:{}\"\n{ca}", backend.address.port());
    let gateway = TestGateway::builder().await.sections(&section).start().await;
    gateway.put("in/a.jpg", Object::bytes(PICTURE).content_type("image/jpeg"));
    (backend, gateway, folder)
}

#[tokio::test]
async fn everything_passes_over_https_too() {
    let (_backend, gateway, _folder) = rig(true).await;
    let echo = gateway.client.get("/echo", &[("host", "label.example")]).await;
    assert_eq!(echo.status, 200);
    assert!(echo.text().contains("host: label.example") && echo.text().contains("x-forwarded-proto: http\""));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/upload", gateway.client.address);
    let answer = http.post(url).body(vec![1; 5_000_000]).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "Ok(5000000)");
    let picture = gateway.client.get(&resolve(&gs("in/a.jpg")), &[("cookie", "user=owner")]).await;
    assert_eq!((picture.status.as_u16(), picture.bytes()), (200, PICTURE));
    let (mut socket, _) = upgrade::open(&gateway, true).await.unwrap();
    upgrade::exchange(&mut socket).await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (backend, gateway, _folder) = rig(false).await;
    for path in ["/echo", &resolve(&gs("in/a.jpg"))] {
        let answer = gateway.client.get(path, &[("cookie", "user=owner")]).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "label_studio_away"), "{path}");
    }
    assert_eq!(backend.count("/"), 0);
}
