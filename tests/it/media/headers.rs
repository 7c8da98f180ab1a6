//! Headers: which come back, which are kept in, and which of the client's never leave.

use gsgate::emulator::{Action, Fault, Object, Operation};
use http::Method;

use super::gzip::gzip;
use crate::support::TestGateway;

/// All that a proxied answer may carry.
const ALLOWED: &[&str] = &[
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "etag",
    "last-modified",
    "transfer-encoding",
    "vary",
    "x-content-type-options",
    "x-goog-generation",
    "x-goog-hash",
    "x-gsgate-delivery",
    "x-request-id",
];

#[tokio::test]
async fn only_listed_headers_of_upstream_pass() {
    let gateway = TestGateway::start().await;
    gateway.put("a.jpg", Object::generated(100, 7).metadata("author", "somebody").storage_class("NEARLINE"));
    gateway.put("b.json", Object::bytes(gzip(b"{}")).content_encoding("gzip"));
    for (name, value) in [
        ("set-cookie", "a=b"),
        ("link", "<https://evil.example>; rel=preload"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("alt-svc", "h3=\":443\""),
        ("server", "UploadServer"),
        ("refresh", "0;url=https://evil.example"),
        ("location", "https://evil.example"),
        ("service-worker-allowed", "/"),
        ("content-location", "/other"),
        ("clear-site-data", "\"*\""),
        ("x-frame-options", "DENY"),
        ("content-security-policy", "default-src *"),
        ("strict-transport-security", "max-age=1"),
        ("age", "5"),
        ("etag", "\"theirs\""),
        ("x-content-type-options", "off"),
        ("trailer", "x-later"),
        ("x-goog-meta-evil", "1"),
    ] {
        gateway.gcs.inject(Fault::new(Action::header(name, value)).always());
    }
    for (target, headers) in [
        ("/media/a.jpg", &[][..]),
        ("/media/a.jpg", &[("range", "bytes=0-9")]),
        ("/media/a.jpg", &[("origin", "https://x.example")]),
        ("/media/b.json", &[]),
        ("/media/b.json", &[("accept-encoding", "gzip")]),
    ] {
        let answer = gateway.client.get(target, headers).await;
        assert!(answer.status.is_success(), "{target}");
        for name in answer.headers.keys() {
            assert!(ALLOWED.contains(&name.as_str()), "{name} came through on {target}");
        }
        assert!(answer.header("etag") != "\"theirs\"");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("content-security-policy"), "");
        assert!(!answer.header("vary").contains("X-Origin"));
    }
}

