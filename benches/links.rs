//! What a link costs: checking one on each request, and making one for each object of a manifest.
//!
//! `cargo bench --bench links`

use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use gsgate::gateway::client_addr::ClientAddr;
use gsgate::gateway::links::{Expiry, Key, Keyring, Links, Revoked, Scope, Shown, Target, Terms, Wanted};
use gsgate::gateway::subject::Subject;
use gsgate::object::{BucketName, ObjectName, ObjectPrefix};

const LIFE: Duration = Duration::from_hours(24);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 57)
}

/// Four keys, of which the last one verifies, and a long list.
fn links() -> Links {
    let key = |id: &str| Key::read(id.parse().expect("an id"), &"0123456789abcdef".repeat(4), None).expect("a key");
    let links = Links::new(Keyring::new(["2026-11", "2026-10", "2026-09", "2026-08"].map(key)), Duration::ZERO);
    let list: Vec<_> = (0..10_000).map(|n| format!("subject annotator-x{n}\nlink {n:016x}")).collect();
    let list = list.join("\n");
    links.revoke(Revoked::parse(&list).expect("a list"));
    links
}

fn plain() -> Terms {
    Terms { expires: Expiry::In(LIFE), not_before: None, networks: Vec::new(), subject: None }
}

/// As much as a link usually has to say.
fn bound() -> Terms {
    Terms {
        networks: ["203.0.113.0/24", "198.51.100.0/24", "2001:db8::/32"].map(|net| net.parse().expect("legal")).into(),
        subject: Subject::new("annotator-17@example.com").ok(),
        ..plain()
    }
}

fn check(criterion: &mut Criterion) {
    let (links, client) = (links(), ClientAddr::from(IpAddr::from([203, 0, 113, 9])));
    let bucket = BucketName::new("my-media-bucket").expect("legal");
    let object = ObjectName::new("dataset-001/2026/north/camera-3/frame 000123.jpg").expect("legal");
    let prefix = ObjectPrefix::new("dataset-001/2026/").expect("legal");
    let longest = ObjectName::new("d/".repeat(512)).expect("legal");
    let wanted = Wanted { connection: "street", bucket: &bucket, object: Some(&object) };
    for (name, terms, target, wanted) in [
        ("check a link for an object", plain(), Target::Object(&object), wanted),
        ("check a link with networks and subject", bound(), Target::Object(&object), wanted),
        ("check a link for a prefix", bound(), Target::Prefix(&prefix), wanted),
        (
            "check a link for a name of 1024 bytes",
            bound(),
            Target::Object(&longest),
            Wanted { object: Some(&longest), ..wanted },
        ),
    ] {
        let signer = links.signer(&terms, now()).expect("a signer");
        let link = signer.sign(Scope { connection: "street", bucket: &bucket, target });
        let query = format!("lsref=1&sig={}", link.token());
        let verify = |query: &str| links.verify(Shown::of(None, Some(query)), wanted, client, now());
        assert!(verify(&query).is_ok(), "{name}");
        criterion.bench_function(name, |bencher| bencher.iter(|| verify(black_box(&query))));
        let mut forged = query.clone();
        forged.replace_range(query.len() - 2..query.len() - 1, if query.ends_with('A') { "B" } else { "A" });
        if name.ends_with("object") && verify(&forged).is_err() {
            criterion.bench_function("refuse a forged link", |bencher| bencher.iter(|| verify(black_box(&forged))));
        }
    }
}

fn sign(criterion: &mut Criterion) {
    let (links, bucket) = (links(), BucketName::new("my-media-bucket").expect("legal"));
    let object = ObjectName::new("dataset-001/2026/north/camera-3/frame 000123.jpg").expect("legal");
    let signer = links.signer(&bound(), now()).expect("a signer");
    criterion.bench_function("make a link", |bencher| {
        let scope = Scope { connection: "street", bucket: &bucket, target: Target::Object(&object) };
        bencher.iter(|| signer.sign(black_box(scope)));
    });
}

criterion_group!(benches, check, sign);
criterion_main!(benches);
