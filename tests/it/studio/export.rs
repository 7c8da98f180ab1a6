//! Annotations that reach the bucket: by webhook, by sweep, by command, and through kills.

use std::collections::BTreeMap;

use gsgate::emulator::{Action, Emulator, Fault, Gate, Operation};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use super::rig::{BUCKET, IMAGES, Rig};
use crate::support::{Binary, Client};

pub(super) const SECRET: &str = "correct-horse-battery-staple";
const PATIENCE: Duration = Duration::from_mins(2);

/// `[label_studio]` for a project; nothing is swept but at the start.
fn sections(rig: &Rig, project: u64, more: &str) -> String {
    rig.write("secret", SECRET);
    let folder = rig.folder.path().display();
    format!(
        "[connections.notes]\nuri = \"gs://{BUCKET}/notes/\"\n\
         [label_studio]\nurl = \"{}\"\ntoken_file = \"{folder}/token\"\n\
         [label_studio.export]\nconnection = \"notes\"\nprojects = [{project}]\nsecret_file = \"{folder}/secret\"\n\
         sweep = \"1h\"\n{more}",
        rig.studio.url()
    )
}

fn result(x: u32) -> Value {
    json!([{ "id": "a", "type": "rectanglelabels", "from_name": "l", "to_name": "img",
             "value": { "x": x, "y": 1, "width": 5, "height": 5, "rectanglelabels": ["Car"] } }])
}

/// A project with so many tasks.
async fn project(rig: &Rig, tasks: usize) -> (u64, Vec<u64>) {
    let project = rig.api.project("notes", IMAGES).await;
    let data: Value =
        (0..tasks).map(|n| json!({ "data": { "image": format!("gs://{BUCKET}/images/{n}.jpg") } })).collect();
    rig.api.import(project, &data).await;
    (project, rig.api.tasks(project).await)
}

async fn annotate(rig: &Rig, task: u64, x: u32) -> u64 {
    let made = rig.api.post(&format!("/api/tasks/{task}/annotations/"), &json!({ "result": result(x) })).await;
    made["id"].as_u64().unwrap()
}

async fn change(rig: &Rig, annotation: u64, x: u32) {
    let path = format!("/api/annotations/{annotation}/");
    let (status, answer) = rig.api.call(Method::PATCH, &path, Some(&json!({ "result": result(x) }))).await;
    assert!(status.is_success(), "{answer}");
}

/// Tells Label Studio to send events to a gateway.
async fn hook(rig: &Rig, project: u64, gateway: &Client) -> u64 {
    let url = format!("http://{}/-/label-studio/webhook", gateway.address);
    let hook = json!({ "url": url, "project": project, "headers": { "Authorization": format!("Bearer {SECRET}") } });
    rig.api.post("/api/webhooks/", &hook).await["id"].as_u64().unwrap()
}

/// Where the x of each annotation's box is, by the objects' names.
fn stored(gcs: &Emulator) -> BTreeMap<String, u64> {
    let bucket = gcs.bucket(BUCKET);
    let names = bucket.names().into_iter().filter(|name| name.starts_with("notes/"));
    names
        .map(|name| {
            let held = bucket.object(&name).unwrap();
            assert_eq!(held.content_type.as_deref(), Some("application/json"));
            let json: Value = serde_json::from_slice(&held.bytes).unwrap();
            assert!(json["task"]["data"]["image"].as_str().unwrap().starts_with("gs://"), "{json}");
            (name, json["result"][0]["value"]["x"].as_u64().unwrap())
        })
        .collect()
}

