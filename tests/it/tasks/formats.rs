//! What manifests look like, and that their URLs lead to the very objects.

use gsgate::emulator::{Action, Fault, Gate, Object, Operation};
use serde_json::{Value, json};

use super::rig::{Rig, URL};
use crate::support::TestGateway;
use crate::support::gateway::BUCKET;

const ODD: [&str; 12] = [
    "/leading.jpg",
    "a//b.jpg",
    "a b.jpg",
    "a+b.jpg",
    "a,\"b\"'c.jpg",
    "50%2F50.jpg",
    "100%.jpg",
    "#?&=;:@$.jpg",
    "ü/🦀 春.jpg",
    "back\\slash.jpg",
    "*'()!~[]{}|^`<>.jpg",
    "=1+1.jpg",
];

#[tokio::test]
async fn the_urls_of_a_manifest_give_the_very_objects() {
    let gateway = TestGateway::start().await;
    for name in ODD {
        gateway.put(name, Object::bytes(name.as_bytes().to_vec()));
    }
    let rig = Rig::with(&format!("[connections.media]\nuri = \"gs://{BUCKET}/\"\n")).await;
    let config = std::fs::read_to_string(rig.path("gsgate.toml")).unwrap();
    let config = config.replace(&rig.gcs.endpoint(), &gateway.gcs.endpoint());
    std::fs::write(rig.path("gsgate.toml"), config).unwrap();
    std::fs::copy(gateway.folder.path().join("key.json"), rig.path("key.json")).unwrap();
    let tasks = rig.run(&["media", "--data-key", "image", "--data-key", "thumb"]).await.json();
    let mut bodies = Vec::new();
    for task in tasks.as_array().unwrap() {
        assert_eq!(task["data"]["image"], task["data"]["thumb"]);
        let url = task["data"]["image"].as_str().unwrap();
        let answer = gateway.client.get(url.strip_prefix(URL).unwrap(), &[]).await;
        assert_eq!(answer.status, 200, "{url}");
        bodies.push(answer.text().to_owned());
    }
    let mut names = ODD.map(str::to_owned);
    names.sort();
    assert_eq!(bodies, names);
}

#[tokio::test]
async fn odd_names_survive_every_format() {
    let rig = Rig::start().await;
    rig.put(&ODD);
    let mut names = ODD.map(str::to_owned);
    names.sort();
    let uris = names.clone().map(|name| format!("gs://my-bucket/{name}"));
    assert_eq!(rig.lines(&["media", "--format", "txt", "--gs-uri"]).await, uris);
    let rows: Vec<Value> = rig.lines(&["media", "--format", "jsonl"]).await.iter().map(|row| read(row)).collect();
    let found: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(found, names);
    let labelbox = rig.run(&["media", "--format", "labelbox"]).await.json();
    let keys: Vec<_> = labelbox.as_array().unwrap().iter().map(|row| row["global_key"].as_str().unwrap()).collect();
    assert_eq!(keys, uris);
    let studio = rig.run(&["media", "--gs-uri", "--data-type", "image"]).await.json();
    assert_eq!(studio.as_array().unwrap().len(), names.len());
    assert_eq!(studio[0]["data"]["image"], uris[0].as_str());
    let csv = rig.lines(&["media", "--format", "csv", "--data-key", "attachment_url"]).await;
    assert_eq!(csv[0], "attachment_url,name,size,content_type,updated");
    assert!(csv.iter().any(|row| row.contains(",\"a,\"\"b\"\"'c.jpg\",")), "{csv:?}");
}

fn read(row: &str) -> Value {
    serde_json::from_str(row).unwrap()
}

