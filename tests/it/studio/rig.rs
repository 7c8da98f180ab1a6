//! The real Label Studio, an emulated bucket, and the binary between them.

use std::process::{Output, Stdio};

use gsgate::emulator::{BucketHandle, Emulator, Object};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::label_studio::{Api, LabelStudio, Reserved};

pub(crate) const BUCKET: &str = "my-bucket";
pub(crate) const URL: &str = "https://media.example.com";
pub(crate) const IMAGES: &str = "<View><Image name=\"img\" value=\"$image\"/><RectangleLabels name=\"l\" toName=\"img\">\
                                 <Label value=\"Car\"/></RectangleLabels></View>";

/// Everything that a test needs.
pub(crate) struct Rig {
    pub(crate) gcs: Emulator,
    pub(crate) folder: TempDir,
    pub(crate) studio: LabelStudio,
    pub(crate) api: Api,
}

/// What a run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Rig {
    /// `None` where there is no Label Studio.
    pub(crate) async fn start() -> Option<Self> {
        // It refuses to send webhooks to addresses like ours unless told so.
        let studio = Reserved::new().await?.start(&[("SSRF_PROTECTION_ENABLED", "false")]).await;
        let (gcs, folder) = (Emulator::builder().start().await.unwrap(), tempfile::tempdir().unwrap());
        gcs.bucket(BUCKET);
        let api = studio.api();
        let rig = Self { gcs, folder, studio, api };
        rig.write("key.json", &rig.gcs.service_account_json().unwrap());
        rig.write("token", rig.api.authorization().strip_prefix("Token ").unwrap());
        rig.configure(&rig.studio.url());
        Some(rig)
    }

    /// Writes the configuration, with Label Studio at this address.
    pub(crate) fn configure(&self, studio: &str) {
        let text = format!(
            "[server]\npublic_url = \"{URL}\"\n[access]\nallow = \"anyone\"\n[gcs]\nendpoint = \"{}\"\n\
             [credentials.default]\nsource = \"file\"\npath = \"key.json\"\n\
             [connections.street]\nuri = \"gs://{BUCKET}/images/\"\n\
             [label_studio]\nurl = \"{studio}\"\ntoken_file = \"token\"\n",
            self.gcs.endpoint()
        );
        self.write("gsgate.toml", &text);
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn bucket(&self) -> BucketHandle {
        self.gcs.bucket(BUCKET)
    }

    /// Puts so many images.
    pub(crate) fn put(&self, count: usize) {
        for number in 0..count {
            self.bucket().put(image(number), Object::bytes("").content_type("image/jpeg"));
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gsgate"));
        command.arg("label-studio").args(arguments).current_dir(self.folder.path());
        command.env_clear().env("HOME", self.folder.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `gsgate label-studio …`
    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().await.unwrap())
    }

    /// How many tasks a project has.
    pub(crate) async fn count(&self, project: u64) -> u64 {
        self.api.get(&format!("/api/projects/{project}/")).await["task_number"].as_u64().unwrap()
    }

    /// What the tasks' field has, in order.
    pub(crate) async fn values(&self, project: u64, key: &str) -> Vec<String> {
        let mut values = Vec::new();
        for page in 1.. {
            let path =
                format!("/api/tasks?project={project}&page_size=2000&page={page}&resolve_uri=false&include=id,data");
            let answer = self.api.call(http::Method::GET, &path, None).await;
            let Some(tasks) = answer.1["tasks"].as_array().filter(|tasks| !tasks.is_empty()) else { break };
            values.extend(tasks.iter().map(|task: &Value| task["data"][key].as_str().unwrap().to_owned()));
        }
        values.sort();
        values
    }
}

pub(crate) fn said(output: Output) -> Said {
    let Output { status, stdout, stderr } = output;
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(!err.contains("panicked"), "{err}");
    Said { code: status.code(), out, err }
}

pub(crate) fn image(number: usize) -> String {
    format!("images/frame {number:07}.jpg")
}

/// `gs://` URIs of the first so many images, in order.
pub(crate) fn uris(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("gs://{BUCKET}/{}", image(number))).collect()
}
