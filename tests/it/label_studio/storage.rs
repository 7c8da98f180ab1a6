//! The gateway as Label Studio's Cloud Storage: its own client lists, reads, signs and writes, and it has no key of Google's.

use gsgate::emulator::{Emulator, Object, Operation};
use gsgate::label_studio::storage::{NewKey, PATH, TOKEN};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{AUDIO, IMAGE, MOVIE, PICTURE, VIDEO, WAVEFORM, gs, put_media, resolve};
use crate::support::browser::Browser;
use crate::support::label_studio::{EMAIL, LabelStudio, PASSWORD, Reserved, sign_in};
use crate::support::{BUCKET, Builder, Client, TestGateway};

/// Label Studio, whose Cloud Storage is the gateway.
struct Scene {
    gateway: TestGateway,
    studio: LabelStudio,
    /// The key file that Label Studio has.
    key: String,
    _folder: TempDir,
}

impl Scene {
    /// `None` where there is no Label Studio.
    async fn set() -> Option<Self> {
        let reserved = Reserved::new().await?;
        let (key, folder) = (NewKey::generate().unwrap(), tempfile::tempdir().unwrap());
        let file = folder.path().join("key.pub");
        std::fs::write(&file, key.public_pem()).unwrap();
        let sections = format!(
            "[cors]\norigins = [\"{}\"]\n[connections.pictures]\nuri = \"gs://{BUCKET}/in/\"\n\
             [connections.notes]\nuri = \"gs://{BUCKET}/notes/\"\n[label_studio.storage]\nkeys = [{:?}]\n\
             connections = [\"pictures\"]\nexport = [\"notes\"]\n",
            reserved.url(),
            file.to_str().unwrap()
        );
        let gateway = Builder::over(Emulator::builder().start().await.unwrap()).sections(&sections).start().await;
        let endpoint = format!("http://{}{PATH}", gateway.client.address);
        let download = format!("{endpoint}/download/storage/v1/b/{{bucket_name}}/o/{{blob_name}}?alt=media");
        let variables =
            [("STORAGE_EMULATOR_HOST", endpoint.as_str()), ("RESOLVER_PROXY_GCS_DOWNLOAD_URL", download.as_str())];
        let studio = reserved.start(&variables).await;
        gateway.bucket().set_cors(json!([]));
        put_media(&gateway, "in/");
        gateway.put("secret.txt", Object::bytes("nobody's business"));
        Some(Self { gateway, studio, key: key.file(&format!("{endpoint}{TOKEN}")).to_string(), _folder: folder })
    }

