//! Google's own library as the judge of `gsgate sign`: the same object, key and time must give the same bytes.
//!
//! Runs where `GSGATE_ORACLE_PYTHON` names a Python that has the package google-cloud-storage; `.ci/run` sets it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::encoding::Pkcs8V1Der;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

const BUCKET: &str = "oracle-bucket";
const NAMES: [&str; 16] = [
    "plain.jpg",
    "folder/with space.jpg",
    "a+b.png",
    "100%.jpg",
    "50%2F50.png",
    "what?.png",
    "lot #7.jpg",
    "star*star.jpg",
    "tilde~dash-dot.under_score",
    "quotes'\"(brackets)[]{}",
    "Straßenbahn über Köln.jpg",
    "🚦 green.jpg",
    "double//slash.jpg",
    "/leading slash.jpg",
    "trailing slash/",
    "at@colon:semi;comma,equals=amp&dollar$bang!pipe|caret^back\\slash",
];

#[test]
fn googles_library_signs_the_same_urls() {
    let Some(python) = std::env::var_os("GSGATE_ORACLE_PYTHON") else {
        eprintln!("skipped: GSGATE_ORACLE_PYTHON names no Python with google-cloud-storage");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.json");
    std::fs::write(&key, key_file()).expect("the key can be written");
    for (method, seconds) in [("GET", 600), ("HEAD", 604_800)] {
        let theirs = google_urls(Path::new(&python), &key, method, seconds);
        for (name, theirs) in NAMES.iter().zip(&theirs) {
            assert_eq!(&our_url(&key, name, method, seconds), theirs, "{method} {name}");
        }
    }
}

/// A service-account key of this test's own.
fn key_file() -> String {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS#8");
    let body = STANDARD.encode(der.as_ref());
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    json!({
        "type": "service_account",
        "project_id": "oracle",
        "private_key_id": "1",
        "private_key": format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")),
        "client_email": "oracle@oracle.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
    .to_string()
}

fn google_urls(python: &Path, key: &Path, method: &str, seconds: u32) -> Vec<String> {
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/oracle/sign.py"))
        .arg(key)
        .args([BUCKET, method, &seconds.to_string(), "20260101T000000Z"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle starts");
    let names = serde_json::to_vec(&NAMES).expect("JSON");
    child.stdin.take().expect("stdin is piped").write_all(&names).expect("the oracle reads");
    let output = child.wait_with_output().expect("the oracle ends");
    assert!(output.status.success(), "the oracle failed; does {} have google-cloud-storage?", python.display());
    let urls: Vec<String> = serde_json::from_slice(&output.stdout).expect("a list of URLs");
    assert_eq!(urls.len(), NAMES.len());
    urls
}

fn our_url(key: &Path, name: &str, method: &str, seconds: u32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gsgate"))
        .args(["sign", &format!("gs://{BUCKET}/{name}"), "--method", method, "--expires", &format!("{seconds}s")])
        .args(["--at", "2026-01-01T00:00:00Z", "--credentials"])
        .arg(key)
        .env_remove("STORAGE_EMULATOR_HOST")
        .output()
        .expect("gsgate runs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a URL").trim_end().to_owned()
}
