//! Signing against Google's published vectors, and against names that no vector has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use serde_json::Value;

use super::{LONGEST_LIFE, Request, RsaKey, SignError, Style, hex};
use crate::gcs::Endpoint;
use crate::object::{BucketName, ObjectName};

const VECTORS: &str = include_str!("../../../tests/vectors/v4_signatures.json");
const KEY_FILE: &str = include_str!("../../../tests/vectors/test_service_account.not-a-test.json");
/// Its `expectedCanonicalRequest` has the path `/test-bucket/test-object`, but its own `expectedStringToSign` and
/// `expectedUrl` are computed from `/test-object`, which is right for a virtual-hosted URL: an error in Google's file.
const WRONG_CANONICAL_REQUEST: &str = "Universe domain with virtual hosted style";

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value[name].as_str().filter(|text| !text.is_empty())
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pair = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
    value.as_object().map(|map| map.iter().map(pair).collect()).unwrap_or_default()
}

fn endpoint(host: &str, scheme: &str) -> Endpoint {
    let url = if host.contains("://") { host.to_owned() } else { format!("{scheme}://{host}") };
    url.parse().expect("the vectors have good hosts")
}

fn request(case: &Value) -> Request {
    let scheme = text(case, "scheme").unwrap_or("https");
    let google = format!("storage.{}", text(case, "universeDomain").unwrap_or("googleapis.com"));
    let host = text(case, "hostname").or(text(case, "clientEndpoint")).or(text(case, "emulatorHostname"));
    let style = match text(case, "urlStyle") {
        Some("VIRTUAL_HOSTED_STYLE") => Style::VirtualHosted,
        Some("BUCKET_BOUND_HOSTNAME") => {
            Style::BucketBound(endpoint(text(case, "bucketBoundHostname").expect("a domain"), scheme))
        }
        _ => Style::Path,
    };
    Request {
        method: text(case, "method").expect("a method").parse().expect("a good method"),
        endpoint: endpoint(host.unwrap_or(&google), scheme),
        style,
        bucket: BucketName::new(text(case, "bucket").expect("a bucket")).expect("a good bucket"),
        object: text(case, "object").map(|name| ObjectName::new(name).expect("a good object")),
        query: pairs(&case["queryParameters"]),
        headers: pairs(&case["headers"]),
        expires: Duration::from_secs(case["expiration"].as_u64().expect("an expiry")),
    }
}

#[test]
fn all_published_vectors_are_reproduced() {
    let key_file: Value = serde_json::from_str(KEY_FILE).expect("the key file is JSON");
    let key = RsaKey::from_pem(text(&key_file, "private_key").expect("a key")).expect("a good key");
    let email = text(&key_file, "client_email").expect("an address");
    let vectors: Value = serde_json::from_str(VECTORS).expect("the vectors are JSON");
    let cases = vectors["signingV4Tests"].as_array().expect("signing cases");
    assert_eq!(cases.len(), 29);
    for case in cases {
        let description = text(case, "description").expect("a description");
        let now = humantime::parse_rfc3339(text(case, "timestamp").expect("a time")).expect("a good time");
        let draft = request(case).draft(email, now).expect("can be signed");
        if description == WRONG_CANONICAL_REQUEST {
            let corrected = case["expectedCanonicalRequest"].as_str().expect("a request");
            let corrected = corrected.replacen("/test-bucket/test-object", "/test-object", 1);
            assert_eq!(draft.canonical_request(), corrected, "{description}");
        } else {
            assert_eq!(Some(draft.canonical_request()), text(case, "expectedCanonicalRequest"), "{description}");
        }
        assert_eq!(Some(draft.string_to_sign()), text(case, "expectedStringToSign"), "{description}");
        let signature = key.sign(draft.string_to_sign().as_bytes()).expect("a signature");
        assert_eq!(Some(draft.into_url(&signature).as_str()), text(case, "expectedUrl"), "{description}");
    }
}

