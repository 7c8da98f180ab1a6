//! Signed URLs, canonicalised and signed here by hand, and CORS of the XML API.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, rand, rsa::KeyPair, signature};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use gsgate::emulator::{Emulator, Object, Operation};
use serde_json::{Value, json};

use super::wire::{CLOUD, post, send, start};

/// An RSA signature with a PKCS#8 PEM.
pub(crate) fn rsa(pem: &str, message: &[u8]) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = KeyPair::from_pkcs8(&BASE64_STANDARD.decode(text).expect("base64")).expect("a key");
    let mut signed = vec![0; pair.public_modulus_len()];
    pair.sign(&signature::RSA_PKCS1_SHA256, &rand::SystemRandom::new(), message, &mut signed).expect("a signature");
    signed
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// A URL still to be signed: its target without the signature, and the string to sign.
fn unsigned(gcs: &Emulator, method: &str, path: &str, more: &str, life: u64) -> (String, String) {
    let iso = humantime::format_rfc3339_seconds(gcs.now()).to_string();
    let date = iso.replace(['-', ':'], "");
    let (day, email) = (&date[..8], gcs.email().replace('@', "%40"));
    let query = format!(
        "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential={email}%2F{day}%2Fauto%2Fstorage%2Fgoog4_request\
         &X-Goog-Date={date}&X-Goog-Expires={life}&X-Goog-SignedHeaders=host{more}"
    );
    let canonical = format!("{method}\n{path}\n{query}\nhost:127.0.0.1\n\nhost\nUNSIGNED-PAYLOAD");
    let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("GOOG4-RSA-SHA256\n{date}\n{day}/auto/storage/goog4_request\n{hash}");
    (format!("{path}?{query}"), text)
}

fn sign(gcs: &Emulator, method: &str, path: &str, more: &str, life: u64) -> String {
    let key: Value = serde_json::from_str(&gcs.service_account_json().expect("a key")).expect("JSON");
    let (target, text) = unsigned(gcs, method, path, more, life);
    let signature = rsa(key["private_key"].as_str().expect("a key"), text.as_bytes());
    format!("{target}&X-Goog-Signature={}", hex(&signature))
}

#[tokio::test]
async fn a_signed_url_holds_for_its_method_its_object_and_its_time() {
    let gcs = start().await;
    let bucket = gcs.bucket("bkt");
    bucket.put("a/b *", Object::bytes("0123456789"));
    let url = sign(&gcs, "GET", "/bkt/a/b%20%2A", "&response-content-disposition=inline", 60);
    let good = send(&gcs, &format!("GET {url}"), &[("Range", "bytes=1-2")], "").await;
    assert_eq!((good.status, good.text().as_str(), good.header("content-disposition")), (206, "12", "inline"));
    assert_eq!(good.header("x-goog-hash"), "crc32c=KAwGng== | md5=eB5eJF1ptWaXm4bijSPyxw==");
    let head = send(&gcs, &format!("HEAD {}", sign(&gcs, "HEAD", "/bkt/a/b%20%2A", "", 60)), &[], "").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "10", 0));
    for (request, tampered) in [
        (format!("HEAD {url}"), "method"),
        (format!("GET {url}&generation=1"), "added"),
        (format!("GET {}", url.replace("Expires=60", "Expires=61")), "changed"),
        (format!("GET {}", url.replace("/bkt/a/b", "/bkt/a/c")), "path"),
    ] {
        let answer = send(&gcs, &request, &[], "").await;
        assert_eq!(answer.status, 403, "{tampered}");
        assert!(request.starts_with("HEAD") || answer.text().contains("<Code>SignatureDoesNotMatch</Code>"));
    }
    let none = send(&gcs, &format!("GET {}", sign(&gcs, "GET", "/bkt/none", "", 60)), &[], "").await;
    assert!(none.status == 404 && none.text().contains("<Code>NoSuchKey</Code>"));
    bucket.restrict();
    let denied = send(&gcs, &format!("GET {url}"), &[], "").await;
    assert!(denied.status == 403 && denied.text().contains("storage.objects.get"));
    bucket.grant(&gcs.email(), &["storage.objects.get"]);
    gcs.advance_clock(Duration::from_secs(61));
    let expired = send(&gcs, &format!("GET {url}"), &[], "").await;
    assert_eq!(expired.status, 400);
    assert!(
        expired.text().contains("<Code>ExpiredToken</Code>")
            && expired.text().contains("<Details>Request signature expired at: ")
    );
    let fresh = sign(&gcs, "GET", "/bkt/a/b%20%2A", "", 60);
    gcs.revoke_keys(&gcs.email());
    assert_eq!(send(&gcs, &format!("GET {fresh}"), &[], "").await.status, 403);
    assert!(
        gcs.requests().iter().all(|seen| !seen.target.contains("Signature=") || seen.target.contains("Signature=…"))
    );
}

