//! The credential and its tokens: each way to fail is told apart.

use gsgate::emulator::{Action, Fault, Operation, SubjectSource};
use serde_json::{Value, json};

use super::rig::Desk;

const AFTER: [&str; 6] = ["token", "bucket", "permissions", "objects", "first-byte", "signed-url"];

#[tokio::test]
async fn a_bad_key_file_is_told_apart_and_a_good_one_is_green() {
    let desk = Desk::new().await;
    let good = desk.gcs.service_account_json().unwrap();
    let key: Value = serde_json::from_str(&good).unwrap();
    let with = |name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key.to_string()
    };
    let pem = key["private_key"].as_str().unwrap();
    let create = format!("keys create key.json --iam-account={}", desk.gcs.email());
    let unnamed = "gcloud iam service-accounts keys create";
    for (text, fault, words) in [
        ("not json".to_owned(), "not-json", ["line 1", unnamed]),
        (good[..good.len() / 2].to_owned(), "not-json", ["is not JSON", unnamed]),
        (r#"{"installed":{"client_id":"x"}}"#.to_owned(), "wrong-type", ["no Google credential file", unnamed]),
        (with("type", json!("gdch_service_account")), "wrong-type", ["is not supported", create.as_str()]),
        (with("private_key", json!(pem[..pem.len() / 2])), "key-truncated", ["cut off", create.as_str()]),
        (with("private_key", json!(pem.replace("MII", "XXX"))), "key-damaged", ["damaged", create.as_str()]),
        (with("client_email", Value::Null), "file-wrong", ["client_email is missing", unnamed]),
    ] {
        desk.key(&text);
        let verdict = desk.assert_fails("credential", fault, &words).await;
        verdict.assert_skipped(&AFTER);
    }
    std::fs::remove_file(desk.key_path()).unwrap();
    desk.assert_fails("credential", "file-unreadable", &["credentials.default.path"]).await;
    desk.key(&good);
    desk.assert_green().await;
}

#[tokio::test]
async fn a_key_file_that_others_can_read_gets_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new().await;
    std::fs::set_permissions(desk.key_path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let verdict = desk.check().await;
    verdict.assert("warn", "credential", "file-open-to-others", &["chmod 600", "644"]);
    assert_eq!(verdict.code, 0, "a warning is no failure");
}

#[tokio::test]
async fn a_revoked_key_and_a_disabled_account_are_told_apart() {
    let mut desk = Desk::new().await;
    let email = desk.gcs.email();
    let account = format!("--iam-account={email}");
    let enable = format!("service-accounts enable {email}");
    for (method, check) in [("self-signed", "bucket"), ("exchange", "token")] {
        desk.credential = format!("source = \"file\"\npath = \"key.json\"\ntoken = \"{method}\"");
        desk.gcs.revoke_keys(&email);
        desk.assert_fails(check, "key-revoked", &["Invalid JWT Signature", "keys create", &account]).await;
        desk.key(&desk.gcs.service_account_json().unwrap());
        desk.assert_green().await;
        desk.gcs.disable_account(&email, true);
        desk.assert_fails(check, "account-gone", &["disabled or deleted", &enable]).await;
        desk.gcs.disable_account(&email, false);
        desk.assert_green().await;
    }
}

#[tokio::test]
async fn an_ended_sign_in_is_signed_in_again() {
    let desk = Desk::new().await;
    let user = desk.gcs.authorized_user_json();
    desk.key(&user);
    desk.assert_green().await;
    desk.gcs.revoke_user();
    let login = "gcloud auth application-default login";
    desk.assert_fails("token", "sign-in-ended", &["expired or revoked", login]).await;
    desk.key(&desk.gcs.authorized_user_json());
    desk.assert_green().await;
}

