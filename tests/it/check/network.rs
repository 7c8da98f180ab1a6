//! No way to GCS: name, port, certificate and proxy are told apart.

use std::net::TcpListener;

use gsgate::emulator::{Action, Emulator, Fault};

use super::rig::Desk;

#[tokio::test]
async fn a_name_that_nobody_knows_is_a_matter_of_dns() {
    let mut desk = Desk::new().await;
    desk.storage = "endpoint = \"http://gcs.invalid\"\nconnect_timeout = \"30s\"".to_owned();
    let verdict = desk.assert_fails("bucket", "dns", &["gcs.invalid", "getent hosts"]).await;
    verdict.assert_skipped(&["permissions", "objects", "first-byte", "signed-url", "cors", "ip-filter", "clock"]);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_a_matter_of_the_endpoint() {
    let mut desk = Desk::new().await;
    let good = desk.storage.clone();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    desk.storage = format!("endpoint = \"http://{free}\"");
    desk.assert_fails("bucket", "connect", &["gcs.connect_to", &free.to_string()]).await;
    desk.variables = vec![("HTTPS_PROXY".to_owned(), "http://proxy.invalid:3128".to_owned())];
    desk.assert_fails("bucket", "connect", &["HTTPS_PROXY is set"]).await;
    desk.variables.clear();
    desk.storage = good;
    desk.assert_green().await;
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_goes_into_ca_file() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let gcs = Emulator::builder().tls(certificate.clone(), key).start().await.unwrap();
    let mut desk = Desk::over(gcs);
    desk.assert_fails("bucket", "tls", &["gcs.ca_file", "openssl s_client"]).await;
    std::fs::write(desk.folder.path().join("ca.pem"), certificate).unwrap();
    desk.storage.push_str("\nca_file = \"ca.pem\"");
    desk.assert_green().await;
}

#[tokio::test]
async fn a_proxy_in_the_way_of_tokens_is_named() {
    let mut desk = Desk::new().await;
    desk.credential.push_str("\ntoken = \"exchange\"");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    desk.variables = vec![("HTTP_PROXY".to_owned(), format!("http://{free}"))];
    desk.assert_fails("token", "proxy", &["HTTP_PROXY", "NO_PROXY"]).await;
    desk.variables.push(("NO_PROXY".to_owned(), "127.0.0.1".to_owned()));
    desk.assert_green().await;
}

#[tokio::test]
async fn a_stranger_that_answers_in_place_of_gcs_is_noticed() {
    let desk = Desk::new().await;
    desk.gcs.inject(Fault::new(Action::redirect("http://portal.invalid/login")).always());
    desk.assert_fails("bucket", "not-gcs", &["captive portal"]).await;
    desk.gcs.clear_faults();
    let body = "<html>Please sign in</html>".to_owned();
    desk.gcs.inject(Fault::new(Action::Status { code: 200, headers: Vec::new(), body }).always());
    desk.assert_fails("bucket", "not-gcs", &["gcs.endpoint"]).await;
    desk.gcs.clear_faults();
    desk.gcs.inject(Fault::new(Action::status(503)).always());
    desk.assert_fails("bucket", "busy", &["check again later"]).await;
    desk.gcs.clear_faults();
    desk.assert_green().await;
}
