//! Signers, and the cache of the URLs they sign.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gsgate::cache::signed_urls::{SignedUrl, SignedUrls, UrlRequest};
use gsgate::gcs::{Credential, Endpoint, Signer};
use gsgate::object::{BucketName, ObjectName};
use serde_json::json;

use super::{ACCOUNT, Scene, chain};

/// Asks for the URL of an object, for that long.
async fn ask(
    (urls, signer): (&SignedUrls, &Signer),
    (object, expires): (&str, Duration),
    now: SystemTime,
) -> Result<SignedUrl, gsgate::gcs::Error> {
    let request = UrlRequest {
        connection: &Arc::from("street"),
        method: &http::Method::GET,
        endpoint: &Endpoint::default(),
        bucket: &BucketName::new("bucket").expect("a bucket"),
        object: &ObjectName::new(object).expect("an object"),
        query: &[],
        expires,
    };
    urls.url(signer, request, now).await
}

async fn url(urls: &SignedUrls, credential: &Credential, now: SystemTime) -> String {
    let signer = credential.signer().expect("can sign");
    let url = ask((urls, &signer), ("a b*.jpg", Duration::from_mins(15)), now).await.expect("a URL");
    assert!(url.location().is_sensitive() && !format!("{url:?}").contains("X-Goog"));
    assert!(url.expires_at() >= now + Duration::from_mins(15));
    url.location().to_str().expect("text").to_owned()
}

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_mins(30_000_015)
}

#[tokio::test]
async fn replicas_give_the_same_url_all_through_a_window() {
    let scene = Scene::new().await;
    let replicas = [scene.file(&scene.key(), "").await, scene.file(&scene.key(), "").await];
    let urls = SignedUrls::new(100);
    let first = url(&urls, &replicas[0], noon()).await;
    assert!(first.contains("/bucket/a%20b%2A.jpg?") && first.contains("X-Goog-Expires=1800&"), "{first}");
    assert_eq!(url(&SignedUrls::new(100), &replicas[1], noon() + Duration::from_secs(899)).await, first);
    assert_ne!(url(&urls, &replicas[0], noon() + Duration::from_mins(15)).await, first);
    assert_eq!(url(&urls, &replicas[0], noon()).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_share_one_signature_by_iam() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.impersonated(&scene.user()), "").await;
    let urls = SignedUrls::new(100);
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let (urls, credential) = (urls.clone(), credential.clone());
            tokio::spawn(async move { url(&urls, &credential, noon()).await })
        })
        .collect();
    for waiter in waiters {
        assert!(waiter.await.expect("no panic").contains("X-Goog-Signature=7369676e6174757265"));
    }
    let asked = scene.desk.asked(":signBlob");
    assert_eq!(asked.len(), 1);
    // The source's token and the delegates: the account need not be allowed to act as itself.
    assert_eq!(asked[0].authorization.as_deref(), Some("Bearer hidden-user-1"));
    let delegates = json!(["projects/-/serviceAccounts/between@project.iam.gserviceaccount.com"]);
    assert_eq!(asked[0].json()["delegates"], delegates);
    let payload = STANDARD.decode(asked[0].json()["payload"].as_str().expect("text")).expect("base64");
    assert!(payload.starts_with(b"GOOG4-RSA-SHA256\n"));
}

#[tokio::test]
async fn a_failure_is_not_kept_and_a_url_is_signed_once() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.user(), &format!("sign_as = \"{ACCOUNT}\"")).await;
    let (signer, urls) = (credential.signer().expect("can sign"), SignedUrls::new(100));
    signer.sign(b"x").await.expect("a signature, so that there is a token");
    scene
        .desk
        .fail(403, json!({ "error": { "status": "PERMISSION_DENIED", "message": "iam.serviceAccounts.signBlob" } }));
    let wanted = |object| (object, Duration::from_mins(15));
    ask((&urls, &signer), wanted("a"), noon()).await.expect_err("denied");
    let before = scene.desk.asked(":signBlob").len();
    for object in ["a", "a", "b", "a", "b"] {
        let url = ask((&urls, &signer), wanted(object), noon()).await.expect("a URL");
        assert!(url.location().to_str().expect("text").contains(&format!("/bucket/{object}?")));
    }
    assert_eq!(scene.desk.asked(":signBlob").len() - before, 2);
}

#[tokio::test]
async fn who_signs_depends_on_the_credential() {
    let mut scene = Scene::new().await;
    let email = async |credential: &Credential| match credential.signer() {
        Some(signer) => {
            Some((signer.email().await.expect("an address").to_string(), signer.longest_life().as_secs() / 3600))
        }
        None => None,
    };
    let named = format!("sign_as = \"{ACCOUNT}\"");
    let own = scene.key()["client_email"].as_str().expect("an address").to_owned();
    assert_eq!(email(&scene.file(&scene.key(), "").await).await, Some((own.clone(), 168)));
    assert_eq!(email(&scene.file(&scene.key(), &format!("sign_as = \"{own}\"")).await).await, Some((own, 168)));
    assert_eq!(email(&scene.file(&scene.key(), &named).await).await, Some((ACCOUNT.into(), 12)));
    assert_eq!(email(&scene.file(&scene.user(), "").await).await, None);
    assert_eq!(email(&scene.file(&scene.user(), &named).await).await, Some((ACCOUNT.into(), 12)));
    scene.set("GCE_METADATA_HOST", &scene.desk.host());
    assert_eq!(email(&scene.load("").await.expect("metadata")).await, Some((ACCOUNT.into(), 12)));
}

#[tokio::test]
async fn a_named_account_signs_with_a_token_of_its_own_scope() {
    let mut scene = Scene::new().await;
    scene.set("GCE_METADATA_HOST", &scene.desk.host());
    let credential = scene.load("").await.expect("metadata");
    credential.signer().expect("can sign").sign(b"x").await.expect("a signature");
    assert_eq!(scene.desk.asked("/token")[0].query, "scopes=https://www.googleapis.com/auth/cloud-platform");
    assert!(scene.desk.asked(":signBlob")[0].path.contains(ACCOUNT));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_before_signing_fails() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.user(), &format!("sign_as = \"{ACCOUNT}\"")).await;
    let signer = credential.signer().expect("can sign");
    signer.sign(b"x").await.expect("a signature");
    scene.desk.fail(401, json!({}));
    signer.sign(b"x").await.expect("a signature");
    assert_eq!(scene.desk.asked("/token").len(), 2);
    scene
        .desk
        .fail(403, json!({ "error": { "status": "PERMISSION_DENIED", "message": "iam.serviceAccounts.signBlob" } }));
    let error = signer.sign(b"x").await.expect_err("denied");
    assert!(chain(&error).contains("PERMISSION_DENIED: iam.serviceAccounts.signBlob"), "{}", chain(&error));
}

#[tokio::test]
async fn an_expiry_beyond_the_signers_reach_is_refused() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.user(), &format!("sign_as = \"{ACCOUNT}\"")).await;
    let signer = credential.signer().expect("can sign");
    let wanted = ("o", Duration::from_hours(13));
    let error = ask((&SignedUrls::new(1), &signer), wanted, noon()).await.expect_err("too long");
    assert!(chain(&error).contains("must be from 1 s to"), "{}", chain(&error));
}
