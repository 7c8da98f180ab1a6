//! The contracts of annotation vendors, replayed as their own tools speak them.

use gsgate::emulator::Object;
use http::{Method, Response};
use serde_json::{Value, json};

use crate::support::little_server::LittleServer;
use crate::support::tokens::hs256;
use crate::support::{Answer, TestGateway};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const ORIGIN: (&str, &str) = ("origin", "https://app.labelbox.com");

/// The secret in a file, and the sections with `FILE` replaced by it.
async fn gateway(connection: &str, sections: &str) -> (TestGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let cors = "[cors]\norigins = [\"https://app.labelbox.com\"]";
    let sections = format!("{cors}\n{}", sections.replace("FILE", file.to_str().unwrap()));
    let gateway = TestGateway::builder().await.connection(connection).sections(&sections).start().await;
    gateway.put("a/b c.jpg", Object::bytes("pixels"));
    gateway.put("notes.txt", Object::bytes("text"));
    (gateway, folder)
}

fn labelbox(key: &str, bucket: &str) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let payload = json!({"key": key, "bucket": bucket, "iat": 1_700_000_000, "exp": 4_853_600_000_u64});
    format!("/-/labelbox?token={}", hs256(SECRET.as_bytes(), &header, &payload))
}

fn seen(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), if answer.status.is_success() { answer.text().to_owned() } else { answer.code() })
}

#[tokio::test]
async fn a_labelbox_token_gets_its_object_by_the_connections_rules() {
    let sections = "[vendors.labelbox]\nsecret = \"FILE\"\nconnections = [\"inner\", \"media\"]\n\
                    [connections.inner]\nuri = \"gs://other-bucket/\"";
    let (gateway, _folder) = gateway("delivery = \"proxy\"\nfilter = '.*\\.jpg$'", sections).await;
    let good = labelbox("a/b c.jpg", "test-media");
    let answer = gateway.client.get(&good, &[ORIGIN, ("range", "bytes=0-2")]).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (206, "pix"));
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.labelbox.com");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(gateway.client.head(&good, &[]).await.status, 200);
    let preflight = [ORIGIN, ("access-control-request-method", "GET")];
    assert_eq!(gateway.client.send(Method::OPTIONS, &good, &preflight).await.status, 204);
    assert_eq!(gateway.client.send(Method::POST, &good, &[]).await.status, 405);
    gateway.gcs.clear_requests();
    let (other, none) = (hs256(b"another", &json!({"alg": "HS256"}), &json!({})), "/-/labelbox".to_owned());
    for (target, expected) in [
        (labelbox("notes.txt", "test-media"), (404, "not_found")),
        (labelbox("a/b c.jpg", "foreign"), (404, "not_found")),
        (labelbox("a/../b.jpg", "test-media"), (400, "bad_object_name")),
        (none, (403, "link_invalid")),
        (format!("/-/labelbox?token={other}"), (403, "link_invalid")),
        (format!("{good}&{}", good.split_once('?').unwrap().1), (403, "link_invalid")),
        (good[..good.len() - 2].to_owned(), (403, "link_invalid")),
    ] {
        let answer = gateway.client.get(&target, &[ORIGIN]).await;
        assert_eq!(seen(&answer), (expected.0, expected.1.to_owned()), "{target}");
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.labelbox.com", "{target}");
    }
    assert_eq!(gateway.gcs.requests().len(), 0);
}

#[tokio::test]
async fn a_vendors_proof_stands_for_a_link_and_for_no_network() {
    let key = tempfile::tempdir().unwrap();
    let file = key.path().join("link.key");
    gsgate::gateway::links::new_key(&file).unwrap();
    let sections = format!(
        "[links]\nkeys = [{{ id = \"k1\", file = {file:?} }}]\n\
         [vendors.labelbox]\nsecret = \"FILE\"\nconnections = [\"media\", \"closed\"]\n\
         [connections.closed]\nuri = \"gs://closed-bucket/\"\nallow = [\"192.0.2.1\"]"
    );
    let (gateway, _folder) = gateway("delivery = \"proxy\"\naccess = \"link\"", &sections).await;
    gateway.gcs.bucket("closed-bucket").put("x.jpg", Object::bytes("x"));
    assert_eq!(seen(&gateway.client.get("/media/a/b%20c.jpg", &[]).await), (403, "link_invalid".to_owned()));
    assert_eq!(gateway.client.get(&labelbox("a/b c.jpg", "test-media"), &[]).await.text(), "pixels");
    assert_eq!(gateway.client.get(&labelbox("x.jpg", "closed-bucket"), &[]).await.status, 404);
}

