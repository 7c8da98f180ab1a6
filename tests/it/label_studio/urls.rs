//! The gateway's URLs in tasks: a manifest made by `gsgate tasks`, imported, and looked at in the labelling page.

use gsgate::demo::SAMPLES;
use gsgate::emulator::Object;
use serde_json::json;

use crate::support::TestGateway;
use crate::support::browser::Browser;
use crate::support::label_studio::{EMAIL, LabelStudio, PASSWORD, manifest, sign_in};

const CONFIG: &str = r#"<View><Image name="picture" value="$image"/>
<Choices name="kind" toName="picture"><Choice value="day"/><Choice value="night"/></Choices></View>"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_manifest_shows_its_images_with_the_buckets_cors_empty() {
    let Some(studio) = LabelStudio::start().await else { return };
    let Some(mut browser) = Browser::launch().await else { return };
    let sections = format!("[cors]\norigins = [\"{}\"]", studio.url());
    let gateway = TestGateway::builder().await.sections(&sections).start().await;
    gateway.bucket().set_cors(json!([]));
    let images = SAMPLES.iter().filter(|sample| sample.name.starts_with("images/")).take(4);
    for sample in images {
        gateway.put(sample.name, Object::bytes(sample.bytes).content_type(sample.content_type));
    }

    let manifest = manifest(&gateway, &["--format", "label-studio"]).await;
    assert_eq!(manifest.as_array().map(Vec::len), Some(4));
    let api = studio.api();
    let project = api.project("pictures", CONFIG).await;
    assert_eq!(api.import(project, &manifest).await["task_count"], 4);

    sign_in(&mut browser, &studio.url(), EMAIL, PASSWORD).await;
    for task in api.tasks(project).await {
        browser.goto(&format!("{}/projects/{project}/data?task={task}", studio.url())).await;
        // The picture is fetched by a script, which only CORS lets read it, and shown from memory.
        // Label Studio draws the page anew now and then, so that one look has to be enough.
        let picture = "[...document.images].some((image) => image.src.startsWith('blob:') && image.naturalWidth === 560 \
                       && image.naturalHeight === 350)";
        browser.wait_until(picture).await;
    }
    let asked = gateway.gcs.requests();
    assert!(asked.iter().all(|request| !request.headers.contains_key("origin")), "only the gateway reads the bucket");
}
