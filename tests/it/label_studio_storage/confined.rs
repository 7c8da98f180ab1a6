//! What lies outside of the connections is not there, however it is asked for.

use gsgate::emulator::{Object, Operation};
use http::Method;
use serde_json::{Value, json};

use super::rig::{Rig, json_of, refusal};

async fn names(rig: &Rig, bucket: &str, query: &str) -> (Vec<String>, Value) {
    let (mut found, mut folded) = (Vec::new(), Vec::new());
    let mut token = String::new();
    loop {
        let page = json_of(&rig.get(&format!("/storage/v1/b/{bucket}/o?{query}{token}")).await);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        found.extend(page["items"].as_array().into_iter().flatten().map(|item| text(&item["name"])));
        folded.extend(page["prefixes"].as_array().into_iter().flatten().map(text));
        match page["nextPageToken"].as_str() {
            Some(next) => token = format!("&pageToken={next}"),
            None => return (found, json!(folded)),
        }
    }
}

#[tokio::test]
async fn a_list_of_the_bucket_is_one_of_the_connections() {
    let rig = Rig::start("").await;
    rig.gateway.put("notes/1", Object::bytes("{}"));
    rig.gateway.put("internal/x", Object::bytes("x"));
    let everything = ["in/a.txt", "in/deep/b c.txt", "notes/1"].map(str::to_owned).to_vec();
    for query in ["", "maxResults=1", "prefix=", "maxResults=2&fields=items(name),nextPageToken"] {
        assert_eq!(names(&rig, "test-media", query).await.0, everything, "{query}");
    }
    assert_eq!(names(&rig, "test-media", "prefix=in").await.0, everything[..2], "internal/ is another folder");
    assert_eq!(names(&rig, "test-media", "delimiter=/").await, (Vec::new(), json!(["in/", "notes/"])));
    assert_eq!(names(&rig, "test-media", "delimiter=/&maxResults=1").await, (Vec::new(), json!(["in/", "notes/"])));
    for query in ["prefix=secret", "prefix=internal/", "prefix=x&delimiter=/", "prefix=in/../", "prefix=/in/"] {
        assert_eq!(names(&rig, "test-media", query).await, (Vec::new(), json!([])), "{query}");
    }
    assert_eq!(names(&rig, "other-media", "").await.0, ["a.jpg"], "filter and depth count, too");
    assert_eq!(names(&rig, "other-media", "delimiter=/").await, (vec!["a.jpg".to_owned()], json!([])));
    let foreign = rig.gateway.gcs.requests();
    assert!(foreign.iter().all(|request| !format!("{request:?}").contains("secret")), "nothing else was asked for");
}

#[tokio::test]
async fn a_list_leaves_out_what_the_client_may_not_come_near() {
    let away = "[connections.away]\nuri = \"gs://test-media/away/\"\nallow = [\"192.0.2.0/24\"]";
    let rig = Rig::with("connections = [\"inside\", \"away\"]", away, |builder| builder).await;
    rig.gateway.put("away/1", Object::bytes("1"));
    let near = ["in/a.txt", "in/deep/b c.txt"].map(str::to_owned).to_vec();
    assert_eq!(names(&rig, "test-media", "").await.0, near);
    assert_eq!(names(&rig, "test-media", "prefix=away/").await.0, Vec::<String>::new());
    assert_eq!(names(&rig, "test-media", "delimiter=/").await.1, json!(["in/"]));
}

#[tokio::test]
async fn a_page_token_of_ones_own_making_leads_nowhere_else() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let rig = Rig::start("").await;
    rig.gateway.put("zzz", Object::bytes("x"));
    for upstream in ["secret.txt", "a", "zz", &STANDARD.encode("secret.tx")] {
        for piece in ["0", "1", "2", "99999999999"] {
            let token = URL_SAFE_NO_PAD.encode(format!("{piece}:{upstream}"));
            let answer = rig.get(&format!("/storage/v1/b/test-media/o?pageToken={token}")).await;
            assert!(!answer.text().contains("secret") && !answer.text().contains("zzz"), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn no_object_outside_is_read_written_or_deleted() {
    let rig = Rig::start("can_delete = true").await;
    rig.gateway.put("internal/x", Object::bytes("x"));
    let before = rig.names();
    for (name, status) in [
        ("secret.txt", 403),
        ("internal%2Fx", 403),
        ("in", 403),
        ("%2Fin%2Fa.txt", 403),
        ("IN%2Fa.txt", 403),
        ("in%252Fa.txt", 403),
        ("in%2F..%2Fsecret.txt", 400),
        ("in%2F%2e%2e%2Fsecret.txt", 400),
        ("in%2F.%2Fa.txt", 400),
        ("%2e%2e", 400),
        ("in%2Fa.txt%00", 400),
        ("in%2F%ff", 400),
        ("in/../secret.txt", 404),
        ("in/a.txt", 404),
    ] {
        for target in [
            format!("/storage/v1/b/test-media/o/{name}"),
            format!("/download/storage/v1/b/test-media/o/{name}?alt=media"),
        ] {
            assert_eq!(refusal(&rig.get(&target).await).0, status, "{target}");
        }
        let target = format!("/storage/v1/b/test-media/o/{name}");
        assert_eq!(refusal(&rig.send(Method::DELETE, &target, &[], "").await).0, status, "{target}");
    }
    for name in [
        "secret.txt",
        "in/a.txt",
        "in/new.txt",
        "notes",
        "notes%2F..%2Fsecret.txt",
        "notes/../in/a.txt",
        "%2Fnotes/1",
        "notes/1%00",
    ] {
        let target = format!("/upload/storage/v1/b/test-media/o?uploadType=media&name={name}");
        let answer = rig.send(Method::POST, &target, &[], "mine").await;
        assert!([400, 403].contains(&refusal(&answer).0), "{name}: {}", answer.text());
    }
    for object in ["other-media/o/b.png", "other-media/o/deep%2Fc.jpg", "unknown-bucket/o/a", "test-media/o/secret.txt"]
    {
        assert_eq!(refusal(&rig.get(&format!("/storage/v1/b/{object}")).await).0, 403, "{object}");
    }
    let readable = rig.send(Method::DELETE, "/storage/v1/b/test-media/o/in%2Fa.txt", &[], "").await;
    assert_eq!(refusal(&readable).0, 403, "what may be read may not be deleted");
    assert_eq!(rig.names(), before);
    for operation in [Operation::Media, Operation::Metadata, Operation::Upload, Operation::Delete] {
        assert_eq!(rig.gateway.gcs.count(operation), 0, "{operation:?}");
    }
}

#[tokio::test]
async fn a_missing_and_a_hidden_object_outside_look_the_same() {
    let rig = Rig::start("").await;
    let hidden = rig.get("/storage/v1/b/test-media/o/secret.txt").await;
    let missing = rig.get("/storage/v1/b/test-media/o/nothing.txt").await;
    assert_eq!((hidden.status, hidden.text()), (missing.status, missing.text()));
}
