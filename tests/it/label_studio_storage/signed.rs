//! URLs that Label Studio has signed with its key, and browsers that come with them.

use std::time::{Duration, SystemTime};

use gsgate::emulator::{Object, Operation};
use gsgate::label_studio::storage::PATH;
use http::Method;

use super::rig::{Owner, Rig};

const PAGE: (&str, &str) = ("origin", "https://label.example.com");
const CORS: &str = "[cors]\norigins = [\"https://label.example.com\"]";

async fn rig() -> Rig {
    Rig::with("connections = [\"inside\", \"other\"]\nexport = [\"notes\"]", "", |builder| builder.sections(CORS)).await
}

fn url(owner: &Owner, object: &str) -> String {
    owner.signed((&Method::GET, "test-media", object), SystemTime::now())
}

#[tokio::test]
async fn a_browser_gets_what_a_signed_url_names() {
    let rig = rig().await;
    rig.gateway.put("in/ü +#%/a.jpg", Object::bytes(vec![7; 1000]).content_type("image/jpeg"));
    let (client, target) = (rig.gateway.client, url(&rig.owner, "in/ü +#%/a.jpg"));
    let whole = client.get(&target, &[PAGE, ("sec-fetch-mode", "cors")]).await;
    assert_eq!((whole.status.as_u16(), whole.bytes().len()), (200, 1000), "{target}");
    assert_eq!(whole.header("access-control-allow-origin"), "https://label.example.com");
    assert!(whole.header("x-gsgate-delivery").starts_with("proxy"));
    let part = client.get(&target, &[("range", "bytes=-10")]).await;
    assert_eq!((part.status.as_u16(), part.header("content-range").as_str()), (206, "bytes 990-999/1000"));
    let known = client.get(&target, &[("if-none-match", &whole.header("etag"))]).await;
    assert_eq!(known.status, 304);
    for host in ["gateway.test:8080", "GATEWAY.test"] {
        assert_eq!(client.get(&target, &[("host", host)]).await.status, 200, "{host}");
    }
    assert_eq!(client.head(&target, &[]).await.status, 403, "HEAD takes a signature of its own");
    let head = rig.owner.signed((&Method::HEAD, "test-media", "in/a.txt"), SystemTime::now());
    assert_eq!(client.head(&head, &[]).await.header("content-length"), "5");
    let asked = [PAGE, ("access-control-request-method", "GET"), ("access-control-request-headers", "range")];
    let expired =
        rig.owner.signed((&Method::GET, "test-media", "in/a.txt"), SystemTime::now() - Duration::from_hours(1));
    assert_eq!(client.send(Method::OPTIONS, &expired, &asked).await.status, 204, "the request itself says why");
    let preflight = client.send(Method::OPTIONS, &target, &asked).await;
    assert_eq!(
        (preflight.status.as_u16(), preflight.header("access-control-allow-headers").contains("range")),
        (204, true)
    );
}

#[tokio::test]
async fn nothing_else_is_a_signature() {
    let rig = rig().await;
    let (client, good, stranger) = (rig.gateway.client, url(&rig.owner, "in/a.txt"), Owner::new("x"));
    assert_eq!(client.get(&good, &[]).await.text(), "hello");
    let signature = good.rsplit_once('=').unwrap().1;
    let other = |letter: &str| if letter == "0" { "1" } else { "0" };
    let mut forged: Vec<(String, &str)> = vec![
        (url(&stranger, "in/a.txt"), "another key"),
        (
            url(&stranger, "in/a.txt")
                .replace(&stranger.email.replace('@', "%40"), &rig.owner.email.replace('@', "%40")),
            "another name",
        ),
        (good.replace("in/a.txt", "in/deep/b%20c.txt"), "another object"),
        (good.replace("in/a.txt", "in/../in/a.txt"), "another spelling"),
        (good.replace("test-media", "other-media"), "another bucket"),
        (good.replace("X-Goog-Expires=600", "X-Goog-Expires=6000"), "another life"),
        (good.replace("X-Goog-Expires=600", "X-Goog-Expires=604801"), "a life too long"),
        (good.replace(signature, ""), "no signature"),
        (good.replace(signature, &signature[2..]), "half a signature"),
        (good.replace("RSA-SHA256", "HMAC-SHA256"), "another algorithm"),
        (format!("{good}&generation=7"), "a parameter more"),
        (format!("{good}&X-Goog-Expires=600"), "a parameter twice"),
    ];
    for at in [0, 100, 511] {
        let letter = &signature[at..=at];
        let changed = format!("{}{}{}", &signature[..at], other(letter), &signature[at + 1..]);
        forged.push((good.replace(signature, &changed), "a digit"));
    }
    for (target, why) in forged {
        let answer = client.get(&target, &[PAGE]).await;
        assert!([400, 403].contains(&answer.status.as_u16()), "{why}: {}", answer.status);
        assert!(
            answer.text().contains("<Error><Code>") && !answer.text().contains(&signature[..20]),
            "{}",
            answer.text()
        );
    }
    assert_eq!(client.get(&good, &[("host", "elsewhere.example")]).await.status, 403, "for another host");
    let unsigned = client.get(&format!("{PATH}/test-media/in/a.txt"), &[]).await;
    assert_eq!(unsigned.status, 404);
    let bearer = rig.owner.bearer();
    assert_eq!(client.get(&format!("{PATH}/test-media/in/a.txt"), &[("authorization", &bearer)]).await.status, 404);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let target = rig.owner.signed((&method, "test-media", "notes/1"), SystemTime::now());
        assert_eq!(client.send(method.clone(), &target, &[]).await.status, 405, "{method}");
    }
}

