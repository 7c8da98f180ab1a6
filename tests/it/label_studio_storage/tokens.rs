//! Who may talk to the endpoint: assertions, tokens, and keys that come and go.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::rig::{Owner, Rig, json_of, refusal};
use crate::support::Answer;

const BUCKET: &str = "/storage/v1/b/test-media?projection=noAcl&prettyPrint=false";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn exchange(rig: &Rig, assertion: &str) -> Answer {
    let grant = utf8_percent_encode("urn:ietf:params:oauth:grant-type:jwt-bearer", NON_ALPHANUMERIC);
    rig.send_bare(Method::POST, "/token", &[FORM], format!("grant_type={grant}&assertion={assertion}").into()).await
}

async fn with_token(rig: &Rig, token: &str) -> Answer {
    let target = format!("{}{BUCKET}", gsgate::label_studio::storage::PATH);
    rig.gateway.client.get(&target, &[("authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn an_assertion_becomes_a_token_that_lets_in() {
    let rig = Rig::start("").await;
    let token = json_of(&exchange(&rig, &rig.owner.assertion(&rig.owner.claims())).await);
    assert_eq!(token["token_type"], "Bearer");
    assert!((3500..=3600).contains(&token["expires_in"].as_u64().unwrap()), "{token}");
    let answer = with_token(&rig, token["access_token"].as_str().unwrap()).await;
    assert_eq!(json_of(&answer)["name"], "test-media");
}

#[tokio::test]
async fn nobody_else_is_let_in() {
    let rig = Rig::start("").await;
    let (owner, stranger) = (&rig.owner, Owner::new("x"));
    let claims = owner.claims();
    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        owner.assertion(&claims)
    };
    let now = claims["iat"].as_u64().unwrap();
    let good = owner.assertion(&claims);
    let (head, signature) = good.rsplit_once('.').unwrap();
    let mut late = claims.clone();
    (late["iat"], late["exp"]) = ((now - 7200).into(), (now - 3600).into());
    let header = |alg: &str| json!({ "alg": alg, "kid": owner.id });
    for (token, why) in [
        (stranger.assertion(&stranger.claims()), "a key that nobody trusts"),
        (stranger.assertion(&claims), "another's name"),
        (stranger.jwt(&header("RS256"), &claims), "another's name and key id"),
        (owner.jwt(&header("none"), &claims), "no algorithm"),
        (owner.jwt(&header("HS256"), &claims), "another algorithm"),
        (owner.assertion(&late), "expired"),
        (changed("exp", (now + 86_400).into()), "a day"),
        (changed("iat", (now + 3000).into()), "not yet"),
        (changed("aud", "https://elsewhere.example/token".into()), "another audience"),
        (changed("aud", json!(null)), "no audience"),
        (changed("iss", "owner@example.com".into()), "another issuer"),
        (changed("sub", "owner@example.com".into()), "on another's behalf"),
        (format!("{head}.{}", signature.chars().rev().collect::<String>()), "a forged signature"),
        (format!("{head}."), "no signature"),
        (head.to_owned(), "half a token"),
        (String::new(), "nothing"),
    ] {
        let answer = exchange(&rig, &token).await;
        assert_eq!(answer.status, 400, "{why}");
        let error: Value = serde_json::from_slice(answer.bytes()).unwrap();
        assert_eq!(error["error"], "invalid_grant", "{why}");
        assert_eq!(refusal(&with_token(&rig, &token).await), (401, "authError".to_owned()), "{why}");
    }
    let nobody = rig.gateway.client.get(&format!("/-/label-studio/gcs{BUCKET}"), &[]).await;
    assert_eq!(refusal(&nobody), (401, "authError".to_owned()));
    assert_eq!(nobody.header("www-authenticate"), "Bearer");
    let other = rig.send_bare(Method::POST, "/token", &[FORM], "grant_type=refresh_token&refresh_token=x".into()).await;
    assert!(other.status == 400 && other.text().contains("unsupported_grant_type"), "{}", other.text());
    let long = exchange(&rig, &"x".repeat(64 * 1024)).await;
    assert_eq!(long.status, 400);
    assert_eq!(rig.gateway.gcs.requests().len(), 0, "Cloud Storage was not asked");
}

#[tokio::test]
async fn a_token_reaches_as_far_as_its_scope() {
    let rig = Rig::start("can_delete = true").await;
    let token = |scope: &str| {
        let mut claims = rig.owner.claims();
        claims["scope"] = scope.into();
        format!("Bearer {}", rig.owner.assertion(&claims))
    };
    let google = "https://www.googleapis.com/auth";
    let (reader, nobody) = (token(&format!("{google}/devstorage.read_only")), token(&format!("{google}/drive")));
    let get = |token: String| async move {
        let target = format!("/-/label-studio/gcs{BUCKET}");
        rig.gateway.client.get(&target, &[("authorization", &token)]).await.status.as_u16()
    };
    assert_eq!((get(reader).await, get(nobody).await), (200, 403));
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let rig = Rig::start("can_delete = true").await;
    let mut claims = rig.owner.claims();
    claims["scope"] = "https://www.googleapis.com/auth/devstorage.read_only".into();
    let token = format!("Bearer {}", rig.owner.assertion(&claims));
    let headers = [("authorization", token.as_str())];
    rig.gateway.put("notes/1", gsgate::emulator::Object::bytes("x"));
    for (method, target) in [
        (Method::POST, "/upload/storage/v1/b/test-media/o?uploadType=media&name=notes/2"),
        (Method::DELETE, "/storage/v1/b/test-media/o/notes%2F1"),
    ] {
        let answer = rig.send_bare(method, target, &headers, "x".into()).await;
        assert_eq!(refusal(&answer), (403, "forbidden".to_owned()), "{target}");
    }
    assert!(rig.names().contains(&"notes/1".to_owned()) && !rig.names().contains(&"notes/2".to_owned()));
}

#[tokio::test]
async fn keys_come_and_go_with_a_reload() {
    let rig = Rig::start("").await;
    let next = Owner::new("x");
    let (old, new) = (rig.owner.assertion(&rig.owner.claims()), next.assertion(&next.claims()));
    assert_eq!(with_token(&rig, &new).await.status, 401);
    let file = rig.folder.path().join("next.pub");
    std::fs::write(&file, &next.public).unwrap();
    let entry = format!("keys = [{:?}, ", file.to_str().unwrap());
    rig.gateway.rewrite(|text| text.replace("keys = [", &entry));
    rig.gateway.reload.reload();
    while with_token(&rig, &new).await.status != 200 {}
    assert_eq!(with_token(&rig, &old).await.status, 200, "both are trusted");
    std::fs::write(rig.folder.path().join("key.pub"), &next.public).unwrap();
    rig.gateway.reload.reload();
    while with_token(&rig, &old).await.status != 401 {}
    assert_eq!(with_token(&rig, &new).await.status, 200);
}

#[tokio::test]
async fn any_replica_takes_a_token_of_any_other() {
    let (first, second) = (Rig::start("").await, Rig::start("").await);
    std::fs::write(first.folder.path().join("key.pub"), &second.owner.public).unwrap();
    first.gateway.reload.reload();
    let token = json_of(&exchange(&second, &second.owner.assertion(&second.owner.claims())).await);
    let token = token["access_token"].as_str().unwrap();
    while with_token(&first, token).await.status != 200 {}
    let url = second.owner.signed((&Method::GET, "test-media", "in/a.txt"), std::time::SystemTime::now());
    for rig in [&first, &second] {
        assert_eq!(rig.gateway.client.get(&url, &[]).await.text(), "hello");
    }
}

#[tokio::test]
async fn the_endpoint_stands_beside_the_front() {
    let names = "connections = [\"inside\"]";
    let rig =
        Rig::with(names, "", |builder| builder.sections("[label_studio]\nupstream = \"http://127.0.0.1:9\"")).await;
    assert_eq!(json_of(&rig.get("/storage/v1/b/test-media").await)["name"], "test-media");
    let url = rig.owner.signed((&Method::GET, "test-media", "in/a.txt"), std::time::SystemTime::now());
    assert_eq!(rig.gateway.client.get(&url, &[]).await.text(), "hello");
    for elsewhere in
        ["/-/label-studio/gcsx/token", "/-/label-studio%2Fgcs/storage/v1/b/test-media", "//-/label-studio/gcs"]
    {
        let status = rig.gateway.client.get(elsewhere, &[]).await.status.as_u16();
        assert!([404, 502].contains(&status), "{elsewhere}: {status}");
    }
}
