//! Every error has its fault, and commands that name whom and what.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::check::row::State;
use crate::check::scene::Skew;
use crate::gateway::connection::Config;
use crate::gcs::credentials::{Error as CredentialError, Identity, Principal};
use crate::gcs::{ListPage, Listed};
use crate::object::{Generation, Metageneration};

const MEDIA: &str = "media@my-project.iam.gserviceaccount.com";

/// A key's owner in front of `gs://my-bucket/data/`.
pub(in crate::check) fn scene() -> Scene {
    let caller = Principal::ServiceAccount(MEDIA.into());
    let kind = "service account key";
    Scene {
        connection: "street".to_owned(),
        bucket: "my-bucket".to_owned(),
        uri: "gs://my-bucket/data/".to_owned(),
        credential: "vendor".to_owned(),
        file: Some("/secrets/it's a key.json".into()),
        identity: Some(Identity { kind, file: None, caller, source: None, sign_as: None }),
        project: None,
        endpoint: "https://storage.googleapis.com".to_owned(),
        proxied: false,
        skew: None,
        second_opinion: None,
    }
}

fn text(diagnosis: &Diagnosis) -> String {
    format!("{}\n{}\n{}", diagnosis.cause, diagnosis.remedy.join("\n"), diagnosis.commands.join("\n"))
}

fn forbidden(message: &str) -> gcs::Error {
    gcs::Error::Forbidden { message: message.to_owned() }
}

fn refused(service: &'static str, status: u16, reason: &str) -> gcs::Error {
    let error = CredentialError::Refused { service, status, reason: reason.to_owned() };
    gcs::Error::Credential(Box::new(CredentialError::Shared(Arc::new(error))))
}

fn connect(source: impl Into<gcs::Source>) -> gcs::Error {
    gcs::Error::Connect { authority: "storage.googleapis.com".to_owned(), source: source.into() }
}

#[test]
fn refusals_of_gcs_are_told_apart() {
    let message = |text: &str| text.to_owned();
    for (error, fault, word) in [
        (forbidden("x does not have storage.objects.get access"), Fault::PermissionMissing, MEDIA),
        (forbidden("Permission 'storage.buckets.get' denied"), Fault::PermissionMissing, "roles/storage.bucketViewer"),
        (forbidden("Forbidden"), Fault::PermissionMissing, "storage.objects.list"),
        (forbidden("to storage.googleapis.com"), Fault::PermissionMissing, "storage.objects.list"),
        (forbidden("Request is prohibited by organization's policy."), Fault::VpcServiceControls, "UNIQUE_ID"),
        (
            forbidden("There is an IP filtering condition that is preventing access"),
            Fault::IpFilter,
            "--clear-ip-filter",
        ),
        (
            forbidden("The project to be billed is associated with a closed billing account."),
            Fault::BillingDisabled,
            "link",
        ),
        (forbidden("Provided scope(s) are not authorized"), Fault::ScopeMissing, "--scopes=cloud-platform"),
        (forbidden("<Error><Code>SignatureDoesNotMatch</Code></Error>"), Fault::SignatureRefused, "Host"),
        (gcs::Error::NotFound { message: message("no") }, Fault::BucketNotFound, "--project=my-project"),
        (gcs::Error::Unauthorized { message: message("Invalid Credentials") }, Fault::TokenRefused, "enable"),
        (
            gcs::Error::Refused { status: 400, message: message("Bucket is a requester pays bucket") },
            Fault::RequesterPays,
            "project_id",
        ),
        (
            gcs::Error::Refused { status: 400, message: message("Unknown project id: 0") },
            Fault::PayerDenied,
            "project_id",
        ),
        (gcs::Error::Refused { status: 400, message: message("<Code>ExpiredToken</Code>") }, Fault::ClockSkew, "NTP"),
        (
            gcs::Error::Refused { status: 400, message: message("Invalid bucket name") },
            Fault::Other,
            "exact-bucket-name",
        ),
        (gcs::Error::Redirected { status: 302 }, Fault::NotGcs, "captive portal"),
        (gcs::Error::Protocol(message("unreadable")), Fault::NotGcs, "gcs.endpoint"),
        (gcs::Error::Throttled { retry_after: None }, Fault::Busy, "later"),
        (gcs::Error::FirstByteTimeout(Duration::from_secs(1)), Fault::Interrupted, "firewall"),
        (gcs::Error::Changed, Fault::Other, "again"),
    ] {
        let diagnosis = diagnose(&error, Asked::Listing, &scene());
        assert_eq!(diagnosis.fault, fault, "{error}");
        assert!(text(&diagnosis).contains(word) && !diagnosis.remedy.is_empty(), "{error}: {diagnosis:#?}");
    }
    let gone = gcs::Error::NotFound { message: "No such object".to_owned() };
    assert_eq!(diagnose(&gone, Asked::Object, &scene()).fault, Fault::ObjectNotFound);
}

