//! Trouble upstream: what the client learns of it, and what only the log does.

use gsgate::emulator::{Action, Emulator, Fault, Gate, Object, Operation};

use crate::support::gateway::Builder;
use crate::support::{Answer, Log, TestGateway};

const ORIGIN: (&str, &str) = ("origin", "https://ui.example");
const ONCE: &str = "[gcs]\nretries = 0\nfirst_byte_timeout = \"300ms\"\n[cors]\norigins = [\"https://ui.example\"]";

async fn gateway() -> TestGateway {
    let gateway = TestGateway::builder().await.sections(ONCE).start().await;
    gateway.put("a", Object::generated(100, 7));
    gateway
}

/// A short JSON with the request's id, readable by the page that asked, and nothing of GCS's own words.
fn assert_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("access-control-allow-origin"), "https://ui.example");
    let json: serde_json::Value = serde_json::from_slice(answer.bytes()).unwrap();
    assert_eq!(json["error"]["request_id"], answer.header("x-request-id"));
    for leak in ["Scripted", "storage.objects", "iam.gserviceaccount", "test-media", "requester", "127.0.0.1"] {
        assert!(!answer.text().contains(leak), "{}", answer.text());
    }
}

#[tokio::test]
async fn each_trouble_has_its_answer() {
    for (action, status, code, retry_after) in [
        (Action::status(400), 502, "upstream_error", ""),
        (Action::status(401), 502, "upstream_denied", ""),
        (Action::status(403), 502, "upstream_denied", ""),
        (Action::status(404), 404, "not_found", ""),
        (Action::status(418), 502, "upstream_error", ""),
        (Action::status(429), 503, "upstream_unavailable", "1"),
        (Action::retry_after(429, 7), 503, "upstream_unavailable", "7"),
        (Action::status(500), 503, "upstream_unavailable", "1"),
        (Action::status(502), 503, "upstream_unavailable", "1"),
        (Action::retry_after(503, 9), 503, "upstream_unavailable", "9"),
        (Action::status(504), 503, "upstream_unavailable", "1"),
        (Action::redirect("https://evil.example/x"), 502, "upstream_error", ""),
        (Action::status(307), 502, "upstream_error", ""),
        (Action::status(204), 502, "upstream_error", ""),
        (Action::header("x-goog-generation", "x"), 502, "upstream_error", ""),
        (Action::Reset, 502, "upstream_unreachable", ""),
        (Action::Delay(Gate::new()), 504, "upstream_timeout", ""),
    ] {
        for condition in [&[ORIGIN][..], &[ORIGIN, ("if-match", "*")]] {
            let gateway = gateway().await;
            gateway.gcs.inject(Fault::new(action.clone()).on(Operation::Media).always());
            let metadata = Fault::new(action.clone()).on(Operation::Metadata).always();
            // Metadata comes as JSON, without these headers.
            let is_about_media = matches!(action, Action::Header { .. });
            if !is_about_media {
                gateway.gcs.inject(metadata);
            }
            let answer = gateway.client.get("/media/a", condition).await;
            assert_error(&answer, status, code);
            assert_eq!(answer.header("retry-after"), retry_after, "{action:?}");
        }
    }
}

#[tokio::test]
async fn an_outage_is_tried_again_before_it_is_reported() {
    let gateway = TestGateway::start().await;
    gateway.put("a", Object::generated(100, 7));
    gateway.gcs.inject(Fault::new(Action::status(503)).on(Operation::Media).times(2));
    assert_eq!(gateway.client.get("/media/a", &[]).await.status, 200);
    assert_eq!(gateway.gcs.count(Operation::Media), 3);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let gateway = gateway().await;
    gateway.gcs.inject(Fault::new(Action::status(401)).on(Operation::Media));
    assert_eq!(gateway.client.get("/media/a", &[]).await.status, 200);
    assert_eq!(gateway.gcs.count(Operation::Media), 2);
    let gateway = self::gateway().await;
    gateway.gcs.inject(Fault::new(Action::status(401)).on(Operation::Media).always());
    assert_error(&gateway.client.get("/media/a", &[ORIGIN]).await, 502, "upstream_denied");
    assert_eq!(gateway.gcs.count(Operation::Media), 2, "once, not for ever");
}

#[tokio::test]
async fn the_log_names_the_missing_permission_and_its_cure() {
    let log = Log::capture("info");
    let gateway = gateway().await;
    gateway.bucket().restrict();
    for condition in [&[ORIGIN][..], &[ORIGIN, ("if-match", "*")]] {
        assert_error(&gateway.client.get("/media/a", condition).await, 502, "upstream_denied");
    }
    let text = log.text();
    assert!(text.contains("does not have storage.objects.get access"), "{text}");
    assert!(text.contains("roles/storage.objectViewer"), "{text}");
    assert!(text.contains("\"connection\":\"media\""), "{text}");
}

#[tokio::test]
async fn a_bucket_whose_readers_pay_needs_a_project() {
    let log = Log::capture("info");
    let gateway = gateway().await;
    gateway.bucket().requester_pays(true);
    assert_error(&gateway.client.get("/media/a", &[ORIGIN]).await, 502, "upstream_error");
    assert!(log.text().contains("project_id"), "{}", log.text());
    let paying = Builder::over(gateway.gcs.clone()).connection("delivery = \"proxy\"\nproject_id = \"payer-1\"");
    let paying = paying.start().await;
    assert_eq!(paying.client.get("/media/a", &[]).await.status, 200);
}

#[tokio::test]
async fn a_missing_object_is_remembered_briefly() {
    let gateway = gateway().await;
    for _ in 0..3 {
        assert_error(&gateway.client.get("/media/none", &[ORIGIN]).await, 404, "not_found");
        assert_eq!(gateway.client.head("/media/none", &[]).await.status, 404);
    }
    assert_eq!(gateway.gcs.requests().len(), 1);
    let none = TestGateway::builder().await.sections("[cache]\nnegative_ttl = \"0s\"").start().await;
    assert_eq!(none.client.get("/media/late", &[]).await.status, 404);
    none.put("late", Object::bytes("here"));
    assert_eq!(none.client.get("/media/late", &[]).await.text(), "here");
}

#[tokio::test]
async fn a_redirect_of_upstreams_is_not_followed() {
    let elsewhere = Emulator::builder().start().await.unwrap();
    let gateway = gateway().await;
    let location = format!("{}/storage/v1/b/test-media/o/a?alt=media", elsewhere.endpoint());
    gateway.gcs.inject(Fault::new(Action::redirect(location)).on(Operation::Media).always());
    let answer = gateway.client.get("/media/a", &[ORIGIN]).await;
    assert_error(&answer, 502, "upstream_error");
    assert_eq!(answer.header("location"), "");
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_gcs_that_is_not_there_is_unreachable() {
    let gateway = gateway().await;
    gateway.gcs.kill().await;
    assert_error(&gateway.client.get("/media/a", &[ORIGIN]).await, 502, "upstream_unreachable");
}
