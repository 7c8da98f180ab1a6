//! Links by the API: in a batch, in manifests, in previews; only for who has the token.

use std::path::Path;

use gsgate::emulator::Object;
use gsgate::gateway::links;
use serde_json::{Value, json};

use super::openapi::read;
use crate::support::{Answer, Client, Log, TestGateway};

const TOKEN: &str = "links-token-0123456789";
const BEARER: (&str, &str) = ("authorization", "Bearer links-token-0123456789");

/// `[admin]`, `[links]`, and the connection `linked` to the images, which demands a link.
pub(super) fn sections(folder: &Path) -> String {
    let (token, key) = (folder.join("token"), folder.join("link-key"));
    std::fs::write(&token, TOKEN).unwrap();
    links::new_key(&key).unwrap();
    format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{}\"\n[links]\nkeys = [{{ id = \"k1\", file = \"{}\" }}]\n\
         [networks]\nnowhere = [\"192.0.2.0/24\"]\n\
         [connections.linked]\nuri = \"gs://test-media/images/\"\naccess = \"link\"\ndelivery = \"proxy\"\n",
        token.display(),
        key.display()
    )
}

pub(super) async fn gateway(folder: &Path) -> TestGateway {
    let server = "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://m.example\"\n";
    let gateway = TestGateway::builder().await.sections(&format!("{server}{}", sections(folder))).start().await;
    for name in ["images/a.jpg", "images/b ü.jpg"] {
        gateway.put(name, Object::bytes("pixels").content_type("image/jpeg"));
    }
    gateway
}

/// `POST /api/v1/links` with the token.
pub(super) async fn post(admin: Client, body: &str) -> Answer {
    send(admin, body, &format!("Content-Type: application/json\r\nAuthorization: Bearer {TOKEN}\r\n")).await
}

async fn send(admin: Client, body: &str, headers: &str) -> Answer {
    let head = format!("POST /api/v1/links HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}");
    read(&admin.raw(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await)
}

/// What the gateway answers to a URL of its own.
async fn follow(gateway: &TestGateway, url: &str) -> u16 {
    let target = url.strip_prefix("https://m.example").unwrap_or_else(|| panic!("{url}"));
    gateway.client.get(target, &[("host", "m.example")]).await.status.as_u16()
}

#[tokio::test]
async fn a_batch_of_links_opens_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path()).await;
    assert_eq!(follow(&gateway, "https://m.example/linked/a.jpg").await, 403, "a link is demanded");
    let uris = ["gs://test-media/images/a.jpg", "gs://test-media/images/b ü.jpg", "gs://test-media/images/"];
    let answer = post(gateway.admin, &json!({ "uris": uris }).to_string()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let made: Value = serde_json::from_slice(answer.bytes()).unwrap();
    let opened: Vec<&str> =
        made["links"].as_array().unwrap().iter().map(|link| link["url"].as_str().unwrap()).collect();
    assert_eq!(opened.len(), 3);
    assert_eq!((follow(&gateway, opened[0]).await, follow(&gateway, opened[1]).await), (200, 200));
    assert_eq!(follow(&gateway, &format!("{}b%20%C3%BC.jpg", opened[2])).await, 200, "a link to a prefix");
    let other = opened[0].replace("/a.jpg", "/b%20%C3%BC.jpg");
    assert_eq!(follow(&gateway, &other).await, 403, "a link is for one object");
    for (uri, link) in uris.iter().zip(made["links"].as_array().unwrap()) {
        assert_eq!((&link["uri"], &link["connection"]), (&json!(uri), &json!("linked")));
    }
    let elsewhere =
        json!({ "uris": [uris[0]], "terms": { "networks": ["nowhere"], "subject": "annotator-17", "expires": "1h" } });
    let made: Value = serde_json::from_slice(post(gateway.admin, &elsewhere.to_string()).await.bytes()).unwrap();
    assert_eq!(follow(&gateway, made["links"][0]["url"].as_str().unwrap()).await, 403, "from another network");
}

