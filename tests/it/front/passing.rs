//! What passes through, and what does not.

use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::backend::Backend;
use crate::support::TestGateway;

async fn echoed(gateway: &TestGateway, headers: &[(&str, &str)]) -> (Value, crate::support::Answer) {
    let answer = gateway.client.get("/echo?a=b%20c", headers).await;
    (serde_json::from_slice(answer.bytes()).unwrap(), answer)
}

fn has(told: &Value, line: &str) -> bool {
    told["headers"].as_array().unwrap().iter().any(|header| header == line)
}

#[tokio::test]
async fn requests_and_answers_pass_untouched_but_for_the_connections_own() {
    let backend = Backend::start(json!({})).await;
    let gateway = backend.behind_gateway("").await;
    let sent = [
        ("host", "127.0.0.1:4321"),
        ("cookie", "sessionid=x; csrftoken=y"),
        ("authorization", "Token t"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil.example"),
        ("connection", "x-mine"),
        ("x-mine", "1"),
        ("referer", "http://127.0.0.1:4321/projects"),
    ];
    let (told, answer) = echoed(&gateway, &sent).await;
    assert_eq!((&told["method"], &told["target"]), (&json!("GET"), &json!("/echo?a=b%20c")));
    for line in [
        "host: 127.0.0.1:4321",
        "cookie: sessionid=x; csrftoken=y",
        "authorization: Token t",
        "referer: http://127.0.0.1:4321/projects",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: 127.0.0.1:4321",
        "x-forwarded-proto: http",
    ] {
        assert!(has(&told, line), "{line}: {told:#}");
    }
    assert!(!told.to_string().contains("x-mine") && !told.to_string().contains("6.6.6.6"));
    assert_eq!((answer.header("set-cookie").as_str(), answer.header("x-kept").as_str()), ("a=b, c=d", "1"));
    assert!(!answer.headers.contains_key("x-private"));
    assert_eq!(gateway.client.get("/nowhere", &[]).await.text(), "no such page");
}

#[tokio::test]
async fn a_trusted_proxy_says_who_asks() {
    let backend = Backend::start(json!({})).await;
    let server = "[server]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let gateway = TestGateway::builder().await.sections(server).sections(&backend.section("")).start().await;
    let (told, _) = echoed(&gateway, &[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")]).await;
    assert!(
        has(&told, "x-forwarded-for: 203.0.113.9, 127.0.0.1") && has(&told, "x-forwarded-proto: https"),
        "{told:#}"
    );
}

#[tokio::test]
async fn the_network_rules_hold_for_label_studio_too() {
    let backend = Backend::start(json!({})).await;
    let builder = TestGateway::builder().await.access("allow = [\"10.0.0.0/8\"]").sections(&backend.section(""));
    let gateway = builder.start().await;
    let answer = gateway.client.get("/echo", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"));
    assert_eq!(gateway.client.get("/-/healthz", &[]).await.status, 200);
    assert_eq!(backend.count("/"), 0);
}

#[tokio::test]
async fn uploads_pass_in_any_size() {
    let backend = Backend::start(json!({})).await;
    let gateway = backend.behind_gateway("").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/upload", gateway.client.address);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = http.request(method, &url).body(vec![1; 20_000_000]).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "Ok(20000000)");
    }
}

#[tokio::test]
async fn events_come_as_they_are_sent() {
    let backend = Backend::start(json!({})).await;
    let gateway = backend.behind_gateway("").await;
    let (status, headers, mut body) = gateway.client.open(Method::GET, "/events", &[]).await;
    assert_eq!((status.as_u16(), &headers["content-type"]), (200, &"text/event-stream".parse().unwrap()));
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&first[..], b"data: 0\n\n", "before the second is made");
    backend.shared.more.notify_one();
    let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&second[..], b"data: 1\n\n");
}

#[tokio::test]
async fn an_absent_label_studio_is_named() {
    let backend = Backend::start(json!({})).await;
    let gateway = backend.behind_gateway("").await;
    gateway.rewrite(|text| text.replace(&backend.address.to_string(), "127.0.0.1:1"));
    gateway.reload.reload();
    let away = loop {
        let answer = gateway.client.get("/echo", &[("accept", "text/html,*/*")]).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((away.status.as_u16(), away.header("content-type").as_str()), (502, "text/html; charset=utf-8"));
    assert!(away.text().contains("Label Studio does not answer"));
    assert_eq!(gateway.client.get("/echo", &[]).await.code(), "label_studio_away");
}
