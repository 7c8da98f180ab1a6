//! Who may do what: tokens of every kind, grants, refusals in GCS's words.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use gsgate::emulator::{Emulator, Object, SubjectSource};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

use super::signed::rsa;
use super::wire::{CLOUD, READ_ONLY, get, post, send, start};

const FORM: &str = "application/x-www-form-urlencoded";
const MEDIA: &str = "/storage/v1/b/bkt/o/o?alt=media";

async fn with(gcs: &Emulator, token: &str, target: &str) -> (u16, String) {
    let answer = send(gcs, &format!("GET {target}"), &[("Authorization", &format!("Bearer {token}"))], "").await;
    (answer.status, answer.text())
}

fn jwt(key: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": key["private_key_id"]});
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = rsa(key["private_key"].as_str().expect("a key"), signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn claims(email: &str, more: Value) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let mut claims = json!({"iss": email, "sub": email, "iat": now, "exp": now + 3600});
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

async fn ready() -> Emulator {
    let gcs = start().await;
    gcs.bucket("bkt").put("o", Object::bytes("x"));
    gcs
}

#[tokio::test]
async fn self_signed_jwts_are_verified_against_the_key() {
    let gcs = ready().await;
    let key: Value = serde_json::from_str(&gcs.service_account_json().expect("a key")).expect("JSON");
    let email = gcs.email();
    let good = jwt(&key, &claims(&email, json!({"scope": READ_ONLY})));
    assert_eq!(with(&gcs, &good, MEDIA).await, (200, "x".to_owned()));
    assert_eq!(with(&gcs, &good, MEDIA).await.0, 200);
    let refused = (401, "Invalid Credentials".to_owned());
    for bad in [
        jwt(&key, &claims(&email, json!({}))),
        jwt(&key, &claims("other@x.iam.gserviceaccount.com", json!({"scope": READ_ONLY}))),
        jwt(&key, &claims(&email, json!({"scope": READ_ONLY, "exp": 1}))),
        jwt(&key, &claims(&email, json!({"scope": READ_ONLY, "aud": "https://elsewhere.example/"}))),
        good.replace("ey", "eY"),
        "ya29.unknown".to_owned(),
    ] {
        assert_eq!(with(&gcs, &bad, MEDIA).await, refused);
    }
    let aud = jwt(&key, &claims(&email, json!({"aud": "https://storage.googleapis.com/"})));
    assert_eq!(with(&gcs, &aud, MEDIA).await.0, 200);
    gcs.disable_account(&email, true);
    assert_eq!(with(&gcs, &good, MEDIA).await, refused);
    gcs.disable_account(&email, false);
    assert_eq!(with(&gcs, &good, MEDIA).await.0, 200);
    gcs.revoke_keys(&email);
    assert_eq!(with(&gcs, &good, MEDIA).await, refused);
}

#[tokio::test]
async fn callers_get_what_they_were_granted_and_gcs_says_what_is_missing() {
    let gcs = ready().await;
    let (bucket, email) = (gcs.bucket("bkt"), gcs.email());
    let text = "Anonymous caller does not have storage.objects.get access to the Google Cloud Storage object. \
                Permission 'storage.objects.get' denied on resource (or it may not exist).";
    let anonymous = send(&gcs, &format!("GET {MEDIA}"), &[], "").await;
    assert_eq!((anonymous.status, anonymous.text().as_str()), (401, text));
    let xml = send(&gcs, "GET /bkt/o", &[], "").await;
    assert_eq!(xml.status, 403);
    assert!(xml.text().contains("<Code>AccessDenied</Code>") && xml.text().contains(text));
    bucket.grant("someone@else", &["storage.objects.get"]);
    let denied = get(&gcs, MEDIA, &[]).await;
    assert_eq!((denied.status, denied.text()), (403, text.replace("Anonymous caller", &email)));
    bucket.grant(&email, &["storage.objects.get"]);
    assert_eq!(get(&gcs, MEDIA, &[]).await.status, 200);
    let hidden = get(&gcs, "/storage/v1/b/bkt/o/none?alt=media", &[]).await;
    assert_eq!((hidden.status, hidden.text().contains("storage.objects.list")), (403, true));
    bucket.set_public();
    assert_eq!(send(&gcs, &format!("GET {MEDIA}"), &[], "").await.status, 200);
    let scope = gcs.issue_token(&email, &["https://www.googleapis.com/auth/userinfo.email"]);
    assert_eq!(with(&gcs, &scope, MEDIA).await, (403, "Provided scope(s) are not authorized".to_owned()));
    bucket.requester_pays(true);
    assert_eq!(get(&gcs, MEDIA, &[]).await.status, 400);
    assert_eq!(get(&gcs, MEDIA, &[("x-goog-user-project", "p")]).await.status, 200);
    let only = |range: &str| json!({"mode": "Enabled", "publicNetworkSource": {"allowedIpCidrRanges": [range]}});
    bucket.set_ip_filter(only("10.0.0.0/8"));
    let filtered = get(&gcs, &format!("{MEDIA}&userProject=p"), &[]).await;
    let text = "There is an IP filtering condition that is preventing access to the resource.";
    assert_eq!((filtered.status, filtered.text().as_str()), (403, text));
    bucket.set_ip_filter(only("127.0.0.0/8"));
    assert_eq!(get(&gcs, &format!("{MEDIA}&userProject=p"), &[]).await.status, 200);
}

#[tokio::test]
async fn tokens_expire_with_the_clock_and_can_be_revoked() {
    let gcs = ready().await;
    let token = gcs.issue_token(&gcs.email(), &[CLOUD]);
    assert_eq!(with(&gcs, &token, MEDIA).await.0, 200);
    gcs.advance_clock(Duration::from_secs(3601));
    assert_eq!(with(&gcs, &token, MEDIA).await.0, 401);
    let token = gcs.issue_token(&gcs.email(), &[CLOUD]);
    gcs.revoke_tokens();
    assert_eq!(with(&gcs, &token, MEDIA).await.0, 401);
}

#[tokio::test]
async fn the_token_endpoint_grants_for_assertions_and_refresh_tokens() {
    let gcs = ready().await;
    let key: Value = serde_json::from_str(&gcs.service_account_json().expect("a key")).expect("JSON");
    let assertion = jwt(&key, &claims(&gcs.email(), json!({"scope": READ_ONLY, "aud": key["token_uri"]})));
    let form = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
    let granted = post(&gcs, "/token", FORM, "", &form).await.json();
    assert_eq!((granted["expires_in"].as_u64(), granted["token_type"].as_str()), (Some(3600), Some("Bearer")));
    assert_eq!(with(&gcs, granted["access_token"].as_str().expect("a token"), MEDIA).await.0, 200);
    let user: Value = serde_json::from_str(&gcs.authorized_user_json()).expect("JSON");
    let text = |name: &str| user[name].as_str().expect("text").to_owned();
    let form = |secret: &str| {
        let (id, token) = (text("client_id"), text("refresh_token"));
        format!("grant_type=refresh_token&client_id={id}&client_secret={secret}&refresh_token={token}")
    };
    let granted = post(&gcs, "/token", FORM, "", &form(&text("client_secret"))).await.json();
    assert_eq!(with(&gcs, granted["access_token"].as_str().expect("a token"), MEDIA).await.0, 200);
    let wrong = post(&gcs, "/token", FORM, "", &form("wrong")).await;
    assert_eq!((wrong.status, wrong.json()["error"].as_str()), (401, Some("invalid_client")));
    gcs.revoke_user();
    let revoked = post(&gcs, "/token", FORM, "", &form(&text("client_secret"))).await;
    assert_eq!((revoked.status, revoked.json()["error"].as_str()), (400, Some("invalid_grant")));
}

#[tokio::test]
async fn federation_and_impersonation_go_step_by_step() {
    let gcs = ready().await;
    let principal = gcs.register_subject_token("workload.jwt", "w1");
    let file: Value = serde_json::from_str(&gcs.external_account_json(&SubjectSource::Url, true)).expect("JSON");
    let subject = send(&gcs, "GET /subject-token", &[("Metadata", "True")], "").await.json();
    let exchange = |token: &str, scope: &str| {
        let name = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
        format!(
            "grant_type={}&requested_token_type={}&subject_token_type={}&audience={}&subject_token={token}&scope={}",
            name("urn:ietf:params:oauth:grant-type:token-exchange"),
            name("urn:ietf:params:oauth:token-type:access_token"),
            name(file["subject_token_type"].as_str().expect("text")),
            name(file["audience"].as_str().expect("text")),
            name(scope),
        )
    };
    let form = exchange(subject["id_token"].as_str().expect("a token"), CLOUD);
    let federated = post(&gcs, "/v1/token", FORM, "", &form).await.json();
    let bearer = format!("Bearer {}", federated["access_token"].as_str().expect("a token"));
    let target = format!("/v1/projects/-/serviceAccounts/{}:generateAccessToken", gcs.email());
    let body = json!({"scope": [READ_ONLY], "lifetime": "600s"}).to_string();
    let acting = post(&gcs, &target, "application/json", &bearer, &body).await.json();
    assert_eq!(with(&gcs, acting["accessToken"].as_str().expect("a token"), MEDIA).await.0, 200);
    gcs.revoke_token_creator(&principal, &gcs.email());
    let denied = post(&gcs, &target, "application/json", &bearer, &body).await;
    assert_eq!((denied.status, denied.json()["error"]["status"].as_str()), (403, Some("PERMISSION_DENIED")));
    let bad = post(&gcs, "/v1/token", FORM, "", &exchange("unknown", CLOUD)).await;
    assert_eq!((bad.status, bad.json()["error"].as_str()), (400, Some("invalid_grant")));
    gcs.require_sts_client("id", "secret");
    assert_eq!(post(&gcs, "/v1/token", FORM, "", &form).await.json()["error"], "invalid_client");
    let basic = format!("Basic {}", BASE64_STANDARD.encode("id:secret"));
    assert_eq!(post(&gcs, "/v1/token", FORM, &basic, &form).await.status, 200);
}

#[tokio::test]
async fn delegates_are_checked_one_by_one() {
    let gcs = ready().await;
    let middle = "middle@emulated-project.iam.gserviceaccount.com";
    gcs.impersonated_json(&[middle]);
    let user = format!("Bearer {}", gcs.issue_token("annotator@example.com", &[CLOUD]));
    let target = format!("/v1/projects/-/serviceAccounts/{}:generateAccessToken", gcs.email());
    let body = |delegates: &[String]| json!({"scope": [CLOUD], "delegates": delegates}).to_string();
    let path = format!("projects/-/serviceAccounts/{middle}");
    assert_eq!(post(&gcs, &target, "application/json", &user, &body(std::slice::from_ref(&path))).await.status, 200);
    assert_eq!(post(&gcs, &target, "application/json", &user, &body(&[])).await.status, 403);
    assert_eq!(post(&gcs, &target, "application/json", &user, &body(&[path.clone(), path])).await.status, 403);
    let narrow = format!("Bearer {}", gcs.issue_token("annotator@example.com", &[READ_ONLY]));
    assert_eq!(post(&gcs, &target, "application/json", &narrow, &body(&[])).await.status, 403);
    assert_eq!(post(&gcs, &target, "application/json", "", &body(&[])).await.status, 401);
}

#[tokio::test]
async fn the_metadata_server_wants_its_flavor() {
    let gcs = ready().await;
    let flavor = [("Metadata-Flavor", "Google")];
    let base = "GET /computeMetadata/v1";
    let account = format!("{base}/instance/service-accounts/default");
    let token = send(&gcs, &format!("{account}/token?scopes={READ_ONLY}"), &flavor, "").await;
    assert_eq!(token.header("metadata-flavor"), "Google");
    assert_eq!(with(&gcs, token.json()["access_token"].as_str().expect("a token"), MEDIA).await.0, 200);
    assert_eq!(send(&gcs, &format!("{account}/email"), &flavor, "").await.text(), gcs.email());
    assert_eq!(send(&gcs, &format!("{account}/email"), &[], "").await.status, 403);
    assert_eq!(send(&gcs, &format!("{base}/universe/universe-domain"), &flavor, "").await.status, 404);
    assert_eq!(send(&gcs, &format!("{base}/project/project-id"), &flavor, "").await.text(), "emulated-project");
    let session =
        send(&gcs, "PUT /latest/api/token", &[("x-aws-ec2-metadata-token-ttl-seconds", "60")], "").await.text();
    let imds = [("x-aws-ec2-metadata-token", session.as_str())];
    let role = send(&gcs, "GET /latest/meta-data/iam/security-credentials", &imds, "").await.text();
    let keys = send(&gcs, &format!("GET /latest/meta-data/iam/security-credentials/{role}"), &imds, "").await.json();
    assert!(keys["AccessKeyId"].is_string());
}
