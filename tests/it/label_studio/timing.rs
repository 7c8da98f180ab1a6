//! How soon an annotator has the media, each of the three ways, beside Label Studio's own proxy: in the same browser and
//! the same run, with storage that is far away.

use std::time::Duration;

use gsgate::emulator::Emulator;
use gsgate::label_studio::storage::{NewKey, PATH, TOKEN};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{AUDIO, IMAGE, MOVIE, PICTURE, Stage, VIDEO, WAVEFORM, gs, put_sample};
use crate::support::browser::Browser;
use crate::support::label_studio::{EMAIL, LabelStudio, PASSWORD, Reserved, sign_in};
use crate::support::{BUCKET, Builder, TestGateway};

/// As far away as storage is from a good office.
const AWAY: Duration = Duration::from_millis(40);
const ROUNDS: usize = 5;

/// Notes when a video has its first frame.
const WATCH: &str = "document.addEventListener('loadeddata', ({ target }) => { if (target.tagName === 'VIDEO') \
    window.movieReady = window.movieReady || performance.now(); }, true); \
    performance.setResourceTimingBufferSize(5000);";

/// What the page asked for by either kind of URL, and when it began to; when each answer was whole.
const ASKED: &str = "const asked = performance.getEntriesByType('resource')\
    .filter(({ name, responseEnd }) => responseEnd && (name.includes('/resolve/') || name.includes(':PORT/media/'))); \
    const first = Math.min(...asked.map((entry) => entry.startTime)); \
    const whole = asked.map((entry) => entry.responseEnd);";

/// A kind of media, and when it is ready.
struct Kind {
    sample: &'static str,
    config: &'static str,
    /// When the page shows it.
    shown: &'static str,
    /// When there is all that showing it takes; what the page's scripts then do with it is theirs.
    ready: &'static str,
}

const KINDS: [Kind; 3] = [
    // The list and the editor each ask for the picture; whoever is first has it.
    Kind { sample: "crossing.jpg", config: IMAGE, shown: PICTURE, ready: "Math.min(...whole)" },
    // The player asks, and the waveform.
    Kind { sample: "tune.wav", config: AUDIO, shown: WAVEFORM, ready: "Math.max(...whole)" },
    // It is not read to its end.
    Kind { sample: "drive.mp4", config: VIDEO, shown: MOVIE, ready: "window.movieReady" },
];

/// Whose page it is, and how it comes to its media.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Own,
    Urls,
    Front,
    Endpoint,
}

const WAYS: [(Way, &str); 4] = [
    (Way::Own, "Label Studio"),
    (Way::Urls, "1 URLs in tasks"),
    (Way::Front, "2 in front"),
    (Way::Endpoint, "3 GCS endpoint"),
];

/// One bucket, two gateways, two Label Studios: one that knows the bucket, one that knows a gateway.
struct Scene {
    /// The first, behind the first gateway.
    stage: Stage,
    gateway: TestGateway,
    second: LabelStudio,
    /// What the second one has in place of a credential.
    key: String,
    _folder: TempDir,
}

impl Scene {
    /// `None` where there is no Label Studio.
    async fn set() -> Option<Self> {
        let gcs = Emulator::builder().latency(AWAY).start().await.unwrap();
        let reserved = Reserved::new().await?;
        let cache = "[cache]\nmemory = \"64 MiB\"";
        let stage = Stage::set(gcs.clone(), cache).await?;
        let (key, folder) = (NewKey::generate().unwrap(), tempfile::tempdir().unwrap());
        let file = folder.path().join("key.pub");
        std::fs::write(&file, key.public_pem()).unwrap();
        let sections = format!(
            "{cache}\n[cors]\norigins = [{:?}, {:?}]\n[label_studio.storage]\nkeys = [{:?}]\nconnections = [\"media\"]",
            stage.studio.url(),
            reserved.url(),
            file.to_str().unwrap()
        );
        let gateway = Builder::over(gcs).sections(&sections).start().await;
        let endpoint = format!("http://{}{PATH}", gateway.client.address);
        let second = reserved.start(&[("STORAGE_EMULATOR_HOST", &endpoint)]).await;
        Some(Self { stage, gateway, second, key: key.file(&format!("{endpoint}{TOKEN}")).to_string(), _folder: folder })
    }

