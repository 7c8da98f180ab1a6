//! The audit log: one line for each media request, whatever became of it, and none lost at the end.

use std::path::{Path, PathBuf};

use gsgate::emulator::{Emulator, Object};
use http::Method;
use http_body_util::BodyExt;
use serde_json::Value;

use crate::support::tokens::{AUDIENCE, ISSUER, Issuer, key_set};
use crate::support::{Binary, Client, TestGateway};

/// Requests between SIGHUP and SIGTERM.
const MANY: usize = 300;

/// The lines so far.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits for this many lines.
async fn written(path: &Path, count: usize) -> Vec<Value> {
    loop {
        let lines = lines(path);
        if lines.len() >= count {
            return lines;
        }
        tokio::task::yield_now().await;
    }
}

async fn audited(connection: &str, sections: &str) -> (TestGateway, PathBuf) {
    let sections = format!("[audit]\noutput = \"audit.log\"\n{sections}");
    let gateway = TestGateway::builder().await.connection(connection).sections(&sections).start().await;
    let path = gateway.folder.path().join("audit.log");
    (gateway, path)
}

#[tokio::test]
async fn every_media_request_has_a_line_with_what_was_really_sent() {
    let closed = "[connections.closed]\nuri = \"gs://test-media/\"\nallow = [\"192.0.2.1\"]";
    let cors = "[cors]\norigins = [\"https://label.example\"]";
    let (gateway, path) = audited("delivery = \"proxy\"", &format!("{cors}\n{closed}")).await;
    let generation = gateway.put("a/ü.jpg", Object::generated(1000, 7));
    let part = gateway.client.get("/media/a/%C3%BC.jpg?sig=secret", &[("range", "bytes=10-19")]).await;
    assert_eq!(part.status, 206);
    let preflight = [("origin", "https://label.example"), ("access-control-request-method", "GET")];
    assert_eq!(gateway.client.send(Method::OPTIONS, "/media/a/%C3%BC.jpg", &preflight).await.status, 204);
    assert_eq!(gateway.client.get("/-/healthz", &[]).await.status, 200);
    gateway.client.head("/media/a/%C3%BC.jpg", &[]).await;
    gateway.client.get("/closed/a", &[]).await;
    gateway.client.get("/nobody/a", &[]).await;
    gateway.client.get("/media/missing", &[]).await;
    gateway.client.send(Method::POST, "/media/a", &[]).await;
    let lines = written(&path, 6).await;
    assert!(!std::fs::read_to_string(&path).unwrap().contains("secret"));
    let told = |line: &Value, fields: &[&str]| fields.iter().map(|field| line[*field].clone()).collect::<Vec<_>>();
    let first = &lines[0];
    assert_eq!(first["request_id"], part.header("x-request-id"));
    assert_eq!(first["client"], "127.0.0.1");
    assert_eq!(first["object"], "a/ü.jpg");
    assert_eq!(first["generation"], generation.to_string());
    assert_eq!(first["range"], "bytes 10-19/1000");
    assert_eq!((&first["subject"], &first["link"]), (&Value::Null, &Value::Null));
    assert!(humantime::parse_rfc3339(first["time"].as_str().unwrap()).is_ok());
    let rows: Vec<_> = lines
        .iter()
        .map(|line| told(line, &["method", "connection", "status", "bytes_sent", "delivery", "reason", "outcome"]))
        .collect();
    let expected = serde_json::json!([
        ["GET", "media", 206, 10, "proxy", "configured", "complete"],
        ["HEAD", "media", 200, 0, "proxy", "configured", "complete"],
        ["GET", "closed", 404, rows[2][3], "none", "denied", "complete"],
        ["GET", null, 404, rows[3][3], "none", "no-such-connection", "complete"],
        ["GET", "media", 404, rows[4][3], "proxy", "not_found", "complete"],
        ["POST", "media", 405, rows[5][3], "none", "method_not_allowed", "complete"],
    ]);
    assert_eq!(serde_json::json!(rows), expected);
}

#[tokio::test]
async fn a_client_that_leaves_is_told_of_with_the_bytes_it_took() {
    let (gateway, path) = audited("delivery = \"proxy\"", "").await;
    gateway.put("large", Object::generated(256 << 20, 7).crc32c(0));
    let (status, _, mut body) = gateway.client.open(Method::GET, "/media/large", &[]).await;
    assert_eq!(status, 200);
    body.frame().await.unwrap().unwrap();
    drop(body);
    let line = &written(&path, 1).await[0];
    assert_eq!(line["outcome"], "client-gone");
    let sent = line["bytes_sent"].as_u64().unwrap();
    assert!(sent > 0 && sent < 256 << 20, "{sent}");
}

#[tokio::test]
async fn a_redirect_is_told_of_as_such() {
    let (gateway, path) = audited("delivery = \"signed-url\"", "").await;
    assert_eq!(gateway.client.get("/media/a.jpg", &[]).await.status, 302);
    let line = &written(&path, 1).await[0];
    assert_eq!((line["delivery"].as_str(), line["status"].as_u64()), (Some("signed-url"), Some(302)));
    assert!(!line.to_string().contains("X-Goog"));
}