/// Service, status and reason; fault, and a word of what is said about it.
const TOKEN_REFUSALS: [(&str, u16, &str, Fault, &str); 15] = [
    ("the token endpoint", 400, "invalid_grant: Invalid JWT Signature.", Fault::KeyRevoked, "keys create"),
    ("the token endpoint", 400, "invalid_grant: Invalid grant: account not found", Fault::AccountGone, "undelete"),
    (
        "the token endpoint",
        400,
        "invalid_grant: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values",
        Fault::ClockSkew,
        "timedatectl",
    ),
    ("the token endpoint", 400, "invalid_grant: Token has been expired or revoked.", Fault::SignInEnded, "login"),
    ("the token endpoint", 400, "invalid_scope: x", Fault::TokenRefused, "vendor"),
    ("the token endpoint", 503, "no reason given", Fault::Busy, "later"),
    ("the token endpoint", 302, "no reason given", Fault::Proxy, "captive portal"),
    (
        "STS",
        400,
        "invalid_target: The target service indicated by the \"audience\" parameters is invalid.",
        Fault::FederationAudience,
        "providers describe",
    ),
    (
        "STS",
        400,
        "invalid_grant: The audience in ID Token [x] does not match the expected audience.",
        Fault::FederationAudience,
        "allowed-audiences",
    ),
    (
        "STS",
        400,
        "unauthorized_client: The given credential is rejected by the attribute condition.",
        Fault::FederationSubject,
        "attributeCondition",
    ),
    ("STS", 401, "invalid_client: no", Fault::TokenRefused, "client_secret"),
    (
        "IAM",
        403,
        "PERMISSION_DENIED: Permission 'iam.serviceAccounts.getAccessToken' denied",
        Fault::TokenCreator,
        "roles/iam.serviceAccountTokenCreator",
    ),
    ("IAM", 404, "NOT_FOUND: Unknown service account", Fault::TokenCreator, "typos"),
    (
        "IAM",
        403,
        "PERMISSION_DENIED: API has not been used in project 1 before or it is disabled",
        Fault::ApiDisabled,
        "--project=my-project",
    ),
    ("IAM", 403, "PERMISSION_DENIED: Request had insufficient authentication scopes.", Fault::ScopeMissing, "scopes"),
];

#[test]
fn refusals_of_token_services_are_told_apart() {
    for (service, status, reason, fault, word) in TOKEN_REFUSALS {
        let diagnosis = diagnose(&refused(service, status, reason), Asked::Token, &scene());
        assert_eq!(diagnosis.fault, fault, "{service}: {reason}");
        assert!(text(&diagnosis).contains(word) && !diagnosis.remedy.is_empty(), "{reason}: {diagnosis:#?}");
    }
}

#[test]
fn what_keeps_from_connecting_is_told_apart() {
    let system = |kind: io::ErrorKind| connect(io::Error::from(kind));
    for (error, fault, word) in [
        (
            connect("dns error: failed to lookup address information: Name or service not known"),
            Fault::Dns,
            "getent hosts",
        ),
        (system(io::ErrorKind::ConnectionRefused), Fault::Connect, "gcs.endpoint"),
        (system(io::ErrorKind::TimedOut), Fault::ConnectTimeout, "firewall"),
        (
            connect(io::Error::other(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))),
            Fault::Tls,
            "gcs.ca_file",
        ),
        (connect("unsuccessful tunnel"), Fault::Proxy, "NO_PROXY"),
    ] {
        let diagnosis = diagnose(&error, Asked::Bucket, &scene());
        assert_eq!(diagnosis.fault, fault, "{error:?}");
        assert!(text(&diagnosis).contains(word), "{diagnosis:#?}");
    }
    let proxied = Scene { proxied: true, ..scene() };
    let refused = diagnose(&system(io::ErrorKind::ConnectionRefused), Asked::Bucket, &proxied);
    assert!(text(&refused).contains("HTTPS_PROXY is set"), "{refused:#?}");
}

#[test]
fn a_refused_token_is_explained_by_the_clock_or_the_token_endpoint() {
    let error = gcs::Error::Unauthorized { message: "Invalid Credentials".to_owned() };
    let late = Scene { skew: Some(Skew::Behind(Duration::from_mins(90))), ..scene() };
    let diagnosis = diagnose(&error, Asked::Bucket, &late);
    assert_eq!(diagnosis.fault, Fault::ClockSkew);
    assert!(diagnosis.cause.contains("1h 30m behind"), "{}", diagnosis.cause);
    for (reason, fault) in [
        ("invalid_grant: Invalid JWT Signature.", Fault::KeyRevoked),
        ("invalid_grant: Invalid grant: account not found", Fault::AccountGone),
        ("something new", Fault::TokenRefused),
    ] {
        let told = Scene {
            second_opinion: Some(reason.to_owned()),
            skew: Some(Skew::Ahead(Duration::from_secs(2))),
            ..scene()
        };
        let diagnosis = diagnose(&error, Asked::Bucket, &told);
        assert_eq!(diagnosis.fault, fault);
        assert!(diagnosis.cause.contains(reason), "{}", diagnosis.cause);
    }
    let anonymous = Identity { kind: "anonymous", file: None, caller: Principal::Anyone, source: None, sign_as: None };
    let anonymous = Scene { identity: Some(anonymous), ..scene() };
    let diagnosis = diagnose(&error, Asked::Object, &anonymous);
    assert_eq!(diagnosis.fault, Fault::PermissionMissing);
}

