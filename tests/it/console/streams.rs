//! Answers that come piece by piece: a check's rows, a manifest.

use std::time::Duration;

use gsgate::emulator::{Action, Emulator, Fault, Gate, Object, Operation};
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::faults::wire::{metric, until};
use crate::support::{Builder, TestGateway};

const HOST: (&str, &str) = ("host", "localhost");
const LINES: (&str, &str) = ("accept", "application/x-ndjson");
const CHECK: &str = "/api/v1/connections/media/check";
const TASKS: &str = "/api/v1/connections/media/tasks?gs_uri=true";
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn rows_come_as_they_finish_and_the_plain_form_says_the_same() {
    let gateway = TestGateway::start().await;
    gateway.put("a.jpg", Object::bytes("x"));
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::List));
    let (status, headers, mut body) = gateway.admin.open(Method::POST, CHECK, &[HOST, LINES]).await;
    assert_eq!((status.as_u16(), headers["content-type"].to_str().unwrap()), (200, LINES.1));
    let mut text = String::new();
    while !text.contains("\"check\":\"permissions\"") {
        let frame = timeout(PATIENCE, body.frame()).await.expect("the rows before the listing come without it");
        text += std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap();
    }
    assert!(!text.contains("\"check\":\"objects\""), "{text}");
    let busy = gateway.admin.send(Method::POST, CHECK, &[HOST]).await;
    assert_eq!((busy.status.as_u16(), busy.code().as_str()), (429, "busy"));
    gate.open();
    text += std::str::from_utf8(&body.collect().await.unwrap().to_bytes()).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 11);
    let plain = gateway.admin.send(Method::POST, CHECK, &[HOST]).await;
    let plain: Value = serde_json::from_slice(plain.bytes()).unwrap();
    let outline =
        |rows: &[Value]| -> Vec<_> { rows.iter().map(|row| (row["check"].clone(), row["state"].clone())).collect() };
    assert_eq!(outline(plain["rows"].as_array().unwrap()), outline(&rows));
    assert_ne!(plain["state"], "fail", "{plain:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_leaves_nothing_running() {
    let gateway = TestGateway::start().await;
    for number in 0..3000 {
        gateway.put(&format!("{number:05}"), Object::bytes("x"));
    }
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::List).skip(1).always());
    let (status, _, mut body) = gateway.admin.open(Method::GET, TASKS, &[HOST]).await;
    assert_eq!(status, 200);
    body.frame().await.unwrap().unwrap();
    gate.reached(1).await;
    let second = gateway.admin.open(Method::POST, CHECK, &[HOST, LINES]).await;
    gate.reached(2).await;
    drop((body, second));
    let upstream = "gsgate_upstream_in_flight";
    until("the listings to end", async || metric(gateway.admin, upstream).await == 0).await;
    gateway.gcs.clear_faults();
    until("a free place", async || gateway.admin.send(Method::POST, CHECK, &[HOST]).await.status == 200).await;
    for _ in 0..5 {
        assert_eq!(gateway.admin.get(TASKS, &[HOST]).await.text().lines().count(), 3002);
    }
}

#[tokio::test]
async fn a_manifest_that_cannot_be_finished_breaks_visibly() {
    let gateway = TestGateway::start().await;
    for number in 0..3000 {
        gateway.put(&format!("{number:05}"), Object::bytes("x"));
    }
    gateway.gcs.inject(Fault::new(Action::status(403)).on(Operation::List).skip(1).always());
    let answer = gateway.admin.get(TASKS, &[HOST]).await;
    assert!(answer.status == 200 && answer.body.is_err(), "{answer:?}");
    gateway.gcs.clear_faults();
    gateway.gcs.inject(Fault::new(Action::status(403)).on(Operation::List).always());
    let answer = gateway.admin.get(TASKS, &[HOST]).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "upstream_failed"));
}

#[tokio::test]
async fn an_empty_manifest_is_one_in_every_format() {
    let gateway = TestGateway::start().await;
    for (format, text) in [("label-studio", "[]\n"), ("labelbox", "[]\n"), ("jsonl", ""), ("txt", "")] {
        let answer = gateway.admin.get(&format!("{TASKS}&format={format}"), &[HOST]).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, text), "{format}");
    }
}

#[tokio::test]
async fn the_manifest_is_the_one_of_the_command() {
    let gcs = Emulator::builder().start().await.unwrap();
    let sections = "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://m.example\"";
    let gateway = Builder::over(gcs).sections(sections).start().await;
    for number in 0..1500 {
        gateway.put(&format!("d/{number:05} ü.jpg"), Object::bytes("x").content_type("image/jpeg"));
    }
    gateway.put("d/b.mp4", Object::bytes("x").content_type("video/mp4"));
    for (flags, query) in [
        (&[][..], ""),
        (&["--format", "csv", "--data-type", "video"], "format=csv&data_type=video"),
        (&["--format", "jsonl", "--data-key", "a", "--data-key", "b"], "format=jsonl&data_key=a&data_key=b"),
        (&["--format", "labelbox", "--start-after", "d/01400 ü.jpg"], "format=labelbox&start_after=d/01400+%C3%BC.jpg"),
        (&["--format", "txt", "--gs-uri", "--since", "2000-01-01"], "format=txt&gs_uri=true&since=2000-01-01"),
        (&["--format", "txt", "--public-url", "http://x.example/y"], "format=txt&public_url=http://x.example/y"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gsgate"));
        command.args(["tasks", "media"]).args(flags).current_dir(gateway.folder.path()).env_clear();
        let said = command.env("GSGATE_GCS__ENDPOINT", gateway.gcs.endpoint()).output().await.unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let answer = gateway.admin.get(&format!("/api/v1/connections/media/tasks?{query}"), &[HOST]).await;
        assert_eq!(answer.status, 200, "{query}: {:?}", answer.body);
        assert!(answer.text() == String::from_utf8(said.stdout).unwrap(), "{query}");
    }
}