#[tokio::test]
async fn sign_blob_signs_for_urls_until_its_key_is_rotated() {
    let gcs = start().await;
    gcs.bucket("bkt").put("o", Object::bytes("x"));
    let email = gcs.email();
    let bearer = format!("Bearer {}", gcs.issue_token(&email, &[CLOUD]));
    let (target, text) = unsigned(&gcs, "GET", "/bkt/o", "", 600);
    let path = format!("/v1/projects/-/serviceAccounts/{email}:signBlob");
    let body = json!({"payload": BASE64_STANDARD.encode(text)}).to_string();
    assert_eq!(post(&gcs, &path, "application/json", &bearer, &body).await.status, 403);
    gcs.grant_token_creator(&email, &email);
    let signed = post(&gcs, &path, "application/json", &bearer, &body).await.json();
    let signature = BASE64_STANDARD.decode(signed["signedBlob"].as_str().expect("text")).expect("base64");
    let request = format!("GET {target}&X-Goog-Signature={}", hex(&signature));
    assert_eq!(send(&gcs, &request, &[], "").await.text(), "x");
    gcs.rotate_system_key(&email);
    assert_eq!(send(&gcs, &request, &[], "").await.status, 403);
    assert_eq!(gcs.count(Operation::SignBlob), 2);
}

#[tokio::test]
async fn the_xml_api_answers_by_the_buckets_cors_rules() {
    let gcs = start().await;
    let bucket = gcs.bucket("bkt");
    bucket.put("o", Object::bytes("x"));
    bucket.set_public();
    let origin = [("Origin", "https://ui.example")];
    assert!(!send(&gcs, "GET /bkt/o", &origin, "").await.headers.contains_key("access-control-allow-origin"));
    bucket.set_cors(json!([
        {"origin": ["https://ui.example"], "method": ["GET"], "responseHeader": ["Range", "ETag"], "maxAgeSeconds": 60}
    ]));
    let answer = send(&gcs, "GET /bkt/o", &origin, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://ui.example");
    assert_eq!(answer.header("access-control-expose-headers"), "Range, ETag");
    let preflight = [("Origin", "https://ui.example"), ("Access-Control-Request-Method", "GET")];
    let allowed = send(&gcs, "OPTIONS /bkt/o", &preflight, "").await;
    assert_eq!((allowed.status, allowed.header("access-control-max-age")), (200, "60"));
    assert_eq!(allowed.header("access-control-allow-headers"), "Range, ETag");
    let other = [("Origin", "https://ui.example.evil"), ("Access-Control-Request-Method", "GET")];
    assert!(!send(&gcs, "OPTIONS /bkt/o", &other, "").await.headers.contains_key("access-control-allow-origin"));
    let json = "GET /storage/v1/b/bkt/o/o?alt=media";
    assert!(!send(&gcs, json, &origin, "").await.headers.contains_key("access-control-allow-origin"));
    let hosted = send(&gcs, "GET /o", &[("Host", "bkt.storage.example")], "").await;
    assert_eq!(hosted.text(), "x");
    assert!(SystemTime::now() <= gcs.now() + Duration::from_secs(1));
}

/// Google's published vectors: the signature is judged before the time, so a good one has expired and a bad one is wrong.
#[tokio::test]
async fn googles_vectors_are_told_from_tampered_ones() {
    let gcs = start().await;
    let read = |name: &str| {
        let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str::<Value>(&std::fs::read_to_string(path).expect("a vector file")).expect("JSON")
    };
    let key = read("test_service_account.not-a-test.json");
    let text = |name: &str| key[name].as_str().expect("text");
    gcs.register_key(text("client_email"), text("private_key_id"), text("private_key")).expect("a key");
    gcs.bucket("test-bucket");
    let cases = read("v4_signatures.json");
    let cases = cases["signingV4Tests"].as_array().expect("cases");
    assert_eq!(cases.len(), 29);
    // One case signs a header whose name has slashes: no HTTP server takes such a request.
    let legal = |case: &&Value| case["headers"].get("header/name/with/slash").is_none();
    for case in cases.iter().filter(legal) {
        let url = case["expectedUrl"].as_str().expect("a URL");
        let (host, target) = url.split_once("://").and_then(|(_, rest)| rest.split_once(['/', '?'])).expect("a host");
        let mut headers = vec![("Host", host)];
        for (name, value) in case["headers"].as_object().into_iter().flatten() {
            headers.push((name, value.as_str().expect("text")));
        }
        let request = format!("{} /{target}", case["method"].as_str().expect("a method"));
        let good = send(&gcs, &request, &headers, "").await;
        let expired = good.text().contains("ExpiredToken") || request.starts_with("HEAD");
        assert_eq!((good.status, expired), (400, true), "{} {}", case["description"], good.text());
        let last = if request.ends_with('0') { "1" } else { "0" };
        let bad = send(&gcs, &format!("{}{last}", &request[..request.len() - 1]), &headers, "").await;
        assert_eq!(bad.status, 403, "{}", case["description"]);
    }
}