#[tokio::test]
async fn a_batch_is_made_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path()).await;
    let good = "gs://test-media/images/a.jpg";
    let many = json!({ "uris": vec![good; 1001] }).to_string();
    let long = format!("{{\"uris\": [\"{}\"]}}", "x".repeat(2 * 1024 * 1024));
    for (body, status, word) in [
        (json!({ "uris": [good, "gs://other/a"] }).to_string().as_str(), 409, "covered by no connection"),
        (&json!({ "uris": [good], "connection": "media" }).to_string(), 409, "takes no links"),
        (&json!({ "uris": [good], "connection": "nobody" }).to_string(), 409, "covered by no connection"),
        (&json!({ "uris": [] }).to_string(), 400, "1 to 1000"),
        (&many, 400, "1 to 1000"),
        (&long, 400, "longer than"),
        (&json!({ "uris": ["https://x/y"] }).to_string(), 400, "gs://"),
        (&json!({ "uris": [good], "expires": "1h" }).to_string(), 400, "unknown field"),
        (&json!({ "uris": [good], "terms": { "expires": "soon" } }).to_string(), 400, "expires is a time"),
        (&json!({ "uris": [good], "terms": { "networks": ["moon"] } }).to_string(), 400, "network"),
        (&json!({ "uris": [good], "terms": { "subject": "a b" } }).to_string(), 400, "subject"),
        ("", 400, "EOF"),
        ("[[[[[[[[", 400, "invalid"),
    ] {
        let answer = post(gateway.admin, body).await;
        assert_eq!(answer.status, status, "{body:.80}: {:?}", answer.body);
        assert!(answer.text().contains(word), "{body:.80}: {}", answer.text());
    }
    let plain =
        send(gateway.admin, "{}", &format!("Content-Type: text/plain\r\nAuthorization: Bearer {TOKEN}\r\n")).await;
    assert!(plain.status == 400 && plain.text().contains("application/json"), "{plain:?}");
}

#[tokio::test]
async fn nobody_gets_a_link_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let sections = sections(folder.path());
    let open = sections.split_once("[links]").unwrap().1;
    let gateway = TestGateway::builder().await.sections(&format!("[links]{open}")).start().await;
    gateway.put("images/a.jpg", Object::bytes("pixels"));
    let body = r#"{"uris":["gs://test-media/images/a.jpg"],"public_url":"https://m.example"}"#;
    let answer = send(gateway.admin, body, "Content-Type: application/json\r\n").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "token_needed"));
    let tasks = "/api/v1/connections/linked/tasks?link=true&public_url=https://m.example";
    assert_eq!(gateway.admin.get(tasks, &[("host", "localhost")]).await.code(), "token_needed");
    let preview = gateway.admin.get("/api/v1/connections/linked/preview", &[("host", "localhost")]).await;
    assert!(preview.status == 200 && !preview.text().contains("sig="), "{preview:?}");
}

#[tokio::test]
async fn manifests_and_previews_have_links_that_open_and_no_log_has_them() {
    let log = Log::capture("trace");
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path()).await;
    let preview = gateway.admin.get("/api/v1/connections/linked/preview", &[BEARER]).await;
    let preview: Value = serde_json::from_slice(preview.bytes()).unwrap();
    let tasks = "/api/v1/connections/linked/tasks?format=txt&link=true&expires=2h&subject=annotator-17";
    let manifest = gateway.admin.get(tasks, &[BEARER]).await;
    let mut urls: Vec<String> = manifest.text().lines().map(str::to_owned).collect();
    urls.extend(preview["objects"].as_array().unwrap().iter().map(|object| object["url"].as_str().unwrap().to_owned()));
    assert_eq!(urls.len(), 4);
    for url in &urls {
        let token = url.split_once("?sig=").unwrap_or_else(|| panic!("{url}")).1;
        assert_eq!(follow(&gateway, url).await, 200, "{url}");
        assert!(!log.text().contains(token), "a link is in the log");
    }
    for (query, word) in [
        ("link=true&gs_uri=true", "carry no links"),
        ("subject=a", "subject is about links"),
        ("link=true&expires=never", "expires is a time"),
        ("link=true&not_before=soon", "not_before"),
    ] {
        let answer = gateway.admin.get(&format!("/api/v1/connections/linked/tasks?{query}"), &[BEARER]).await;
        assert!(answer.status == 400 && answer.text().contains(word), "{query}: {answer:?}");
    }
    let media = gateway.admin.get("/api/v1/connections/media/tasks?link=true", &[BEARER]).await;
    assert!(media.status == 409 && media.text().contains("takes no links"), "{media:?}");
}
