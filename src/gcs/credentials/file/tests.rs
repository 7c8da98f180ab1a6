//! Good files of every kind, and what is told of bad ones.

use serde_json::{Value, json};

use super::*;
use crate::gcs::credentials::external_account::Subject;

const KEY_FILE: &str = include_str!("../../../../tests/vectors/test_service_account.not-a-test.json");

fn key() -> Value {
    serde_json::from_str(KEY_FILE).expect("JSON")
}

fn user() -> Value {
    json!({ "type": "authorized_user", "client_id": "c", "client_secret": "hidden-1", "refresh_token": "hidden-2" })
}

fn impersonated(source: Value) -> Value {
    json!({
        "type": "impersonated_service_account", "source_credentials": source, "delegates": ["d@p.iam.gserviceaccount.com"],
        "service_account_impersonation_url":
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@p.iam.gserviceaccount.com:generateAccessToken",
    })
}

fn external(source: Value) -> Value {
    json!({
        "type": "external_account", "audience": "//iam.googleapis.com/x", "subject_token_type": "t",
        "token_url": "https://sts.googleapis.com/v1/token", "credential_source": source,
    })
}

fn aws() -> Value {
    json!({
        "environment_id": "aws1", "region_url": "http://169.254.169.254/z", "url": "http://169.254.169.254/c",
        "imdsv2_session_token_url": "http://169.254.169.254/latest/api/token",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    })
}

fn with(mut json: Value, field: &str, value: Value) -> Value {
    json[field] = value;
    json
}

fn without(mut json: Value, field: &str) -> Value {
    json.as_object_mut().expect("an object").remove(field);
    json
}

fn read(bytes: &[u8], environment: &Environment) -> Result<Parsed, String> {
    let hosts = TrustedHosts::new(&["tokens.example.com".to_owned(), "cloud.example".to_owned()]);
    let parsed = parse(bytes, Path::new("f.json"), &Config::default(), (&hosts, environment));
    parsed.map_err(|error| error.to_string())
}

fn parsed(json: &Value) -> Result<Parsed, String> {
    read(json.to_string().as_bytes(), &Environment::of([("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")]))
}

#[test]
fn every_supported_kind_is_read_and_shows_no_secret() {
    for (json, kind) in [
        (key(), "ServiceAccount"),
        (user(), "AuthorizedUser"),
        (impersonated(user()), "Impersonated"),
        (impersonated(impersonated(key())), "Impersonated"),
        (external(json!({ "file": "/t" })), "ExternalAccount"),
        (
            external(json!({ "url": "https://tokens.example.com/t?key=hidden-3", "headers": { "x-key": "hidden-4" } })),
            "ExternalAccount",
        ),
        (
            external(
                json!({ "url": "http://169.254.169.254/metadata", "format": { "type": "json", "subject_token_field_name": "f" } }),
            ),
            "ExternalAccount",
        ),
        (external(json!({ "executable": { "command": "/bin/x --y" } })), "ExternalAccount"),
        (external(aws()), "ExternalAccount"),
        (with(with(external(aws()), "client_id", "c".into()), "client_secret", "hidden-5".into()), "ExternalAccount"),
        (
            with(
                external(aws()),
                "service_account_impersonation_url",
                impersonated(user())["service_account_impersonation_url"].clone(),
            ),
            "Impersonated",
        ),
    ] {
        let parsed = parsed(&with(json, "more", json!({ "of": "Google's" }))).expect(kind);
        let debug = format!("{parsed:?}");
        assert!(debug.contains(kind), "{debug}");
        assert!(!debug.contains("hidden-") && !debug.contains("MIIE"), "{debug}");
    }
}

