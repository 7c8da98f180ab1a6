//! The access log: one event a request, and nothing secret in it.

use gsgate::emulator::{Action, Fault, Object, Operation};
use http::Method;
use serde_json::Value;

use crate::support::{Log, TestGateway};

const SECRET: &str = "hunter2";

#[tokio::test]
async fn one_event_tells_what_became_of_each_request() {
    let log = Log::capture("info");
    let sections = "[gcs]\nretries = 0";
    let gateway = TestGateway::builder().await.sections(sections).start().await;
    gateway.put("a b.jpg", Object::generated(1000, 7).generation(42));
    gateway.put("broken", Object::generated(1 << 20, 7));
    for (method, target, headers, status, bytes, reason, cache, outcome) in [
        ("GET", "/media/a%20b.jpg?x=hunter2", &[][..], 200, "1000", "configured", "miss", "complete"),
        ("GET", "/media/a%20b.jpg", &[("range", "bytes=0-9")], 206, "10", "configured", "hit", "complete"),
        ("HEAD", "/media/a%20b.jpg", &[], 200, "0", "configured", "hit", "complete"),
        ("GET", "/media/a%20b.jpg", &[("if-none-match", "*")], 304, "0", "configured", "hit", "complete"),
        ("GET", "/media/none", &[], 404, "", "not_found", "miss", "complete"),
        ("GET", "/nowhere/a", &[], 404, "", "no-such-connection", "none", "complete"),
        ("DELETE", "/media/a", &[], 405, "", "method_not_allowed", "none", "complete"),
        ("GET", "/media/..", &[], 400, "", "bad_object_name", "none", "complete"),
        ("GET", "/-/healthz", &[], 200, "3", "none", "none", "complete"),
        ("GET", "/media/broken", &[], 200, "", "configured", "miss", "aborted"),
    ] {
        let seen = log.access(0).await.len();
        if target.ends_with("broken") {
            gateway.gcs.inject(Fault::new(Action::Corrupt).on(Operation::Media).after_bytes(5000).always());
        }
        let mut headers = headers.to_vec();
        headers.extend([
            ("authorization", "Bearer hunter2"),
            ("cookie", "hunter2"),
            ("referer", "https://x.example/?hunter2"),
            ("user-agent", "UI/1.0"),
            ("x-request-id", "abc-123"),
        ]);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = gateway.client.send(method.clone(), target, &headers).await;
        assert_eq!(answer.status, status, "{target}");
        let events = log.access(seen + 1).await;
        assert_eq!(events.len(), seen + 1, "one event: {target}");
        let event = &events[seen];
        let request = &event["httpRequest"];
        assert_eq!(request["requestMethod"], method.as_str());
        assert_eq!(request["requestUrl"], target.split('?').next().unwrap());
        assert_eq!(request["status"], status, "{target}");
        if !bytes.is_empty() {
            assert_eq!(request["responseSize"], bytes, "{target}");
        }
        assert_eq!(request["userAgent"], "UI/1.0");
        assert_eq!(find(event, "request_id"), "abc-123");
        assert_eq!(find(event, "reason"), reason, "{target}");
        assert_eq!(find(event, "cache"), cache, "{target}");
        assert_eq!(find(event, "outcome"), outcome, "{target}");
        if target.starts_with("/media/a%20b") {
            assert_eq!(find(event, "object"), "a b.jpg");
            assert_eq!(find(event, "generation"), 42, "{target}");
            assert_eq!(find(event, "connection"), "media");
            assert_eq!(find(event, "delivery"), "proxy");
            assert_eq!(request["remoteIp"], "127.0.0.1");
        }
    }
    assert!(!log.text().contains(SECRET), "{}", log.text());
}

/// A field of an event: at its top, or among its labels.
fn find(event: &Value, name: &str) -> Value {
    let labels = &event["logging.googleapis.com/labels"];
    event.get(name).or_else(|| labels.get(name)).cloned().unwrap_or(Value::Null)
}

#[tokio::test]
async fn no_token_and_no_signature_is_ever_logged() {
    let log = Log::capture("trace");
    let gateway = TestGateway::builder().await.connection("delivery = \"signed-url\"").start().await;
    gateway.put("a", Object::bytes("x"));
    let answer = gateway.client.get("/media/a", &[]).await;
    let location = answer.header("location");
    let signature = location.split("X-Goog-Signature=").nth(1).unwrap();
    assert!(gateway.client.head("/media/a", &[]).await.status.is_success());
    let events = log.access(2).await;
    assert_eq!(find(&events[0], "delivery"), "signed-url");
    let text = log.text();
    for secret in [&signature[..40], "X-Goog-Signature", "Bearer ", "eyJ", "PRIVATE KEY"] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}
