//! Every kind of credential gives a token, asked for as Google documents it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{ACCOUNT, Scene, chain, from, sent};

const READ_ONLY: &str = "https://www.googleapis.com/auth/devstorage.read_only";
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

#[tokio::test]
async fn a_key_signs_its_own_token_and_asks_nobody() {
    let scene = Scene::new().await;
    let token = sent(&scene.file(&scene.key(), "").await).await.expect("a token");
    let claims = token.strip_prefix("Bearer ").and_then(|jwt| jwt.split('.').nth(1)).expect("a JWT");
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON");
    assert_eq!((&claims["scope"], &claims["aud"]), (&READ_ONLY.into(), &Value::Null));
    assert!(scene.desk.asked("").is_empty());
}

#[tokio::test]
async fn a_key_is_exchanged_at_its_token_uri() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.key(), "token = \"exchange\"").await;
    assert_eq!(sent(&credential).await, Ok("Bearer hidden-user-1".into()));
    let asked = &scene.desk.asked("/token")[0];
    assert_eq!(asked.form("grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    assert!(asked.form("assertion").is_some_and(|jwt| jwt.split('.').count() == 3));
}

#[tokio::test]
async fn a_user_refreshes() {
    let scene = Scene::new().await;
    assert_eq!(sent(&scene.file(&scene.user(), "").await).await, Ok("Bearer hidden-user-1".into()));
    let asked = &scene.desk.asked("/token")[0];
    assert_eq!(asked.form("refresh_token").as_deref(), Some("hidden-refresh"));
    assert_eq!(asked.form("client_secret").as_deref(), Some("hidden-secret"));
}

#[tokio::test]
async fn impersonation_uses_the_sources_token_and_the_delegates() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.impersonated(&scene.user()), "").await;
    assert_eq!(sent(&credential).await, Ok("Bearer hidden-iam-2".into()));
    let asked = &scene.desk.asked(":generateAccessToken")[0];
    assert_eq!(asked.authorization.as_deref(), Some("Bearer hidden-user-1"));
    let delegates = ["projects/-/serviceAccounts/between@project.iam.gserviceaccount.com"];
    assert_eq!(asked.json(), json!({ "scope": [READ_ONLY], "lifetime": "3600s", "delegates": delegates }));
}

#[tokio::test]
async fn any_source_can_be_told_to_impersonate() {
    let scene = Scene::new().await;
    let more = format!("impersonate = \"{ACCOUNT}\"\ndelegates = [\"d@p.iam.gserviceaccount.com\"]");
    let credential = scene.file(&scene.user(), &more).await;
    assert_eq!(sent(&credential).await, Ok("Bearer hidden-iam-2".into()));
    let asked = &scene.desk.asked(":generateAccessToken")[0];
    assert!(asked.path.contains(ACCOUNT));
    assert_eq!(asked.json()["delegates"], json!(["projects/-/serviceAccounts/d@p.iam.gserviceaccount.com"]));
}

#[tokio::test]
async fn the_metadata_server_gives_a_scoped_token() {
    let mut scene = Scene::new().await;
    scene.set("GCE_METADATA_HOST", &scene.desk.host());
    let credential = scene.load("").await.expect("a credential");
    assert_eq!(sent(&credential).await, Ok("Bearer hidden-mds-1".into()));
    let asked = &scene.desk.asked("/token")[0];
    assert_eq!(asked.query, format!("scopes={READ_ONLY}"));
    assert_eq!(asked.headers["metadata-flavor"], "Google");
}

#[tokio::test]
async fn a_server_that_does_not_say_it_is_google_is_not_believed() {
    let mut scene = Scene::new().await;
    scene.desk.lose_flavor();
    scene.set("GCE_METADATA_HOST", &scene.desk.host());
    let credential = scene.load("").await.expect("a credential");
    assert!(sent(&credential).await.expect_err("not Google").contains("no Metadata-Flavor: Google"));
}

#[tokio::test]
async fn anonymous_has_no_token() {
    let credential = Scene::new().await.load("source = \"anonymous\"").await.expect("a credential");
    assert!(credential.token().await.expect("no error").is_none());
    assert!(credential.signer().is_none());
}

#[tokio::test]
async fn federation_exchanges_a_subject_token_from_a_file() {
    let scene = Scene::new().await;
    let path = scene.write("subject", "hidden-subject\n");
    let credential = scene.file(&scene.external(json!({ "file": path })), "").await;
    assert_eq!(sent(&credential).await, Ok("Bearer hidden-sts-1".into()));
    let asked = &scene.desk.asked("/sts")[0];
    assert_eq!(asked.form("subject_token").as_deref(), Some("hidden-subject"));
    assert_eq!(asked.form("scope").as_deref(), Some(READ_ONLY));
    assert_eq!(asked.form("audience").as_deref(), Some("//iam.googleapis.com/pool"));
    assert_eq!(asked.authorization, None);
}