#[test]
fn words_of_commands_are_quoted_where_they_must_be() {
    for (word, expected) in
        [("a@b.c", "a@b.c"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$(x)", "'$(x)'"), ("a/*", "'a/*'")]
    {
        assert_eq!(quoted(word), expected);
    }
    let error = CredentialError::NotJson { path: "x".into(), line: 1, column: 1 };
    let diagnosis = diagnose_credential(&error, Asked::Credential, &scene());
    assert!(
        text(&diagnosis).contains(r"keys create '/secrets/it'\''s a key.json' --iam-account=media@"),
        "{diagnosis:#?}"
    );
}

fn page(names: &[&str], more: bool) -> ListPage {
    let item = |name: &&str| Listed {
        name: (*name).to_owned(),
        size: u64::from(!name.ends_with('/')),
        generation: Generation(1),
        metageneration: Metageneration(1),
        content_type: None,
        content_encoding: None,
        updated: None,
        crc32c: None,
        md5: None,
    };
    ListPage { items: names.iter().map(item).collect(), prefixes: Vec::new(), next: more.then(|| "next".to_owned()) }
}

fn config(toml: &str) -> Config {
    toml::from_str(toml).expect("a connection")
}

#[test]
fn a_page_is_judged_by_prefix_filter_and_names() {
    let data = "uri = \"gs://my-bucket/data/\"";
    for (toml, names, more, state, fault) in [
        (data, &["data/a", "data/b"][..], false, State::Ok, None),
        (data, &[], false, State::Fail, Some(Fault::EmptyPrefix)),
        (data, &["data/", "data/x/"], false, State::Fail, Some(Fault::EmptyPrefix)),
        ("uri = \"gs://my-bucket\"", &[], false, State::Fail, Some(Fault::EmptyPrefix)),
        ("uri = \"gs://my-bucket/data\"", &["data/a", "data2"], false, State::Warn, Some(Fault::PrefixWithoutSlash)),
        ("uri = \"gs://my-bucket/data/img_\"", &["data/img_1", "data/img_2"], false, State::Ok, None),
        (
            "uri = \"gs://my-bucket/data/\"\nfilter = \".*x\"",
            &["data/a"],
            false,
            State::Fail,
            Some(Fault::FilterMatchesNothing),
        ),
        (
            "uri = \"gs://my-bucket/data/\"\nfilter = \".*x\"",
            &["data/a"],
            true,
            State::Warn,
            Some(Fault::FilterMatchesNothing),
        ),
        ("uri = \"gs://my-bucket/data/\"\nfilter = \".*x\"", &["data/a", "data/x"], false, State::Ok, None),
        (
            "uri = \"gs://my-bucket/data/\"\nrecursive = false",
            &["data/a/b"],
            false,
            State::Fail,
            Some(Fault::FilterMatchesNothing),
        ),
        (data, &["data/../a", "data/b"], false, State::Warn, Some(Fault::UnservableNames)),
        (data, &["data/a\nb"], false, State::Fail, Some(Fault::UnservableNames)),
    ] {
        let config = config(toml);
        let outcome = contents(&Contents::of(&page(names, more), &config), &[], &config, &scene());
        let found = outcome.diagnosis.as_ref().map(|diagnosis| diagnosis.fault);
        assert_eq!((outcome.state, found), (state, fault), "{toml} {names:?}: {outcome:?}");
    }
}

#[test]
fn near_misses_are_found_best_first() {
    let there: Vec<String> =
        ["data/", "data-001/", "Dataset-001/", "photos/", "d/"].iter().map(|&name| name.to_owned()).collect();
    for (wanted, expected) in [
        ("dataset-001", &["Dataset-001/"][..]),
        ("dataset001", &["Dataset-001/"]),
        ("dtaa", &["data/"]),
        ("photo", &["photos/"]),
        ("dat", &["data/", "data-001/", "Dataset-001/"]),
        ("x", &[]),
        ("", &[]),
    ] {
        let found = near(wanted, &there);
        assert!(
            expected.iter().zip(&found).all(|(a, b)| a == b) && found.len() >= expected.len(),
            "{wanted}: {found:?}"
        );
        assert_eq!(found.is_empty(), expected.is_empty(), "{wanted}: {found:?}");
    }
}
