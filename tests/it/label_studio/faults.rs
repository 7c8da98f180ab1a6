//! What Label Studio's own proxy answers, and what the gateway answers in its place.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use gsgate::emulator::{Emulator, Object};
use serde_json::json;

use crate::support::Client;
use crate::support::label_studio::{LabelStudio, Reserved};

const CONFIG: &str = r#"<View><Image name="picture" value="$image"/>
<Choices name="kind" toName="picture"><Choice value="day"/></Choices></View>"#;

/// Label Studio with the emulator as its GCS.
async fn studio_over(gcs: &Emulator) -> Option<LabelStudio> {
    let endpoint = gcs.endpoint();
    let download = format!("{endpoint}/download/storage/v1/b/{{bucket_name}}/o/{{blob_name}}?alt=media");
    let environment =
        [("STORAGE_EMULATOR_HOST", endpoint.as_str()), ("RESOLVER_PROXY_GCS_DOWNLOAD_URL", download.as_str())];
    Some(Reserved::new().await?.start(&environment).await)
}

/// The path at which Label Studio resolves a URI for a task.
fn resolve(task: u64, uri: &str) -> String {
    format!("/tasks/{task}/resolve/?fileuri={}", URL_SAFE.encode(uri))
}

#[tokio::test(flavor = "multi_thread")]
async fn label_studio_lets_a_stranger_read_what_no_task_names() {
    let gcs = Emulator::builder().start().await.unwrap();
    let Some(studio) = studio_over(&gcs).await else { return };
    gcs.bucket("pictures").put("in/a.jpg", Object::bytes(vec![1; 200]).content_type("image/jpeg"));
    gcs.bucket("pictures").put("secret.txt", Object::bytes("nobody's business").content_type("text/plain"));
    let api = studio.api();
    let project = api.project("pictures", CONFIG).await;
    let key = gcs.service_account_json().unwrap();
    let storage = json!({ "prefix": "in", "presign": false, "google_application_credentials": key });
    api.source_storage(project, "pictures", storage).await;
    api.import(project, &json!([{ "image": "gs://pictures/in/a.jpg" }])).await;
    let task = api.tasks(project).await[0];

    let stranger = api.sign_up("stranger@example.com", "whoever I may be").await;
    let own = Client { address: studio.address };
    let path = resolve(task, "gs://pictures/secret.txt");
    let answer = own.get(&path, &[("cookie", &stranger.cookies)]).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "nobody's business"), "{}", studio.log());
    assert_eq!(own.get(&path, &[]).await.status, 401);
}