    /// A project whose tasks Label Studio makes itself, out of the one object of this name.
    async fn synced(&self, config: &str, name: &str, presign: bool) -> (u64, u64) {
        let api = self.studio.api();
        let project = api.project(name, config).await;
        let settings = json!({
            "google_application_credentials": self.key, "prefix": "in", "regex_filter": format!(".*{name}"),
            "presign": presign, "use_blob_urls": true, "recursive_scan": true,
        });
        let storage = api.source_storage(project, BUCKET, settings.clone()).await;
        let mut asked = settings;
        for (key, value) in [("project", json!(project)), ("bucket", json!(BUCKET)), ("id", json!(storage))] {
            asked[key] = value;
        }
        api.post("/api/storages/gcs/validate", &asked).await;
        let synced = api.post(&format!("/api/storages/gcs/{storage}/sync"), &json!({})).await;
        assert_eq!(synced["status"], "completed", "{synced}\n{}", self.studio.log());
        let tasks = api.tasks(project).await;
        assert_eq!(tasks.len(), 1, "{name}");
        (project, tasks[0])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn picture_sound_and_video_show_by_urls_that_label_studio_signs() {
    let Some(scene) = Scene::set().await else { return };
    let Some(mut browser) = Browser::launch().await else { return };
    let mut shown = Vec::new();
    for (name, config, ready) in
        [("crossing.jpg", IMAGE, PICTURE), ("tune.wav", AUDIO, WAVEFORM), ("drive.mp4", VIDEO, MOVIE)]
    {
        let (project, task) = scene.synced(config, name, true).await;
        shown.push((name, project, task, ready));
    }
    let url = scene.studio.url();
    sign_in(&mut browser, &url, EMAIL, PASSWORD).await;
    for (name, project, task, ready) in shown {
        let data = scene.studio.api().get(&format!("/api/tasks/{task}?resolve_uri=false")).await;
        assert_eq!(data["data"]["media"], gs(&format!("in/{name}")), "{data}");
        browser.goto(&format!("{url}/projects/{project}/data?task={task}")).await;
        browser.wait_until(ready).await;
        let path = resolve(task, &gs(&format!("in/{name}")));
        let came =
            format!("fetch('{path}').then((answer) => answer.url.includes('{PATH}/{BUCKET}/in/{name}?X-Goog-'))");
        assert_eq!(browser.evaluate(&came).await, true, "{name} comes by a signed URL of the gateway");
    }
    for operation in [Operation::XmlGet, Operation::Preflight, Operation::Bucket] {
        assert_eq!(scene.gateway.gcs.count(operation), 0, "nobody but the gateway asks: {operation:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_studio_reads_previews_and_exports_through_the_gateway_alone() {
    let Some(scene) = Scene::set().await else { return };
    let api = scene.studio.api();
    let (project, task) = scene.synced(IMAGE, "crossing.jpg", false).await;
    let bare = Client { address: scene.studio.address };
    let authorization = api.authorization();
    let headers = [("authorization", authorization.as_str())];
    let picture = bare.get(&resolve(task, &gs("in/crossing.jpg")), &headers).await;
    let stored = scene.gateway.bucket().object("in/crossing.jpg").unwrap();
    assert_eq!(
        (picture.status.as_u16(), picture.bytes() == &stored.bytes[..]),
        (200, true),
        "by Label Studio's own proxy"
    );
    for outside in ["secret.txt", "in/../secret.txt", "notes/../secret.txt"] {
        let answer = bare.get(&resolve(task, &gs(outside)), &headers).await;
        assert!(answer.status != 200 && !answer.text().contains("business"), "{outside}");
    }
    let preview = json!({
        "project": project, "bucket": BUCKET, "prefix": "", "use_blob_urls": true, "recursive_scan": true,
        "google_application_credentials": scene.key,
    });
    let files = api.post("/api/storages/gcs/files", &preview).await["files"].clone();
    let keys: Vec<&str> = files.as_array().unwrap().iter().filter_map(|file| file["key"].as_str()).collect();
    assert_eq!(keys, ["in/crossing.jpg", "in/drive.mp4", "in/tune.wav"], "the whole bucket is what is served of it");

    let target = json!({
        "project": project, "title": "target", "bucket": BUCKET, "prefix": "notes/done",
        "google_application_credentials": scene.key,
    });
    let storage = api.post("/api/storages/export/gcs", &target).await["id"].as_u64().unwrap();
    let choice =
        json!([{ "from_name": "kind", "to_name": "shown", "type": "choices", "value": { "choices": ["day"] } }]);
    let made = api.post(&format!("/api/tasks/{task}/annotations/"), &json!({ "result": choice })).await;
    let id = made["id"].as_u64().unwrap();
    let written = |id: u64| -> Value {
        let object = scene.gateway.bucket().object(&format!("notes/done/{id}"));
        let object = object.unwrap_or_else(|| panic!("{:?}\n{}", scene.gateway.bucket().names(), scene.studio.log()));
        serde_json::from_slice(&object.bytes).unwrap()
    };
    assert_eq!(written(id)["result"][0]["value"]["choices"], json!(["day"]));
    assert_eq!(written(id)["task"]["data"]["media"], gs("in/crossing.jpg"));
    let changed = json!({ "result": choice, "lead_time": 42.5 });
    let (status, _) = api.call(Method::PATCH, &format!("/api/annotations/{id}/"), Some(&changed)).await;
    assert_eq!(status, 200);
    assert_eq!(written(id)["lead_time"], 42.5, "the newest version is there");
    scene.gateway.bucket().remove(&format!("notes/done/{id}"));
    api.post(&format!("/api/storages/export/gcs/{storage}/sync"), &json!({})).await;
    assert_eq!(written(id)["id"], id, "a sync writes what is missing");
    let elsewhere = json!({
        "project": project, "title": "elsewhere", "bucket": BUCKET, "prefix": "in",
        "google_application_credentials": scene.key,
    });
    api.call(Method::POST, "/api/storages/export/gcs", Some(&elsewhere)).await;
    api.call(Method::POST, &format!("/api/tasks/{task}/annotations/"), Some(&json!({ "result": choice }))).await;
    let names = scene.gateway.bucket().names();
    assert!(names.iter().filter(|name| name.starts_with("in/")).count() == 3, "{names:?}");
}