fn simple(object: &str, query: Vec<(String, String)>) -> Request {
    let bucket = BucketName::new("bucket").expect("a good bucket");
    let object = ObjectName::new(object).expect("a good object");
    let mut request = Request::object(http::Method::GET, Endpoint::default(), bucket, object, Duration::from_mins(1));
    request.query = query;
    request
}

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_268_801)
}

#[test]
fn only_lives_of_one_second_to_seven_days_are_signed() {
    for (seconds, good) in [(0, false), (1, true), (604_800, true), (604_801, false)] {
        let request = Request { expires: Duration::from_secs(seconds), ..simple("o", Vec::new()) };
        let outcome = request.draft("e@x", noon()).map(|_| ());
        assert_eq!(outcome, if good { Ok(()) } else { Err(SignError::Expiry(LONGEST_LIFE)) }, "{seconds}");
    }
}

#[test]
fn what_would_break_the_canonical_form_is_refused() {
    let reserved = simple("o", vec![("x-goog-expires".into(), "1".into())]);
    assert_eq!(reserved.draft("e@x", noon()).map(|_| ()), Err(SignError::ReservedParameter));
    let mut broken = simple("o", Vec::new());
    broken.headers.push(("a".into(), "b\nhost:evil".into()));
    assert_eq!(broken.draft("e@x", noon()).map(|_| ()), Err(SignError::ControlCharacter));
    let early = UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(simple("o", Vec::new()).draft("e@x", early).map(|_| ()), Err(SignError::Time));
}

#[test]
fn stars_plusses_and_umlauts_are_encoded() {
    let disposition = ("response-content-disposition".into(), "attachment; filename*=UTF-8''ü+.jpg".into());
    let draft = simple("a*b+c ü", vec![disposition]).draft("e@x", noon()).expect("can be signed");
    assert!(draft.unsigned_url().starts_with("https://storage.googleapis.com/bucket/a%2Ab%2Bc%20%C3%BC?"));
    assert!(draft.unsigned_url().contains("filename%2A%3DUTF-8%27%27%C3%BC%2B.jpg"), "{}", draft.unsigned_url());
}

#[test]
fn each_method_has_a_signature_of_its_own() {
    let get = simple("o", Vec::new());
    let head = Request { method: http::Method::HEAD, ..get.clone() };
    let drafts = [get, head].map(|request| request.draft("e@x", noon()).expect("can be signed"));
    assert_ne!(drafts[0].string_to_sign(), drafts[1].string_to_sign());
    assert_eq!(drafts[0].unsigned_url(), drafts[1].unsigned_url());
}

#[test]
fn hexadecimal_is_lower_case_and_padded() {
    assert_eq!(hex(&[0, 0x0a, 0xff]), "000aff");
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().expect("UTF-8").into_owned()
}

proptest! {
    #[test]
    fn any_name_survives_encoding_and_no_parser_rewrites_it(
        name in "\\PC{1,60}",
        query in prop::collection::vec(("[a-z*é ]{1,6}", "\\PC{0,12}"), 0..5),
    ) {
        let Ok(object) = ObjectName::new(name.clone()) else { return Ok(()) };
        let draft = simple(object.as_str(), query.clone()).draft("e@x", noon()).expect("can be signed");
        let uri: http::Uri = draft.unsigned_url().parse().expect("a URL");
        let path = uri.path().strip_prefix("/bucket/").expect("the bucket");
        prop_assert_eq!(decode(path), name);
        prop_assert!(draft.unsigned_url().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%/:?&=".contains(&b)));
        // The parser that browsers use keeps every segment.
        let browser = reqwest::Url::parse(draft.unsigned_url()).expect("a URL");
        prop_assert_eq!(browser.as_str(), draft.unsigned_url());
        let pairs: Vec<_> = uri.query().unwrap_or_default().split('&').map(|p| p.split_once('=').expect("a pair")).collect();
        prop_assert!(pairs.is_sorted());
        for (name, value) in query {
            prop_assert!(pairs.iter().any(|(n, v)| decode(n) == name && decode(v) == value));
        }
    }
}