#[tokio::test]
async fn a_signed_url_has_its_time() {
    let rig = rig().await;
    let at = |when: SystemTime| rig.owner.signed((&Method::GET, "test-media", "in/a.txt"), when);
    let now = SystemTime::now();
    let expired = rig.gateway.client.get(&at(now - Duration::from_mins(11)), &[PAGE]).await;
    assert_eq!((expired.status.as_u16(), expired.text().contains("<Code>ExpiredToken</Code>")), (400, true));
    assert_eq!(expired.header("access-control-allow-origin"), "https://label.example.com", "a page may read why");
    assert_eq!(rig.gateway.client.get(&at(now - Duration::from_secs(500)), &[]).await.status, 200);
    assert_eq!(rig.gateway.client.get(&at(now + Duration::from_mins(10)), &[]).await.status, 200, "clocks differ");
    assert_eq!(rig.gateway.client.get(&at(now + Duration::from_secs(1000)), &[]).await.status, 403);
    assert_eq!(rig.gateway.gcs.count(Operation::Media), 2);
}

#[tokio::test]
async fn a_signature_does_not_widen_what_a_connection_serves() {
    let rig = rig().await;
    let get = async |bucket: &str, object: &str| {
        let target = rig.owner.signed((&Method::GET, bucket, object), SystemTime::now());
        let answer = rig.gateway.client.get(&target, &[]).await;
        (answer.status.as_u16(), answer.text().contains("<Code>AccessDenied</Code>"))
    };
    for (bucket, object) in [
        ("test-media", "secret.txt"),
        ("test-media", "in"),
        ("test-media", "internal/x"),
        ("other-media", "b.png"),
        ("other-media", "deep/c.jpg"),
        ("unknown-bucket", "a"),
    ] {
        assert_eq!(get(bucket, object).await, (403, true), "{bucket}/{object}");
    }
    assert_eq!(get("test-media", "in/gone").await, (404, false));
    assert_eq!(rig.gateway.gcs.count(Operation::Media), 1);
}

#[tokio::test]
async fn networks_count_beside_a_signature() {
    let names = "connections = [\"inside\"]\nallow = \"anyone\"";
    let rig = Rig::with(names, "", |builder| builder.access("allow = [\"10.0.0.0/8\"]")).await;
    let denied = rig.gateway.client.get(&url(&rig.owner, "in/a.txt"), &[]).await;
    assert_eq!((denied.status.as_u16(), denied.code().as_str()), (404, "not_found"));
    let forged = rig.gateway.client.get(&url(&Owner::new("x"), "in/a.txt"), &[]).await;
    assert_eq!(forged.text().len(), denied.text().len(), "a good and a bad signature look the same from there");
    assert_eq!(rig.gateway.gcs.count(Operation::Media), 0);
}

#[tokio::test]
async fn a_signature_stands_in_the_place_of_a_link() {
    let key = tempfile::tempdir().unwrap();
    let file = key.path().join("link.key");
    std::fs::write(&file, "00".repeat(32)).unwrap();
    let sections = format!(
        "[links]\nkeys = [{{ id = \"k1\", file = {:?} }}]\n[connections.linked]\nuri = \"gs://test-media/in/\"\naccess = \"link\"\n",
        file.to_str().unwrap()
    );
    let rig = Rig::with("connections = [\"linked\"]", "", |builder| builder.sections(&sections)).await;
    assert_eq!(rig.gateway.client.get("/linked/a.txt", &[]).await.status, 403);
    assert_eq!(rig.gateway.client.get(&url(&rig.owner, "in/a.txt"), &[]).await.text(), "hello");
}

#[tokio::test]
async fn without_a_signature_nobody_learns_what_there_is() {
    let rig = rig().await;
    let asked = [PAGE, ("access-control-request-method", "GET")];
    let stranger = Owner::new("x");
    let mut seen = Vec::new();
    for object in ["in/a.txt", "in/nothing", "secret.txt", "nothing"] {
        let target = url(&stranger, object);
        let preflight = rig.gateway.client.send(Method::OPTIONS, &target, &asked).await;
        let answer = rig.gateway.client.get(&target, &[PAGE]).await;
        let headers = |answer: &crate::support::Answer| {
            let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        seen.push((preflight.status, headers(&preflight), answer.status, headers(&answer), answer.text().to_owned()));
    }
    assert!(seen.iter().all(|one| *one == seen[0] && one.0 == 403 && one.2 == 403), "{seen:#?}");
}