#[tokio::test]
async fn federation_asks_a_url_and_then_impersonates() {
    let scene = Scene::new().await;
    let source = json!({
        "url": scene.desk.url("/subject"), "headers": { "x-key": "hidden-key" },
        "format": { "type": "json", "subject_token_field_name": "token" },
    });
    let mut file = scene.external(source);
    file["service_account_impersonation_url"] = scene.impersonation_url().into();
    file["service_account_impersonation"] = json!({ "token_lifetime_seconds": 900 });
    file["client_id"] = "client".into();
    file["client_secret"] = "hidden-secret".into();
    let credential = scene.file(&file, "").await;
    assert_eq!(sent(&credential).await, Ok("Bearer hidden-iam-3".into()));
    assert_eq!(scene.desk.asked("/subject")[0].headers["x-key"], "hidden-key");
    let sts = &scene.desk.asked("/sts")[0];
    assert_eq!(sts.form("scope").as_deref(), Some(CLOUD_PLATFORM));
    assert_eq!(sts.authorization.as_deref(), Some("Basic Y2xpZW50OmhpZGRlbi1zZWNyZXQ="));
    let iam = &scene.desk.asked(":generateAccessToken")[0];
    assert_eq!(iam.authorization.as_deref(), Some("Bearer hidden-sts-2"));
    assert_eq!(iam.json()["lifetime"], "900s");
}

#[tokio::test]
async fn federation_runs_an_executable_that_the_operator_allows() {
    let mut scene = Scene::new().await;
    let output =
        r#"{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:jwt","id_token":"hidden-id"}"#;
    let path = scene.write("output", output);
    let command = format!("cat '{}'", path.display());
    let mut file = scene.external(json!({ "executable": { "command": command, "timeout_millis": 5000 } }));
    file["workforce_pool_user_project"] = "12345".into();
    let refused = scene.load(&from(&scene.write("credential.json", file.to_string()), "")).await;
    assert!(refused.expect_err("not allowed").to_string().contains("ALLOW_EXECUTABLES=1"));
    scene.set("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1");
    assert_eq!(sent(&scene.file(&file, "").await).await, Ok("Bearer hidden-sts-1".into()));
    let asked = &scene.desk.asked("/sts")[0];
    assert_eq!(asked.form("subject_token").as_deref(), Some("hidden-id"));
    assert_eq!(asked.form("options").as_deref(), Some(r#"{"userProject":"12345"}"#));
}

#[tokio::test]
async fn federation_proves_an_aws_role() {
    let mut scene = Scene::new().await;
    let file = scene.external(json!({
        "environment_id": "aws1", "region_url": scene.desk.url("/zone"), "url": scene.desk.url("/roles"),
        "imdsv2_session_token_url": scene.desk.url("/session"),
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    }));
    assert_eq!(sent(&scene.file(&file, "").await).await, Ok("Bearer hidden-sts-5".into()));
    assert_eq!(scene.desk.asked("/roles/role")[0].headers["x-aws-ec2-metadata-token"], "hidden-session");
    let subject = scene.desk.asked("/sts")[0].form("subject_token").expect("a token");
    let subject = percent_encoding::percent_decode_str(&subject).decode_utf8().expect("UTF-8").into_owned();
    let subject: Value = serde_json::from_str(&subject).expect("JSON");
    assert_eq!(subject["url"], "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15");
    // Keys and region in the environment come first, and then the instance is not asked.
    for (name, value) in [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B"), ("AWS_REGION", "us-east-1")] {
        scene.set(name, value);
    }
    sent(&scene.file(&file, "").await).await.expect("a token");
    assert_eq!((scene.desk.asked("/session").len(), scene.desk.asked("/sts").len()), (1, 2));
}

#[tokio::test]
async fn default_credentials_are_looked_for_in_googles_order() {
    let mut scene = Scene::new().await;
    scene.set("GCE_METADATA_HOST", &scene.desk.host());
    scene.set("HOME", &scene.folder.path().display().to_string());
    assert_eq!(sent(&scene.load("").await.expect("metadata")).await, Ok("Bearer hidden-mds-1".into()));
    std::fs::create_dir_all(scene.folder.path().join(".config/gcloud")).expect("a folder");
    scene.write(".config/gcloud/application_default_credentials.json", scene.user().to_string());
    assert_eq!(sent(&scene.load("").await.expect("gcloud's")).await, Ok("Bearer hidden-user-2".into()));
    let path = scene.write("own.json", scene.key().to_string());
    scene.set("GOOGLE_APPLICATION_CREDENTIALS", &path.display().to_string());
    assert!(sent(&scene.load("").await.expect("the variable's")).await.is_ok_and(|token| token.contains("eyJ")));
    let mut empty = Scene::new().await;
    empty.set("CLOUDSDK_CONFIG", &empty.folder.path().display().to_string());
    empty.set("NO_GCE_CHECK", "true");
    let error = empty.load("").await.expect_err("nothing");
    assert!(error.to_string().contains("gcloud auth application-default login"), "{error}");
}

#[tokio::test]
async fn bad_files_are_told_with_name_and_fix() {
    let scene = Scene::new().await;
    let missing = scene.folder.path().join("missing.json");
    let error = scene.load(&from(&missing, "")).await.expect_err("missing");
    assert!(chain(&error).contains("missing.json: No such file"), "{}", chain(&error));
    let garbage = scene.write("garbage.json", "not json");
    let error = scene.load(&from(&garbage, "")).await.expect_err("garbage");
    assert!(error.to_string().contains("line 1, column 2"), "{error}");
    let endless = scene.write("endless.json", vec![b' '; 70_000]);
    let error = scene.load(&from(&endless, "")).await.expect_err("endless");
    assert!(chain(&error).contains("larger than 64 KiB"), "{}", chain(&error));
}