#[tokio::test]
async fn adapters_are_off_unless_they_are_configured() {
    let (gateway, _folder) = gateway("delivery = \"proxy\"", "").await;
    for target in [&labelbox("a/b c.jpg", "test-media"), "/-/diffgram/test-media?key=a&method=get", "/-/toloka/data/a"]
    {
        let answer = gateway.client.get(target, &[("authorization", SECRET)]).await;
        assert_eq!(seen(&answer), (404, "not_found".to_owned()), "{target}");
    }
    let jwt = "jwt = { issuer = \"i\", audience = \"a\", jwks = \"https://keys.example/\" }";
    for (connection, sections, words) in [
        ("", "[vendors.labelbox]\nsecret = \"missing\"\nconnections = [\"media\"]", "cannot read"),
        (
            "",
            "[vendors.labelbox]\nsecret = \"gsgate.toml\"\nconnections = [\"nobody\"]",
            "there is no [connections.nobody]",
        ),
        ("", "[vendors.diffgram]\nauthorization = \"gsgate.toml\"\nconnections = [\"media\"]", "server.public_url"),
        (
            "",
            "[vendors.toloka]\napi = \"http://toloka.example\"\ntoken = \"gsgate.toml\"\nconnection = \"media\"",
            "https",
        ),
        (jwt, "[vendors.labelbox]\nsecret = \"gsgate.toml\"\nconnections = [\"media\"]", "demands a jwt"),
    ] {
        let refused = TestGateway::builder().await.connection(connection).sections(sections).try_start().await;
        let message = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("vendors.") && message.contains(words), "{sections}: {message}");
    }
    let short = TestGateway::builder().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "guess").unwrap();
    let sections = format!("[vendors.labelbox]\nsecret = {file:?}\nconnections = [\"media\"]");
    let message = short.sections(&sections).try_start().await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("has 5 bytes") && !message.contains("guess"), "{message}");
}

#[tokio::test]
async fn diffgrams_server_gets_a_url_that_works_and_nobody_else_does() {
    let server = "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1/\"";
    let key = tempfile::tempdir().unwrap();
    let file = key.path().join("link.key");
    gsgate::gateway::links::new_key(&file).unwrap();
    let sections = format!(
        "{server}\n[links]\nkeys = [{{ id = \"k1\", file = {file:?} }}]\n\
         [vendors.diffgram]\nauthorization = \"FILE\"\nconnections = [\"media\"]"
    );
    let session = ("authorization", SECRET);
    let host = ("host", "127.0.0.1");
    for connection in ["delivery = \"proxy\"", "delivery = \"proxy\"\naccess = \"link\"", "delivery = \"signed-url\""] {
        let (gateway, _folder) = gateway(connection, &sections).await;
        let mime = ("content-type", "image/jpeg");
        for target in [
            "/-/diffgram/test-media?key=a%2Fb%20c.jpg&method=get",
            "/-/diffgram/test-media/?key=a%2Fb+c.jpg&method=get",
        ] {
            let answer = gateway.client.get(target, &[session, mime, host]).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type").as_str()), (200, "application/json"));
            let json: Value = serde_json::from_slice(answer.bytes()).unwrap();
            let url: http::Uri = json["url"].as_str().unwrap().parse().unwrap();
            let path = url.path_and_query().unwrap().as_str();
            assert_eq!(path.contains("?sig="), connection.contains("link"), "{path}");
            let got = if connection.contains("signed-url") {
                let address = url.authority().unwrap().as_str().parse().unwrap();
                crate::support::Client { address }.get(path, &[("host", url.authority().unwrap().as_str())]).await
            } else {
                assert_eq!(url.host(), Some("127.0.0.1"));
                gateway.client.get(path, &[host]).await
            };
            assert_eq!((got.status.as_u16(), got.text()), (200, "pixels"), "{path}");
        }
        let get = "/-/diffgram/test-media?key=a%2Fb%20c.jpg&method=get";
        for (method, target, headers, expected) in [
            (Method::GET, get, &[host][..], (401, "unauthenticated")),
            (Method::GET, get, &[("authorization", "guess"), host], (401, "unauthenticated")),
            (Method::GET, get, &[session, session, host], (401, "unauthenticated")),
            (Method::POST, get, &[session, host], (405, "method_not_allowed")),
            (Method::GET, "/-/diffgram/test-media?key=a&method=put", &[session, host], (400, "bad_request")),
            (Method::GET, "/-/diffgram/foreign?key=a&method=get", &[session, host], (404, "not_found")),
            (Method::GET, "/-/diffgram/test-media?key=..%2Fa&method=get", &[session, host], (400, "bad_object_name")),
        ] {
            let answer = gateway.client.send(method, target, headers).await;
            assert_eq!(seen(&answer), (expected.0, expected.1.to_owned()), "{target}");
        }
    }
}