async fn eventually(gcs: &Emulator, expected: &BTreeMap<String, u64>) {
    let wait = async {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        while stored(gcs) != *expected {
            looks.tick().await;
        }
    };
    let met = timeout(PATIENCE, wait).await;
    assert!(met.is_ok(), "{:?} in place of {expected:?}", stored(gcs));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_annotators_do_is_in_the_bucket() {
    let Some(rig) = Rig::start().await else { return };
    let (id, tasks) = project(&rig, 2).await;
    let gateway = Binary::start(rig.gcs.clone(), &sections(&rig, id, "can_delete = true\n")).await;
    hook(&rig, id, &gateway.client).await;
    let first = annotate(&rig, tasks[0], 1).await;
    let second = annotate(&rig, tasks[1], 2).await;
    let name = |id: u64| format!("notes/{id}.json");
    eventually(&rig.gcs, &[(name(first), 1), (name(second), 2)].into()).await;
    change(&rig, first, 7).await;
    eventually(&rig.gcs, &[(name(first), 7), (name(second), 2)].into()).await;
    let (status, _) = rig.api.call(Method::DELETE, &format!("/api/annotations/{second}/"), None).await;
    assert!(status.is_success());
    eventually(&rig.gcs, &[(name(first), 7)].into()).await;
    // An event from before the deletion, come late: nothing comes back.
    let late =
        json!({ "action": "ANNOTATION_UPDATED", "annotation": { "id": second, "task": tasks[1], "project": id } });
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/-/label-studio/webhook", gateway.client.address);
    let answer = http.post(&url).bearer_auth(SECRET).json(&late).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(stored(&rig.gcs), [(name(first), 7)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_to_many_at_once_is_in_the_bucket() {
    const MANY: usize = 12;
    let Some(rig) = Rig::start().await else { return };
    let (id, tasks) = project(&rig, MANY).await;
    let gateway = Binary::start(rig.gcs.clone(), &sections(&rig, id, "can_delete = true\n")).await;
    hook(&rig, id, &gateway.client).await;
    for task in &tasks {
        rig.api.post("/api/predictions/", &json!({ "task": task, "result": result(3) })).await;
    }
    let all = json!({ "selectedItems": { "all": true, "excluded": [] } });
    let act = |action: &str| {
        let path = format!("/api/dm/actions?id={action}&project={id}");
        let (rig, all) = (&rig, &all);
        async move { rig.api.post(&path, all).await }
    };
    // Each is one event, with all annotations in it: ANNOTATIONS_CREATED and ANNOTATIONS_DELETED.
    act("predictions_to_annotations").await;
    let page = rig.api.get(&format!("/api/tasks?project={id}&fields=all")).await;
    let ids = page["tasks"].as_array().unwrap().iter().map(|task| task["annotations"][0]["id"].as_u64().unwrap());
    let expected: BTreeMap<String, u64> = ids.map(|id| (format!("notes/{id}.json"), 3)).collect();
    assert_eq!(expected.len(), MANY);
    eventually(&rig.gcs, &expected).await;
    act("delete_tasks_annotations").await;
    eventually(&rig.gcs, &BTreeMap::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_fifty_times_every_annotation_is_there_in_its_newest_version() {
    let Some(rig) = Rig::start().await else { return };
    let (id, tasks) = project(&rig, 50).await;
    let mut expected = BTreeMap::new();
    let mut annotations = Vec::new();
    let (mut held_back, mut hook_id) = (0, None);
    for round in 0..50_u32 {
        let gateway = Binary::start(rig.gcs.clone(), &sections(&rig, id, "")).await;
        eventually(&rig.gcs, &expected).await;
        if let Some(old) = hook_id {
            rig.api.call(Method::DELETE, &format!("/api/webhooks/{old}/"), None).await;
        }
        hook_id = Some(hook(&rig, id, &gateway.client).await);
        // GCS holds the store back, so that the kill comes between the event and it.
        let gate = Gate::new();
        rig.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::Upload).always());
        let annotation = if round % 2 == 0 || annotations.is_empty() {
            let made = annotate(&rig, tasks[round as usize], round).await;
            annotations.push(made);
            made
        } else {
            let old = annotations[annotations.len() - 1];
            change(&rig, old, round).await;
            old
        };
        timeout(PATIENCE, gate.reached(1)).await.expect("the event arrives, and the store begins");
        assert_eq!(stored(&rig.gcs), expected, "nothing is stored yet");
        held_back += 1;
        gateway.signal("KILL").await;
        drop(gateway);
        rig.gcs.clear_faults();
        rig.gcs.kill().await;
        rig.gcs.start_again().await.unwrap();
        expected.insert(format!("notes/{annotation}.json"), u64::from(round));
    }
    let _gateway = Binary::start(rig.gcs.clone(), &sections(&rig, id, "")).await;
    eventually(&rig.gcs, &expected).await;
    println!("{held_back} kills between the event and the store; {} annotations, all newest", expected.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_writes_all_once_and_says_when_there_is_nothing() {
    let Some(rig) = Rig::start().await else { return };
    let (id, tasks) = project(&rig, 3).await;
    let text = std::fs::read_to_string(rig.folder.path().join("gsgate.toml")).unwrap();
    let text = text.split("[label_studio]").next().unwrap().to_owned() + &sections(&rig, id, "can_delete = true\n");
    rig.write("gsgate.toml", &text);
    let project = id.to_string();
    let run = |more: &'static [&'static str]| {
        let rig = &rig;
        let project = project.clone();
        async move {
            let mut arguments = vec!["export", "--project", &project];
            arguments.extend(more);
            let said = rig.run(&arguments).await;
            assert_eq!(said.code, Some(0), "{}", said.err);
            said.err
        }
    };
    assert!(run(&[]).await.contains("has no annotations; nothing was written"));
    let first = annotate(&rig, tasks[0], 1).await;
    annotate(&rig, tasks[1], 2).await;
    assert!(run(&["--statuses", "ground-truth,skipped"]).await.contains("none of the 2 annotations"));
    assert!(stored(&rig.gcs).is_empty());
    assert!(run(&["--statuses", "submitted"]).await.contains("2 annotations written, 0 were there already"));
    assert!(run(&[]).await.contains("0 annotations written, 2 were there already"));
    rig.api.call(Method::DELETE, &format!("/api/annotations/{first}/"), None).await;
    assert!(run(&[]).await.contains("1 objects deleted"));
    assert_eq!(stored(&rig.gcs).len(), 1);
    // What somebody else has put there is neither replaced nor deleted.
    rig.gcs.bucket(BUCKET).put("notes/999999.json", gsgate::emulator::Object::bytes("{}"));
    let said = rig.run(&["export", "--project", &project]).await;
    assert!(said.err.contains("was not written by gsgate"), "{}", said.err);
    assert!(rig.gcs.bucket(BUCKET).object("notes/999999.json").is_some());
}
