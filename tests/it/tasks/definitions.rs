//! Objects that define tasks: JSON, JSON lines and Parquet, good and bad.

use std::sync::Arc;

use gsgate::emulator::Object;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

use super::rig::{Rig, URL};

const CONNECTIONS: &str = "[connections.tasks]\nuri = \"gs://my-bucket/tasks/\"\n\
                           [connections.media]\nuri = \"gs://my-bucket/media/\"\nfilter = \".*jpg$\"\n";

fn parquet(values: &[&str]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type("message m { required binary image (STRING); }").unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<_> = values.iter().map(|&value| ByteArray::from(value)).collect();
    let ColumnWriter::ByteArrayColumnWriter(writing) = column.untyped() else { panic!("a column of texts") };
    writing.write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[tokio::test]
async fn tasks_are_read_from_every_kind_of_file() {
    let rig = Rig::with(CONNECTIONS).await;
    let bucket = rig.bucket();
    bucket
        .put("tasks/1.json", Object::bytes(r#"[{"image":"gs://my-bucket/media/a b.jpg"},{"data":{"n":1},"meta":2}]"#));
    bucket.put("tasks/2.jsonl", Object::bytes("{\"text\":\"<img src='gs://my-bucket/media/ü&amp;.jpg'>\"}\n"));
    bucket
        .put("tasks/3.parquet", Object::bytes(parquet(&["gs://my-bucket/media/p.jpg", "gs://my-bucket/media/q.txt"])));
    bucket.put("tasks/4", Object::bytes(r#"{"deep":{"list":["gs://elsewhere/x"]}}"#).content_type("application/json"));
    bucket.put("tasks/picture.jpg", Object::bytes("x"));
    let said = rig.run(&["tasks", "--import", "json"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let expected = json!([
        {"data": {"image": format!("{URL}/media/a%20b.jpg")}},
        {"data": {"n": 1}, "meta": 2},
        {"data": {"text": format!("<img src='{URL}/media/%C3%BC%26.jpg'>")}},
        {"data": {"image": format!("{URL}/media/p.jpg")}},
        {"data": {"image": "gs://my-bucket/media/q.txt"}},
        {"data": {"deep": {"list": ["gs://elsewhere/x"]}}},
    ]);
    assert_eq!(said.json(), expected);
    assert!(said.err.contains("2 gs:// URIs are covered by no connection"), "{}", said.err);
    assert!(said.err.contains("1 objects are neither JSON"), "{}", said.err);
    let kept = rig.lines(&["tasks", "--import", "json", "--gs-uri", "--format", "jsonl"]).await;
    assert_eq!(kept.len(), 6);
    assert!(kept[0].contains("gs://my-bucket/media/a b.jpg"), "{}", kept[0]);
    std::fs::write(rig.path("before.jsonl"), kept[..5].join("\n")).unwrap();
    let new =
        rig.lines(&["tasks", "--import", "json", "--gs-uri", "--format", "jsonl", "--since", "before.jsonl"]).await;
    assert_eq!(new, kept[5..]);
}

#[tokio::test]
async fn bad_files_are_told_by_name_and_line_and_the_rest_goes_on() {
    let rig = Rig::with(CONNECTIONS).await;
    let bucket = rig.bucket();
    let mut damaged = parquet(&["x"]);
    let middle = damaged.len() / 2;
    damaged.truncate(middle);
    for (name, bytes) in [
        ("a.json", b"{\"n\":1}".to_vec()),
        ("b.json", b"[{\"n\":2},\n  oops]".to_vec()),
        ("c.jsonl", b"{\"n\":3}\nnonsense\n{\"n\":4}\n".to_vec()),
        ("d.parquet", damaged),
        ("e.json", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes()),
        ("f.json", Vec::new()),
        ("g.json", b"{\"n\":\"\xff\"}".to_vec()),
        ("z.json", b"{\"n\":5}".to_vec()),
    ] {
        bucket.put(format!("tasks/{name}"), Object::bytes(bytes));
    }
    bucket.put("tasks/h.json", Object::generated(65 << 20, 1));
    bucket.put("tasks/i.json", Object::bytes(vec![0x1F, 0x8B, 8, 0]).content_encoding("gzip"));
    let said = rig.run(&["tasks", "--import", "json", "--format", "jsonl", "--output", "m.jsonl"]).await;
    assert_eq!(said.code, Some(1), "{}", said.err);
    let text = std::fs::read_to_string(rig.path("m.jsonl")).unwrap();
    let numbers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(numbers, [1, 3, 4, 5].map(|n| json!({"data": {"n": n}})));
    for told in [
        "\"tasks/b.json\": line 2, column 3: ",
        "\"tasks/c.jsonl\": line 2: ",
        "\"tasks/d.parquet\": ",
        "\"tasks/e.json\": line 1, column 128: recursion limit",
        "\"tasks/f.json\": ",
        "\"tasks/g.json\": line 1",
        "\"tasks/h.json\": it has 68157440 bytes",
        "\"tasks/i.json\": its gzip is damaged",
        "8 faults",
    ] {
        assert!(said.err.contains(told), "{told}\n{}", said.err);
    }
    assert!(!said.err.contains("a.json") && !said.err.contains("z.json"), "{}", said.err);
}
