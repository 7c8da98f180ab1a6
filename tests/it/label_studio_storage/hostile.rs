//! A client with a good key that tries to get out, by whatever a path, a query or a name may hold.

use std::collections::BTreeMap;
use std::time::SystemTime;

use fastrand::Rng;
use gsgate::emulator::Object;
use gsgate::label_studio::storage::PATH;
use gsgate::object::ObjectName;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::rig::{Owner, Rig};

const ROUNDS: usize = 2000;

/// What a parser on the way might read in its own way.
const PIECES: [&str; 30] = [
    "..",
    ".",
    "/",
    "//",
    "%2F",
    "%2f",
    "%2e",
    "%2E%2e",
    "%252e",
    "%252F",
    "%00",
    "%0d%0a",
    "%5c",
    "\\",
    ";",
    "%3F",
    "%23",
    "+",
    "%20",
    "%ff",
    "%C0%AF",
    "%EF%BC%8F",
    "in/",
    "notes/",
    "secret.txt",
    "internal/x",
    "other-media",
    "a.txt",
    "o",
    "b",
];
const TARGETS: [&str; 9] = [
    "/storage/v1/b/test-media/o/in%2Fa.txt",
    "/storage/v1/b/test-media/o/in%2Fa.txt?alt=media",
    "/download/storage/v1/b/test-media/o/in%2Fa.txt?alt=media",
    "/storage/v1/b/test-media/o?prefix=in/&delimiter=/",
    "/storage/v1/b/test-media/o?prefix=in/&startOffset=a&endOffset=z&maxResults=1",
    "/storage/v1/b/test-media",
    "/upload/storage/v1/b/test-media/o?uploadType=media&name=notes/1",
    "/upload/storage/v1/b/test-media/o?uploadType=resumable&upload_id=e30",
    "/storage/v1/b/test-media/iam/testPermissions?permissions=x",
];

/// What names are made of.
const PARTS: [&str; 14] = [
    "in/",
    "in",
    "notes/",
    "..",
    ".",
    "/",
    "secret.txt",
    "internal/x",
    "a.txt",
    "deep/",
    "b c.txt",
    "%2F",
    "%2e%2e",
    "\u{ff0f}",
];

/// A target with some pieces put in or put in the place of a part.
fn spoiled(target: &str, dice: &mut Rng) -> String {
    let mut target = target.to_owned();
    for _ in 0..dice.usize(1..3) {
        let at = dice.usize(1..=target.len());
        let to = if dice.bool() { at } else { (at + dice.usize(..8)).min(target.len()) };
        if target.is_char_boundary(at) && target.is_char_boundary(to) {
            target.replace_range(at..to, PIECES[dice.usize(..PIECES.len())]);
        }
    }
    target.replace(['\\', '#'], "%5C")
}

/// A target with a name of somebody's making, well escaped.
fn named(owner: &Owner, method: &Method, dice: &mut Rng) -> String {
    let name: String = (0..dice.usize(1..5)).map(|_| PARTS[dice.usize(..PARTS.len())]).collect();
    let escaped = utf8_percent_encode(&name, NON_ALPHANUMERIC);
    match *method {
        Method::POST => format!("/upload/storage/v1/b/test-media/o?uploadType=media&name={escaped}"),
        Method::GET => match dice.u8(..4) {
            0 => format!("/storage/v1/b/test-media/o?prefix={escaped}"),
            1 => format!("/storage/v1/b/test-media/o?delimiter=/&prefix={escaped}"),
            2 if ObjectName::new(name.as_str()).is_ok() => {
                owner.signed((method, "test-media", &name), SystemTime::now())[PATH.len()..].to_owned()
            }
            _ => format!("/download/storage/v1/b/test-media/o/{escaped}?alt=media"),
        },
        _ => format!("/storage/v1/b/test-media/o/{escaped}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leads_out_of_the_connections() {
    let rig = Rig::start("can_delete = true\nmax_upload = \"1 KiB\"").await;
    rig.gateway.put("internal/x", Object::bytes("nobody's business"));
    let (mut dice, mut seen) = (Rng::with_seed(7), BTreeMap::<u16, usize>::new());
    let methods = [Method::GET, Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];
    let signed = rig.owner.signed((&Method::GET, "test-media", "in/a.txt"), SystemTime::now());
    for _ in 0..ROUNDS {
        let method = methods[dice.usize(..methods.len())].clone();
        let target = match dice.u8(..5) {
            0 => spoiled(&signed[PATH.len()..], &mut dice),
            1 | 2 => spoiled(TARGETS[dice.usize(..TARGETS.len())], &mut dice),
            _ => named(&rig.owner, &method, &mut dice),
        };
        if format!("{PATH}{target}").parse::<http::Uri>().is_err() {
            continue;
        }
        let body = if matches!(method, Method::POST | Method::PUT) { "mine" } else { "" };
        let answer = rig.send(method.clone(), &target, &[], body).await;
        *seen.entry(answer.status.as_u16()).or_default() += 1;
        assert!(!answer.status.is_server_error(), "{method} {target}: {}", answer.status);
        let text = String::from_utf8_lossy(answer.bytes());
        let told = ["business", "\"internal/", "\"secret.txt"].iter().any(|word| text.contains(word));
        assert!(!told, "{method} {target}: {text}");
    }
    println!("{seen:?}");
    assert!([200, 204, 400, 403, 404, 405].iter().all(|status| seen.contains_key(status)), "{seen:?}");
    let ours = |name: &str| name.starts_with("in/") || name.starts_with("notes/");
    for request in rig.gateway.gcs.requests() {
        assert!(request.object.as_deref().is_none_or(ours), "{request:?}");
    }
    let strays: Vec<String> = rig.names().into_iter().filter(|name| !ours(name)).collect();
    assert_eq!(strays, ["internal/x", "secret.txt"]);
    assert_eq!(rig.gateway.gcs.bucket("other-media").names(), ["a.jpg", "b.png", "deep/c.jpg"]);
}