/// A picture of this size: enough of it for its size to be read.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend_from_slice(&width.to_be_bytes());
    bytes.extend_from_slice(&height.to_be_bytes());
    bytes.extend_from_slice(&[8, 6, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// A JPEG whose size comes after a long preview.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0xD8];
    for _ in 0..2 {
        bytes.extend_from_slice(&[0xFF, 0xE2, 0xFF, 0xFF]);
        bytes.resize(bytes.len() + 65_533, 0);
    }
    bytes.extend_from_slice(&[0xFF, 0xC0, 0, 17, 8]);
    bytes.extend_from_slice(&height.to_be_bytes());
    bytes.extend_from_slice(&width.to_be_bytes());
    bytes.extend_from_slice(&[3, 1, 17, 0, 2, 17, 1, 3, 17, 1]);
    bytes.resize(bytes.len() + 3_000_000, 0);
    bytes
}

#[tokio::test]
async fn cvat_gets_sizes_from_the_first_kilobytes() {
    let rig = Rig::with("[connections.media]\nuri = \"gs://my-bucket/set/\"\n").await;
    let demo = |file: &str| std::fs::read(format!("{}/src/demo/media/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let bucket = rig.bucket();
    let mut large = png(640, 480);
    large.resize(5_000_000, 0);
    bucket.put("set/a b.png", Object::bytes(large).content_type("image/png"));
    bucket.put("set/late.jpg", Object::bytes(jpeg(30, 20)));
    bucket.put("set/real.jpg", Object::bytes(demo("crossing.jpg")));
    bucket.put("set/bad.png", Object::bytes("no picture at all"));
    bucket.put("set/empty.png", Object::bytes(""));
    bucket.put("set/cut.png", Object::bytes(png(1, 1)[..20].to_vec()));
    bucket.put("set/notes.txt", Object::bytes("text"));
    let said = rig.run(&["media", "--format", "cvat", "--output", "manifest.jsonl"]).await;
    let text = std::fs::read_to_string(rig.path("manifest.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(read).collect();
    assert_eq!(lines[..2], [json!({"version": "1.1"}), json!({"type": "images"})]);
    let first = json!({"name": "a b", "extension": ".png", "width": 640, "height": 480,
                       "meta": {"related_images": [], "url": format!("{URL}/media/a%20b.png")}});
    assert_eq!(lines[2], first);
    assert_eq!(
        (lines[3]["name"].as_str(), lines[3]["width"].as_u64(), lines[3]["height"].as_u64()),
        (Some("late"), Some(30), Some(20))
    );
    assert!(lines[4]["width"].as_u64() > Some(50) && lines.len() == 5, "{text}");
    assert_eq!(said.code, Some(1), "{}", said.err);
    for told in ["\"set/bad.png\"", "\"set/empty.png\": the object is empty", "\"set/cut.png\"", "3 faults"] {
        assert!(said.err.contains(told), "{told}\n{}", said.err);
    }
    let read: u64 = rig.gcs.requests().iter().filter(|r| r.operation == Operation::Media).map(|r| r.sent).sum();
    assert!(read < 1_000_000, "{read} bytes were read of 8 million");
    let again = rig.lines(&["media", "--format", "txt", "--data-type", "text"]).await;
    assert_eq!(again, [format!("{URL}/media/notes.txt")]);
}

#[tokio::test]
async fn an_interrupted_run_leaves_the_old_file() {
    let rig = Rig::start().await;
    rig.put(&(0..1500).map(|n| format!("{n:05}")).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>());
    std::fs::write(rig.path("m.json"), "old").unwrap();
    let gate = Gate::new();
    rig.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::List).skip(1).always());
    let child = rig.command(&["media", "--output", "m.json"]).spawn().unwrap();
    gate.reached(1).await;
    let id = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let output = child.wait_with_output().await.unwrap();
    gate.open();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("no file was written"), "{err}");
    assert_eq!(std::fs::read_to_string(rig.path("m.json")).unwrap(), "old");
    assert_eq!(std::fs::read_dir(rig.folder.path()).unwrap().count(), 3, "no temporary file is left");
}

#[tokio::test]
async fn a_preview_is_a_table_of_the_first_ones() {
    let rig = Rig::start().await;
    rig.put(&["a.jpg", "b.jpg", "c.jpg"]);
    let lines = rig.lines(&["media", "--preview", "2"]).await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("NAME") && lines[1].starts_with("a.jpg  ") && lines[2].ends_with("/media/b.jpg"));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_cure() {
    let rig = Rig::start().await;
    for (arguments, code, told) in [
        (&["nobody"][..], 2, "there is media"),
        (&["media", "--import", "json", "--format", "csv"], 2, "only --format label-studio and jsonl"),
        (&["media", "--format", "cvat", "--data-type", "audio"], 2, "its manifest lists images"),
        (&["media", "--format", "xml"], 2, "possible values"),
        (&["media", "--public-url", "media"], 64, "--public-url: server.public_url"),
        (&["media", "--output", "no/such/folder"], 1, "cannot write a file in no/such"),
    ] {
        let said = rig.run(arguments).await;
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(told) && said.out.is_empty(), "{arguments:?}: {}", said.err);
    }
    let config = std::fs::read_to_string(rig.path("gsgate.toml")).unwrap();
    std::fs::write(rig.path("gsgate.toml"), config.replace("public_url", "# public_url")).unwrap();
    rig.put(&["a.jpg"]);
    let said = rig.run(&["media"]).await;
    assert_eq!(said.code, Some(64));
    assert!(said.err.contains("server.public_url") && said.err.contains("--gs-uri"), "{}", said.err);
    assert_eq!(rig.lines(&["media", "--gs-uri", "--format", "txt"]).await, ["gs://my-bucket/a.jpg"]);
    let lines = rig.lines(&["media", "--public-url", "http://x.example/y", "--format", "txt"]).await;
    assert_eq!(lines, ["http://x.example/y/media/a.jpg"]);
}