#[test]
fn what_is_wrong_is_told_by_name_and_never_by_value() {
    let pem = key()["private_key"].as_str().expect("a key").to_owned();
    let nested = impersonated(without(user(), "refresh_token"));
    for (json, told) in [
        (json!({}), "type is missing"),
        (json!({ "type": "api_key" }), "type \"api_key\" is unknown; expected service_account"),
        (json!({ "type": "gdch_service_account" }), "\"gdch_service_account\" is not supported"),
        (json!({ "type": 1 }), "type has a value of the wrong type"),
        (without(key(), "client_email"), "client_email is missing"),
        (without(key(), "private_key"), "private_key is missing"),
        (with(key(), "private_key", json!({ "x": "hidden-1" })), "private_key has a value of the wrong type"),
        (with(key(), "private_key", pem[..500].into()), "private_key is cut off"),
        (with(key(), "private_key", "hidden-1".into()), "private_key is not PEM"),
        (with(key(), "client_email", "hidden-1".into()), "client_email is wrong"),
        (with(key(), "universe_domain", "com".into()), "universe_domain is not a domain"),
        (with(key(), "quota_project_id", "A B".into()), "quota_project_id project ids are"),
        (without(user(), "client_secret"), "client_secret is missing"),
        (with(user(), "token_uri", "https://evil.example/t".into()), "token_uri leads to evil.example"),
        (with(user(), "token_uri", "http://oauth2.googleapis.com/t".into()), "without https"),
        (nested, "source_credentials.refresh_token is missing"),
        (impersonated(impersonated(impersonated(impersonated(user())))), "nested more than 3 deep"),
        (
            with(
                impersonated(user()),
                "service_account_impersonation_url",
                "https://iamcredentials.googleapis.com/x".into(),
            ),
            "does not end in",
        ),
        (with(impersonated(user()), "delegates", json!(["x/y"])), "delegates has a wrong entry"),
        (
            with(external(aws()), "token_url", "https://evil.example/".into()),
            "add \"evil.example\" to gcs.trusted_hosts",
        ),
        (external(json!({})), "credential_source needs exactly one of"),
        (external(json!({ "file": "/t", "url": "https://x" })), "credential_source needs exactly one of"),
        (external(json!({ "url": "http://10.0.0.1/internal" })), "credential_source.url leads to 10.0.0.1"),
        (
            external(json!({ "url": "https://tokens.example.com", "headers": { "host": "hidden-1" } })),
            "headers has one",
        ),
        (external(json!({ "certificate": {} })), "credential_source.certificate is not supported"),
        (external(json!({ "executable": { "command": "" } })), "command is empty"),
        (external(json!({ "executable": { "command": "x", "timeout_millis": 1 } })), "not from 5000 to 120000"),
        (external(with(aws(), "environment_id", "aws2".into())), "is not \"aws1\""),
        (external(with(aws(), "url", "http://10.0.0.1/".into())), "credential_source.url leads to 10.0.0.1"),
        (
            external(with(aws(), "regional_cred_verification_url", "https://evil.example/{region}".into())),
            "regional_cred_verification_url leads to evil.example",
        ),
    ] {
        let error = parsed(&json).expect_err(told);
        assert!(error.starts_with("f.json: ") && error.contains(told), "{told}: {error}");
        assert!(!error.contains("hidden-1") && !error.contains("MIIE"), "{error}");
    }
}

#[test]
fn what_is_not_json_is_told_with_its_place() {
    for (bytes, told) in [
        ("", "line 1, column 0"),
        ("-----BEGIN PRIVATE KEY-----", "line 1, column 2"),
        ("{\n  \"type\": \"x\",,\n}", "line 2, column 15"),
        ("{} x", "line 1, column 4"),
    ] {
        let error = read(bytes.as_bytes(), &Environment::of([])).expect_err(told);
        assert!(error.starts_with("f.json is not JSON") && error.contains(told), "{told}: {error}");
    }
}

#[test]
fn a_command_needs_the_operators_leave() {
    let json = external(json!({ "executable": { "command": "/bin/x" } })).to_string();
    let error = read(json.as_bytes(), &Environment::of([])).expect_err("not allowed");
    assert!(error.contains("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1"), "{error}");
}

#[test]
fn a_universe_of_ones_own_has_its_own_hosts() {
    let json = with(external(json!({ "file": "/t" })), "universe_domain", "cloud.example".into());
    let json = with(json, "token_url", "https://sts.cloud.example/v1/token".into());
    let source = parsed(&json).expect("good").source;
    assert_eq!(source.universe.as_deref(), Some("cloud.example"));
    assert!(matches!(source.kind, Kind::ExternalAccount(account) if matches!(account.subject, Subject::File { .. })));
}

#[test]
fn a_universe_that_nobody_vouches_for_gets_nothing_sent() {
    let json = with(external(json!({ "file": "/t" })), "universe_domain", "evil.example".into());
    let json = with(json, "token_url", "https://sts.evil.example/v1/token".into());
    let error = parsed(&json).expect_err("its own word is not enough");
    assert!(error.contains("universe_domain") && error.contains("gcs.trusted_hosts"), "{error}");
}
