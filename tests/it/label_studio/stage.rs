//! Everything in its place: GCS, the gateway in front of Label Studio, and Label Studio with a storage of its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use gsgate::demo::SAMPLES;
use gsgate::emulator::{Emulator, Object};
use serde_json::{Value, json};

use crate::support::label_studio::{Api, LabelStudio, Reserved};
use crate::support::{BUCKET, Builder, Client, TestGateway};

pub(super) const IMAGE: &str = r#"<View><Image name="shown" value="$media"/>
<Choices name="kind" toName="shown"><Choice value="day"/></Choices></View>"#;
pub(super) const AUDIO: &str = r#"<View><Labels name="kind" toName="shown"><Label value="noise"/></Labels>
<Audio name="shown" value="$media"/></View>"#;
pub(super) const VIDEO: &str = r#"<View><Video name="shown" value="$media"/>
<Choices name="kind" toName="shown"><Choice value="day"/></Choices></View>"#;

/// When an annotator can begin, for each kind of media.
pub(super) const PICTURE: &str =
    "[...document.images].some((image) => image.src.startsWith('blob:') && image.naturalWidth === 560)";
pub(super) const WAVEFORM: &str = "[...document.querySelectorAll('canvas')].some((canvas) => { const pen = canvas.width && \
    canvas.getContext('2d'); if (!pen) return false; const dots = pen.getImageData(0, 0, canvas.width, canvas.height); \
    return new Set(new Uint32Array(dots.data.buffer)).size > 4; }) && \
    [...document.querySelectorAll('audio')].every((sound) => sound.readyState >= 2)";
pub(super) const MOVIE: &str =
    "[...document.querySelectorAll('video')].some((movie) => movie.readyState >= 2 && movie.videoWidth > 0)";

/// Larger than what a browser reads at once, with the index behind it.
const PADDING: usize = 30 * 1024 * 1024;

/// The scene of a test.
pub(super) struct Stage {
    pub(super) gateway: TestGateway,
    pub(super) studio: LabelStudio,
}

impl Stage {
    /// `None` where there is no Label Studio.
    pub(super) async fn set(gcs: Emulator, keys: &str) -> Option<Self> {
        Self::set_with(gcs, keys, &[]).await
    }

    /// The same, with these further variables in Label Studio's environment.
    pub(super) async fn set_with(gcs: Emulator, keys: &str, variables: &[(&str, &str)]) -> Option<Self> {
        let reserved = Reserved::new().await?;
        let section = format!("[label_studio]\nupstream = \"{}\"\n{keys}", reserved.url());
        let endpoint = gcs.endpoint();
        let gateway = Builder::over(gcs).sections(&section).start().await;
        let download = format!("{endpoint}/download/storage/v1/b/{{bucket_name}}/o/{{blob_name}}?alt=media");
        let mut environment =
            vec![("STORAGE_EMULATOR_HOST", endpoint.as_str()), ("RESOLVER_PROXY_GCS_DOWNLOAD_URL", download.as_str())];
        environment.extend(variables);
        let studio = reserved.start(&environment).await;
        gateway.bucket().set_cors(json!([]));
        Some(Self { gateway, studio })
    }

    /// The address of the gateway, which is Label Studio's for browsers.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.gateway.client.address)
    }

    /// Label Studio without the gateway.
    pub(super) fn bare(&self) -> Client {
        Client { address: self.studio.address }
    }

    /// A project with a storage that streams through Label Studio, and one task for each of `media`.
    pub(super) async fn project(&self, config: &str, media: &[&str]) -> (u64, Vec<u64>) {
        let api = self.studio.api();
        let project = api.project("a project", config).await;
        self.storage(&api, project, json!({ "presign": false })).await;
        let tasks: Vec<Value> = media.iter().map(|name| json!({ "media": gs(name) })).collect();
        api.import(project, &Value::Array(tasks)).await;
        (project, api.tasks(project).await)
    }

    pub(super) async fn storage(&self, api: &Api, project: u64, settings: Value) -> u64 {
        let mut settings = settings;
        settings["google_application_credentials"] = self.gateway.gcs.service_account_json().unwrap().into();
        api.source_storage(project, BUCKET, settings).await
    }

    /// Puts a picture, a sound and a long video.
    pub(super) fn put_media(&self) {
        put_media(&self.gateway, "");
    }
}

/// Puts a picture, a sound and a long video under this prefix.
pub(super) fn put_media(gateway: &TestGateway, prefix: &str) {
    for name in ["crossing.jpg", "tune.wav", "drive.mp4"] {
        put_sample(gateway, name, &format!("{prefix}{name}"));
    }
}

/// Puts one of the samples under a name; the video gets long, with its index at the end.
pub(super) fn put_sample(gateway: &TestGateway, sample: &str, name: &str) {
    let sample = SAMPLES.iter().find(|known| known.name.ends_with(sample)).unwrap();
    let is_video = sample.content_type == "video/mp4";
    let bytes = if is_video { long_video(sample.bytes) } else { sample.bytes.to_vec() };
    gateway.put(name, Object::bytes(bytes).content_type(sample.content_type));
}

/// `gs://…` of an object.
pub(super) fn gs(name: &str) -> String {
    format!("gs://{BUCKET}/{name}")
}

/// The path at which a URI is resolved for a task.
pub(super) fn resolve(task: u64, uri: &str) -> String {
    format!("/tasks/{task}/resolve/?fileuri={}", URL_SAFE.encode(uri))
}

/// The same video with a large box that players skip before its index.
fn long_video(video: &[u8]) -> Vec<u8> {
    let index = video.windows(4).rposition(|name| name == b"moov").unwrap() - 4;
    let free = [&u32::try_from(PADDING + 8).unwrap().to_be_bytes()[..], b"free", &vec![0; PADDING]].concat();
    [&video[..index], &free, &video[index..]].concat()
}
