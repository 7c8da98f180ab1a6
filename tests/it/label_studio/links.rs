//! Links in tasks: an imported manifest shows pictures, sound and video to whoever has it, and nothing without them.

use gsgate::demo::SAMPLES;
use gsgate::emulator::Object;
use serde_json::json;

use crate::faults::wire::{metric, until};
use crate::support::TestGateway;
use crate::support::browser::Browser;
use crate::support::label_studio::{EMAIL, LabelStudio, PASSWORD, manifest, sign_in};

const CONFIG: &str = r#"<View><Image name="picture" value="$image"/><Audio name="sound" value="$audio"/>
<Video name="film" value="$video"/>
<Choices name="kind" toName="picture"><Choice value="day"/><Choice value="night"/></Choices></View>"#;
/// What shows that each kind of media is there; pictures are fetched by a script and shown from memory.
const SHOWN: [&str; 3] = [
    "[...document.images].some((image) => image.src.startsWith('blob:') && image.naturalWidth > 1)",
    "[...document.querySelectorAll('audio')].some((sound) => sound.readyState > 0 && sound.duration > 1)",
    "[...document.querySelectorAll('video')].some((film) => film.readyState > 1 && film.videoWidth > 1)",
];
const REFUSED: &str = "gsgate_requests_total{connection=\"media\",delivery=\"none\",reason=\"link-missing\",status=\"4xx\",cache=\"none\"}";

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_with_links_shows_everything_and_one_without_shows_nothing() {
    let Some(studio) = LabelStudio::start().await else { return };
    let Some(mut browser) = Browser::launch().await else { return };
    let keys = tempfile::tempdir().unwrap();
    gsgate::gateway::links::new_key(&keys.path().join("link.key")).unwrap();
    let key = keys.path().join("link.key");
    let sections = format!(
        "[cors]\norigins = [\"{}\"]\n[links]\nkeys = [{{ id = \"k1\", file = '{}' }}]",
        studio.url(),
        key.display()
    );
    let connection = "delivery = \"proxy\"\naccess = \"link\"";
    let gateway = TestGateway::builder().await.connection(connection).sections(&sections).start().await;
    gateway.bucket().set_cors(json!([]));
    for sample in SAMPLES {
        let picked = ["images/what is this?.png", "sound/tune.wav", "video/a drive.mp4"].contains(&sample.name);
        if picked {
            gateway.put(sample.name, Object::bytes(sample.bytes).content_type(sample.content_type));
        }
    }
    let uri = |name: &str| format!("gs://{}/{name}", crate::support::BUCKET);
    let task = json!([{ "data": { "image": uri("images/what is this?.png"), "audio": uri("sound/tune.wav"),
        "video": uri("video/a drive.mp4") } }]);
    gateway.put("tasks.json", Object::bytes(task.to_string()).content_type("application/json"));

    let api = studio.api();
    let linked = manifest(&gateway, &["--import", "json", "--link", "--expires", "1h"]).await;
    let plain = manifest(&gateway, &["--import", "json"]).await;
    assert!(linked[0]["data"]["video"].as_str().unwrap().contains("?sig="), "{linked}");
    let mut projects = Vec::new();
    for tasks in [&linked, &plain] {
        let project = api.project("media", CONFIG).await;
        assert_eq!(api.import(project, tasks).await["task_count"], 1);
        projects.push((project, api.tasks(project).await[0]));
    }
    sign_in(&mut browser, &studio.url(), EMAIL, PASSWORD).await;
    let page = |(project, task): (u64, u64)| format!("{}/projects/{project}/data?task={task}", studio.url());

    browser.goto(&page(projects[0])).await;
    for shown in SHOWN {
        browser.wait_until(shown).await;
    }
    assert_eq!(metric(gateway.admin, REFUSED).await, 0, "every request had its link");

    gateway.gcs.clear_requests();
    browser.goto(&page(projects[1])).await;
    for (key, count) in [("image", 1), ("audio", 2), ("video", 3)] {
        until(key, async || metric(gateway.admin, REFUSED).await >= count).await;
        let url = plain[0]["data"][key].as_str().unwrap();
        let read =
            format!("fetch({url:?}).then(async (answer) => answer.status + ' ' + (await answer.json()).error.code)");
        assert_eq!(browser.evaluate(&read).await, "403 link_invalid", "{key}: a page may read why");
    }
    let anything = SHOWN.join(" || ");
    assert_eq!(browser.evaluate(&anything).await, false, "{:#?}", browser.console());
    assert_eq!(gateway.gcs.requests().len(), 0, "no byte of anything");
}