    /// The page of a new task in a new project.
    async fn page(&self, way: Way, config: &str, object: &str) -> String {
        let (origin, (project, tasks)) = match way {
            Way::Own => (self.stage.studio.url(), self.stage.project(config, &[object]).await),
            Way::Front => (self.stage.url(), self.stage.project(config, &[object]).await),
            Way::Urls => {
                let url = format!("http://{}/media/{object}", self.gateway.client.address);
                (self.stage.studio.url(), project(&self.stage.studio, config, &url, None).await)
            }
            Way::Endpoint => {
                let storage = json!({ "google_application_credentials": self.key, "presign": true });
                (self.second.url(), project(&self.second, config, &gs(object), Some(storage)).await)
            }
        };
        format!("{origin}/projects/{project}/data?task={}", tasks[0])
    }
}

/// A project with one task, and with a storage if there are settings for one.
async fn project(studio: &LabelStudio, config: &str, media: &str, storage: Option<Value>) -> (u64, Vec<u64>) {
    let api = studio.api();
    let project = api.project("a project", config).await;
    if let Some(settings) = storage {
        api.source_storage(project, BUCKET, settings).await;
    }
    api.import(project, &json!([{ "media": media }])).await;
    (project, api.tasks(project).await)
}

/// In milliseconds from the first request for the media, for each round.
#[derive(Default)]
struct Spans {
    ready: Vec<f64>,
    shown: Vec<f64>,
    /// How long Label Studio takes to say where the media is, where it does no more.
    redirect: Vec<f64>,
    requests: f64,
}

impl Spans {
    fn add(&mut self, spans: &Value, redirects: &[f64]) {
        let at = |index: usize| spans[index].as_f64().unwrap();
        self.ready.push(at(0));
        self.shown.push(at(1));
        self.redirect.push(redirects.first().copied().unwrap_or_default());
        self.requests = at(2);
    }

    /// The time that is not Label Studio's own.
    fn beyond_redirect(&self) -> Vec<f64> {
        self.ready.iter().zip(&self.redirect).map(|(ready, redirect)| ready - redirect).collect()
    }
}

fn median(spans: &[f64]) -> f64 {
    let mut spans = spans.to_vec();
    spans.sort_by(f64::total_cmp);
    spans[spans.len() / 2]
}

/// One kind of media by each of the ways, in turns.
async fn measured(scene: &Scene, browser: &mut Browser, kind: &Kind) -> [Spans; WAYS.len()] {
    let Kind { sample, config, shown, ready } = kind;
    let asked = ASKED.replace("PORT", &scene.gateway.client.address.port().to_string());
    let spans = format!(
        "(() => {{ const now = performance.now(); {asked} return [{ready} - first, now - first, asked.length]; }})()"
    );
    let mut seen: [Spans; WAYS.len()] = Default::default();
    for round in 0..ROUNDS {
        for (place, (way, _)) in WAYS.into_iter().enumerate() {
            // An object and a task of its own, which nobody has seen or kept.
            let object = format!("{round}-{place}-{sample}");
            put_sample(&scene.gateway, sample, &object);
            browser.goto(&scene.page(way, config, &object).await).await;
            browser.wait_until(shown).await;
            let spans = browser.evaluate(&spans).await;
            let redirects = if way == Way::Endpoint { browser.redirects() } else { &[] };
            seen[place].add(&spans, redirects);
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn media_is_there_in_half_the_time_of_label_studios_own_proxy() {
    let Some(scene) = Scene::set().await else { return };
    let Some(mut browser) = Browser::launch().await else { return };
    browser.without_cache().await;
    browser.begin_pages_with(WATCH).await;
    // One session is good for all: they are one host with one key.
    sign_in(&mut browser, &scene.stage.url(), EMAIL, PASSWORD).await;
    let mut late = Vec::new();
    for kind in KINDS {
        let seen = measured(&scene, &mut browser, &kind).await;
        let own = median(&seen[0].ready);
        for ((way, who), spans) in WAYS.iter().zip(&seen) {
            let (sample, there, redirect) = (kind.sample, median(&spans.ready), median(&spans.redirect));
            println!(
                "{sample:<13} {who:<16} ready {there:>4.0} ms, {:.2}; a redirect {redirect:>3.0} ms; shown {:>4.0} ms; \
                 {} requests; rounds {:.0?}",
                there / own,
                median(&spans.shown),
                spans.requests,
                spans.ready
            );
            // Before one picture comes by a signed URL, Label Studio takes so long to redirect that it decides alone.
            let is_redirected = *way == Way::Endpoint && kind.sample == KINDS[0].sample;
            let counted = if is_redirected { median(&spans.beyond_redirect()) } else { there };
            if *way != Way::Own && counted > own / 2.0 {
                late.push(format!("{sample} {who}: {counted:.0} of {own:.0} ms"));
            }
        }
    }
    let questions = scene.stage.studio.log().matches("?resolve_uri=false HTTP").count();
    println!("the gateway asked Label Studio {questions} times what a task holds");
    assert!(late.is_empty(), "{late:#?}");
}