#[tokio::test]
async fn an_output_that_cannot_be_written_is_refused_at_the_start_and_by_a_reload() {
    let sections = "[audit]\noutput = \"missing/audit.log\"";
    let refused = TestGateway::builder().await.sections(sections).try_start().await;
    let message = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("audit.output") && message.contains("cannot append"), "{message}");

    let (gateway, path) = audited("delivery = \"proxy\"", "").await;
    gateway.rewrite(|text| text.replace("audit.log", "missing/audit.log"));
    gateway.reload.reload();
    let refused = async {
        while !gateway.admin.get("/metrics", &[]).await.text().contains("gsgate_config_last_reload_successful 0") {}
    };
    refused.await;
    gateway.client.get("/media/a", &[]).await;
    assert_eq!(written(&path, 1).await.len(), 1, "the old one stays in force");
}

#[tokio::test]
async fn a_full_disk_never_holds_up_media_and_is_counted() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let gateway = TestGateway::builder().await.sections("[audit]\noutput = \"/dev/full\"").start().await;
    gateway.put("a", Object::bytes("x"));
    loop {
        assert_eq!(gateway.client.get("/media/a", &[]).await.bytes(), b"x");
        let metrics = gateway.admin.get("/metrics", &[]).await;
        let failures = metrics.text().lines().find_map(|line| line.strip_prefix("gsgate_audit_write_failures_total "));
        if failures.unwrap().parse::<u64>().unwrap() > 0 {
            break;
        }
    }
    assert_eq!(gateway.client.get("/media/a", &[]).await.bytes(), b"x");
}

#[tokio::test]
async fn sighup_opens_the_file_anew_and_sigterm_loses_no_line() {
    let mut binary = Binary::start(Emulator::builder().start().await.unwrap(), "[audit]\noutput = \"audit.log\"").await;
    binary.bucket().put("a", Object::bytes("x"));
    let (path, moved) = (binary.folder.path().join("audit.log"), binary.folder.path().join("audit.log.1"));
    assert_eq!(binary.client.get("/media/a", &[]).await.status, 200);
    written(&path, 1).await;
    std::fs::rename(&path, &moved).unwrap();
    binary.signal("HUP").await;
    binary.logged("new configuration in force").await;
    for _ in 0..MANY {
        assert_eq!(binary.client.get("/media/a", &[]).await.status, 200);
    }
    binary.signal("TERM").await;
    assert!(binary.ended().await.success());
    assert_eq!(lines(&moved).len() + lines(&path).len(), 1 + MANY);
    assert!(lines(&path).len() >= MANY - 1, "what came after the signal is in the new file");
}

/// The header, and the query parameter that stands for it in signed URLs.
const SUBJECT: &str = "x-goog-custom-audit-gsgate-subject";

#[tokio::test]
async fn the_subject_goes_upstream_only_where_it_is_wanted() {
    let issuer = Issuer::es256("k");
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), key_set(&[&issuer])).unwrap();
    let bearer = format!("Bearer {}", issuer.token("annotator-17"));
    let authorization = ("authorization", bearer.as_str());
    for (delivery, told) in [("proxy", true), ("proxy", false), ("signed-url", true), ("signed-url", false)] {
        let connection = format!(
            "delivery = \"{delivery}\"\njwt = {{ issuer = \"{ISSUER}\", audience = \"{AUDIENCE}\", jwks = {:?} }}",
            keys.path()
        );
        let sections = format!("[audit]\nupstream = {told}");
        let gateway = TestGateway::builder().await.connection(&connection).sections(&sections).start().await;
        gateway.put("a", Object::bytes("x"));
        // A client cannot speak for another.
        let answer = gateway.client.get("/media/a", &[authorization, (SUBJECT, "somebody-else")]).await;
        if delivery == "proxy" {
            assert_eq!(answer.bytes(), b"x");
            let requests = gateway.gcs.requests();
            let sent = requests[0].headers.get(SUBJECT).map(|value| value.to_str().unwrap());
            assert_eq!(sent, told.then_some("annotator-17"));
            continue;
        }
        let location = answer.header("location");
        assert_eq!(location.contains("X-Goog-Custom-Audit-Gsgate-Subject=annotator-17"), told, "{location}");
        let url: http::Uri = location.parse().unwrap();
        let host = url.authority().unwrap().as_str();
        let client = Client { address: host.parse().unwrap() };
        let target = url.path_and_query().unwrap().as_str();
        assert_eq!(client.get(target, &[("host", host)]).await.bytes(), b"x");
        if told {
            let forged = target.replace("annotator-17", "annotator-18");
            assert_eq!(client.get(&forged, &[("host", host)]).await.status, 403, "it is part of what is signed");
        }
    }
}
