//! Verifying against Google's published vectors, and against whatever a forger might change.

use std::time::UNIX_EPOCH;

use http::{HeaderName, HeaderValue, Uri};
use proptest::prelude::*;
use serde_json::Value;

use super::super::key::TrustedKey;
use super::*;
use crate::gcs::sign::RsaKey;

const VECTORS: &str = include_str!("../../../../tests/vectors/v4_signatures.json");
const KEY_FILE: &str = include_str!("../../../../tests/vectors/test_service_account.not-a-test.json");

fn keys() -> Keyring {
    let file: Value = serde_json::from_str(KEY_FILE).expect("JSON");
    let key = RsaKey::from_pem(file["private_key"].as_str().expect("a key")).expect("a good key");
    Keyring::of(TrustedKey::named(file["client_email"].as_str().expect("an address"), key.public_key()))
}

struct Case {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
    host: String,
    signed_at: SystemTime,
}

impl Case {
    fn of(vector: &Value) -> Self {
        let url: Uri = vector["expectedUrl"].as_str().expect("a URL").parse().expect("legal");
        let headers = vector["headers"].as_object().into_iter().flatten();
        let headers = headers
            .map(|(name, value)| {
                let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes());
                let name = name.unwrap_or(HeaderName::from_static("x-unsendable"));
                (name, HeaderValue::from_str(value.as_str().expect("text")).expect("legal"))
            })
            .collect();
        let signed_at = humantime::parse_rfc3339(vector["timestamp"].as_str().expect("a time")).expect("a time");
        Self {
            method: vector["method"].as_str().expect("a method").to_owned(),
            path: url.path().to_owned(),
            query: url.query().expect("a query").to_owned(),
            headers,
            host: url.authority().expect("a host").to_string(),
            signed_at,
        }
    }

    fn simple() -> Self {
        let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
        Self::of(&vectors["signingV4Tests"][0])
    }

    fn signed(&self) -> Signed<'_> {
        let Self { method, path, query, headers, host, .. } = self;
        Signed { method, path, query, headers, host }
    }
}

#[test]
fn all_published_vectors_are_found_good_and_for_their_time_alone() {
    let keys = keys();
    let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
    let mut seen = 0;
    for vector in vectors["signingV4Tests"].as_array().expect("a list") {
        let case = Case::of(vector);
        let name = vector["description"].as_str().expect("text");
        // A header's name with a slash can be signed, and not be sent.
        if case.headers.contains_key("x-unsendable") {
            continue;
        }
        seen += 1;
        let life = Duration::from_secs(vector["expiration"].as_u64().expect("a number"));
        let verify = |now: SystemTime| case.signed().authenticate(&keys, now);
        assert!(verify(case.signed_at).is_ok(), "{name}");
        assert!(verify(case.signed_at + life).is_ok(), "{name}");
        assert!(matches!(verify(case.signed_at + life + Duration::from_secs(1)), Err(Refusal::Expired)), "{name}");
        assert!(verify(case.signed_at - SKEW).is_ok(), "{name}");
        let early = case.signed_at - SKEW - Duration::from_secs(1);
        assert!(matches!(verify(early), Err(Refusal::Signature)), "{name}");
    }
    assert_eq!(seen, 28);
}

#[test]
fn whatever_is_changed_is_no_longer_signed() {
    let keys = keys();
    let good = Case::simple();
    let verify = |case: &Case| case.signed().verify(&keys, good.signed_at);
    assert!(verify(&good).is_ok());
    for method in ["HEAD", "PUT", "get"] {
        assert!(verify(&Case { method: method.to_owned(), ..Case::simple() }).is_err(), "{method}");
    }
    for path in
        ["/test-bucket/test-object2", "/test-bucket//test-object", "/test-bucket/x/../test-object", "/test-bucket/%zz"]
    {
        assert!(verify(&Case { path: path.to_owned(), ..Case::simple() }).is_err(), "{path}");
    }
    for host in ["evil.example", "storage.googleapis.com.evil.example", ""] {
        assert!(verify(&Case { host: host.to_owned(), ..Case::simple() }).is_err(), "{host}");
    }
    for (from, to) in [
        ("Expires=10", "Expires=604800"),
        ("Expires=10", "Expires=604801"),
        ("Expires=10", "Expires=0"),
        ("Expires=10", "Expires=%2B9"),
        ("Headers=host", "Headers=Host"),
        ("Headers=host", "Headers=range"),
        ("Headers=host", "Headers=host%3Bhost"),
        ("Date=20190201T09", "Date=20190202T09"),
        ("Date=20190201T09", "Date=20190201T99"),
        ("RSA-SHA256", "RSA-SHA1"),
        ("RSA-SHA256", "HMAC-SHA256"),
        ("Signature=", "Signature=00"),
        ("X-Goog-Date", "x-goog-date"),
        ("storage%2Fgoog4_request", "storage%2Faws4_request"),
        ("dummy-project-id", "dummy-project-ie"),
    ] {
        let query = good.query.replacen(from, to, 1);
        assert_ne!(query, good.query, "{from}");
        assert!(verify(&Case { query, ..Case::simple() }).is_err(), "{to}");
    }
    for more in ["&X-Goog-Expires=10", "&generation=7", "&response-content-type=text%2Fhtml", "&lsref=1"] {
        assert!(verify(&Case { query: format!("{}{more}", good.query), ..Case::simple() }).is_err(), "{more}");
    }
    for (name, _) in pairs(&good.query) {
        let rest: Vec<&str> = good.query.split('&').filter(|pair| !pair.starts_with(name)).collect();
        assert!(verify(&Case { query: rest.join("&"), ..Case::simple() }).is_err(), "without {name}");
    }
    let spelled = good.query.replace("X-Goog-Date", "X%2DGoog-Date");
    assert!(verify(&Case { query: spelled, ..Case::simple() }).is_err(), "a parameter has one spelling");
}

#[test]
fn a_port_may_be_signed_or_not() {
    assert_eq!(without_port("localhost:8080"), "localhost");
    assert_eq!(without_port("[::1]:8080"), "[::1]");
    assert_eq!(without_port("[::1]"), "[::1]");
    assert_eq!(
        time("20190201T090000Z").and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|s| s.as_secs()),
        Some(1_549_011_600)
    );
}

proptest! {
    #[test]
    fn no_query_makes_it_panic(query in "(X-Goog-[A-Za-z]{4,14}=[A-Za-z0-9%;/@.-]{0,40}&?){0,8}", path in "/[a-z%0-9./]{0,30}") {
        let (keys, headers) = (keys(), HeaderMap::new());
        let signed = Signed { method: "GET", path: &path, query: &query, headers: &headers, host: "h" };
        prop_assert!(signed.verify(&keys, SystemTime::now()).is_err());
    }

    #[test]
    fn no_changed_letter_is_found_good(at in 0_usize..700, letter in "[ -~]") {
        let good = Case::simple();
        let at = at % good.query.len();
        let mut query = good.query.clone();
        query.replace_range(at..=at, &letter);
        // The hexadecimal digits of a signature have two spellings each.
        prop_assume!(!query.eq_ignore_ascii_case(&good.query));
        let case = Case { query, ..Case::simple() };
        prop_assert!(case.signed().verify(&keys(), good.signed_at).is_err());
    }
}