#[tokio::test]
async fn a_federation_that_does_not_fit_says_whether_audience_or_subject() {
    let desk = Desk::new().await;
    let subject = desk.folder.path().join("subject");
    std::fs::write(&subject, "workload.token").unwrap();
    desk.gcs.register_subject_token("workload.token", "job");
    let good = desk.gcs.external_account_json(&SubjectSource::File(&subject), false);
    desk.key(&good);
    desk.assert_green().await;

    let mut other: Value = serde_json::from_str(&good).unwrap();
    other["audience"] = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p".into();
    desk.key(&other.to_string());
    let words = ["invalid_target", "allowed-audiences", "workload-identity-pools providers describe"];
    desk.assert_fails("token", "federation-audience", &words).await;

    desk.key(&good);
    std::fs::write(&subject, "another.token").unwrap();
    desk.assert_fails("token", "federation-subject", &["iss, sub and exp", "attributeCondition"]).await;
    std::fs::remove_file(&subject).unwrap();
    desk.assert_fails("token", "subject-token", &["credential_source", "cannot be read"]).await;
    std::fs::write(&subject, "workload.token").unwrap();
    desk.assert_green().await;
}

#[tokio::test]
async fn a_missing_token_creator_role_is_named_with_both_ends() {
    let desk = Desk::new().await;
    let subject = desk.folder.path().join("subject");
    std::fs::write(&subject, "workload.token").unwrap();
    let principal = desk.gcs.register_subject_token("workload.token", "job");
    desk.key(&desk.gcs.external_account_json(&SubjectSource::File(&subject), true));
    desk.assert_green().await;

    let email = desk.gcs.email();
    let pool =
        "principalSet://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/emulated/*";
    let binding =
        format!("add-iam-policy-binding {email} --member='{pool}' --role=roles/iam.serviceAccountTokenCreator");
    desk.gcs.revoke_token_creator(&principal, &email);
    desk.assert_fails("token", "token-creator", &[&binding]).await;
    desk.gcs.grant_token_creator(&principal, &email);

    let denied = json!({"error": {"code": 403, "status": "PERMISSION_DENIED",
        "message": "Permission 'iam.serviceAccounts.signBlob' denied on resource (or it may not exist)."}});
    let action = Action::Status { code: 403, headers: Vec::new(), body: denied.to_string() };
    desk.gcs.inject(Fault::new(action).on(Operation::SignBlob).always());
    desk.assert_fails("signed-url", "token-creator", &["may not sign as", &binding]).await;
    desk.gcs.clear_faults();

    let off = json!({"error": {"code": 403, "status": "PERMISSION_DENIED", "message":
        "IAM Service Account Credentials API has not been used in project 1 before or it is disabled."}});
    let action = Action::Status { code: 403, headers: Vec::new(), body: off.to_string() };
    desk.gcs.inject(Fault::new(action).on(Operation::SignBlob).always());
    desk.assert_fails("signed-url", "api-disabled", &["gcloud services enable iamcredentials.googleapis.com"]).await;
    desk.gcs.clear_faults();
    desk.assert_green().await;
}

#[tokio::test]
async fn a_wrong_clock_is_named_and_not_the_key() {
    let desk = Desk::new().await;
    desk.assert_green().await;
    desk.gcs.advance_clock(std::time::Duration::from_mins(3));
    let verdict = desk.check().await;
    verdict.assert("warn", "clock", "clock-skew", &["behind GCS's", "timedatectl"]);
    desk.gcs.advance_clock(std::time::Duration::from_hours(2));
    let verdict = desk.assert_fails("bucket", "clock-skew", &["behind GCS's", "timedatectl"]).await;
    verdict.assert("fail", "clock", "clock-skew", &["2h"]);
}

#[tokio::test]
async fn no_credential_anywhere_says_how_to_get_one() {
    let mut desk = Desk::new().await;
    desk.credential = "source = \"adc\"".to_owned();
    desk.variables = vec![("NO_GCE_CHECK".to_owned(), "true".to_owned())];
    desk.assert_fails("credential", "no-credential", &["gcloud auth application-default login"]).await;
    let key = desk.key_path().display().to_string();
    desk.variables.push(("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), key));
    desk.assert_green().await;
}