#[tokio::test]
async fn toloka_is_asked_whether_the_assignment_is_active_and_names_the_key() {
    let server = LittleServer::start(|head| {
        let (status, body) = match head.uri.path() {
            "/api/v1/assignments/active-1" => (
                200,
                json!({"id": "active-1", "status": "ACTIVE", "tasks": [{"input_values": {"image": "a/b c.jpg"}}]}),
            ),
            "/api/v1/assignments/done" => {
                (200, json!({"status": "SUBMITTED", "tasks": [{"input_values": {"image": "a/b c.jpg"}}]}))
            }
            "/api/v1/assignments/broken" => (500, json!({})),
            "/api/v1/assignments/moved" => (302, json!({})),
            _ => (404, json!({})),
        };
        Response::builder().status(status).header("location", "/elsewhere").body(body.to_string()).unwrap()
    })
    .await;
    let sections = format!(
        "[audit]\noutput = \"audit.log\"\n[vendors.toloka]\napi = \"{}\"\ntoken = \"FILE\"\nconnection = \"media\"",
        server.url("/api/v1")
    );
    let (gateway, _folder) = gateway("delivery = \"proxy\"", &sections).await;
    let data = |key: &str, id: &str| format!("/-/toloka/data/{key}?assignmentId={id}");
    for _ in 0..3 {
        let answer = gateway.client.get(&data("a/b%20c.jpg", "active-1"), &[ORIGIN]).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "pixels"));
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.labelbox.com");
    }
    let heads = server.heads();
    assert_eq!(heads.len(), 1, "what Toloka said is kept for a while");
    assert_eq!(heads[0].headers["authorization"], format!("OAuth {SECRET}"));
    for (target, expected, asked) in [
        (data("notes.txt", "active-1"), (403, "link_invalid"), 0),
        (data("a/b%20c.jpg", "done"), (403, "link_invalid"), 1),
        (data("a/b%20c.jpg", "nobody"), (403, "link_invalid"), 1),
        (data("a/b%20c.jpg", "..%2Factive-1"), (403, "link_invalid"), 0),
        (data("a/b%20c.jpg", ""), (403, "link_invalid"), 0),
        ("/-/toloka/data/a/b%20c.jpg".to_owned(), (403, "link_invalid"), 0),
        (data("a/b%20c.jpg", "broken"), (503, "vendor_unavailable"), 1),
        (data("a/b%20c.jpg", "moved"), (503, "vendor_unavailable"), 1),
        (data("..%2Fa", "active-1"), (400, "bad_object_name"), 0),
    ] {
        let before = server.heads().len();
        let answer = gateway.client.get(&target, &[ORIGIN]).await;
        assert_eq!(seen(&answer), (expected.0, expected.1.to_owned()), "{target}");
        assert_eq!(server.heads().len() - before, asked, "{target}");
    }
    let preflight = [ORIGIN, ("access-control-request-method", "GET")];
    assert_eq!(gateway.client.send(Method::OPTIONS, &data("a", "x"), &preflight).await.status, 204);
    let path = gateway.folder.path().join("audit.log");
    let text = loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.lines().count() == 12 {
            break text;
        }
        tokio::task::yield_now().await;
    };
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((first["subject"].as_str(), first["connection"].as_str()), (Some("toloka:active-1"), Some("media")));
}