#[tokio::test]
async fn nothing_of_the_clients_headers_leaves() {
    let gateway = TestGateway::start().await;
    gateway.put("a", Object::generated(100, 7));
    let headers = [
        ("cookie", "session=secret"),
        ("authorization", "Bearer stolen"),
        ("proxy-authorization", "Basic x"),
        ("referer", "https://ui.example/task/1"),
        ("origin", "https://ui.example"),
        ("user-agent", "Mozilla"),
        ("accept-language", "de"),
        ("x-goog-user-project", "evil"),
        ("x-goog-encryption-key", "x"),
        ("x-goog-if-generation-match", "1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=192.0.2.1"),
        ("x-http-method-override", "DELETE"),
        ("x-upload-content-type", "x"),
        ("if-none-match", "\"x\""),
        ("if-match", "*"),
        ("accept-encoding", "br"),
        ("te", "trailers"),
        ("x-request-id", "mine"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    for method in [Method::GET, Method::HEAD] {
        assert!(gateway.client.send(method, "/media/a?access_token=x", &headers).await.status.is_success());
    }
    let requests = gateway.gcs.requests();
    assert_eq!(requests.len(), 2, "metadata, then media; HEAD from what is remembered");
    for request in requests {
        assert_eq!(request.credential, format!("jwt:{}", gateway.gcs.email()));
        for (name, value) in &request.headers {
            match name.as_str() {
                "host" => assert_eq!(value.to_str().unwrap(), gateway.gcs.address().to_string()),
                "user-agent" => assert!(value.to_str().unwrap().starts_with("gsgate/")),
                "accept-encoding" => assert_eq!(value, "gzip"),
                other => panic!("{other} was sent upstream"),
            }
        }
    }
}

#[tokio::test]
async fn stored_values_are_sent_only_if_they_are_legal() {
    let gateway = TestGateway::start().await;
    for (stored, expected) in [
        ("inline; filename=\"ü.jpg\"", Some("inline; filename=\"ü.jpg\"")),
        ("attachment; filename*=UTF-8''%C3%BC.jpg", Some("attachment; filename*=UTF-8''%C3%BC.jpg")),
        ("a\tb", Some("a\tb")),
        ("evil\r\nset-cookie: a=b", None),
        ("evil\nx: y", None),
        ("nul\0", None),
        ("bell\u{7}", None),
        ("", None),
    ] {
        let object = Object::bytes("x").content_disposition(stored).content_language(stored);
        gateway.put("a.txt", object);
        for _ in ["from the answer", "from what is remembered"] {
            // A condition makes the gateway take the values from the metadata, which is JSON and can hold anything.
            let condition = [("if-match", "*")];
            let answer = gateway.client.get("/media/a.txt", &condition).await;
            assert_eq!(answer.status, 200, "{stored:?}");
            let sent = answer.headers.get("content-disposition").map(http::HeaderValue::as_bytes);
            assert_eq!(sent, expected.map(str::as_bytes), "{stored:?}");
            let head = gateway.client.head("/media/a.txt", &[]).await;
            assert_eq!(head.headers.get("content-language").map(http::HeaderValue::as_bytes), sent, "{stored:?}");
            assert_eq!(answer.header("set-cookie"), "");
        }
    }
}

#[tokio::test]
async fn types_that_browsers_run_are_sandboxed_and_none_is_sniffed() {
    let gateway = TestGateway::start().await;
    for (name, stored, sent, sandboxed) in [
        ("a", "text/html", "text/html", true),
        ("a", "TEXT/HTML; charset=utf-8", "TEXT/HTML; charset=utf-8", true),
        ("a", "image/svg+xml", "image/svg+xml", true),
        ("a", "text/xml", "text/xml", true),
        ("a", "application/xml", "application/xml", true),
        ("a", "application/xhtml+xml", "application/xhtml+xml", true),
        ("a", "application/rss+xml", "application/rss+xml", true),
        ("a", "application/pdf", "application/pdf", true),
        ("a", "image/png, text/html", "image/png, text/html", true),
        ("a", "image/png;x=\",text/html", "image/png;x=\",text/html", true),
        ("a", "text/html,", "text/html,", true),
        ("a", " text/html", "text/html", true),
        ("a", "image/png", "image/png", false),
        ("a", "video/mp4", "video/mp4", false),
        ("a", "text/plain", "text/plain", false),
        ("a.svg", "", "image/svg+xml", true),
        ("a.HTML", "application/octet-stream", "text/html", true),
        ("a.pdf", "binary/octet-stream", "application/pdf", true),
        ("a.jpg", "application/octet-stream", "image/jpeg", false),
        ("a.mp4", "", "video/mp4", false),
        ("dir.svg/a", "", "application/octet-stream", false),
        ("a.jpg", "image/png", "image/png", false),
        ("a.wav", "bad\u{1}type", "audio/wav", false),
    ] {
        let object = Object::bytes("x");
        gateway.put(name, if stored.is_empty() { object } else { object.content_type(stored) });
        for method in [Method::GET, Method::HEAD] {
            let answer = gateway.client.send(method, &format!("/media/{name}"), &[]).await;
            assert_eq!(answer.header("content-type"), sent, "{name} {stored}");
            let policy = if sandboxed { "sandbox" } else { "" };
            assert_eq!(answer.header("content-security-policy"), policy, "{name} {stored}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
    }
}

#[tokio::test]
async fn every_answer_says_nosniff_and_has_an_id() {
    let gateway = TestGateway::start().await;
    gateway.put("a", Object::bytes("x"));
    for (method, target) in [
        (Method::GET, "/media/a"),
        (Method::GET, "/media/none"),
        (Method::GET, "/nowhere/a"),
        (Method::GET, "/"),
        (Method::GET, "/media/.."),
        (Method::POST, "/media/a"),
        (Method::OPTIONS, "/media/a"),
        (Method::GET, "/-/healthz"),
        (Method::POST, "/-/healthz"),
        (Method::GET, "/-/nothing"),
    ] {
        let answer = gateway.client.send(method.clone(), target, &[]).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{method} {target}");
        assert!(!answer.header("x-request-id").is_empty(), "{method} {target}");
        assert_eq!(answer.header("vary"), "Origin", "{method} {target}");
    }
}

#[tokio::test]
async fn other_methods_and_service_workers_are_refused_unasked() {
    let gateway = TestGateway::start().await;
    gateway.put("a.js", Object::bytes("x"));
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = gateway.client.send(method.clone(), "/media/a.js", &[("origin", "https://x.example")]).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS", "{method}");
        assert_eq!(answer.code(), "method_not_allowed", "{method}");
    }
    for value in ["script", "SCRIPT"] {
        let answer = gateway.client.get("/media/a.js", &[("service-worker", value)]).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "service_worker"));
    }
    assert_eq!(gateway.gcs.requests().len(), 0);
    assert_eq!(gateway.client.get("/media/a.js", &[]).await.status, 200);
    assert_eq!(gateway.gcs.count(Operation::Media), 1);
}
