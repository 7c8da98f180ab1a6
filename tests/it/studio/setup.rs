//! `gsgate label-studio setup` against the real Label Studio: what is missing, and when nothing is.

use serde_json::json;

use super::export::SECRET;
use super::rig::{IMAGES, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setup_says_what_is_missing_until_nothing_is() {
    let Some(rig) = Rig::start().await else { return };
    let project = rig.api.project("setup", IMAGES).await;
    rig.write("secret", SECRET);
    let text = std::fs::read_to_string(rig.folder.path().join("gsgate.toml")).unwrap();
    let export =
        format!("[label_studio.export]\nconnection = \"street\"\nprojects = [{project}]\nsecret_file = \"secret\"\n");
    rig.write("gsgate.toml", &(text + &export));
    let id = project.to_string();
    let arguments = ["setup", "--project", &id];
    let said = rig.run(&arguments).await;
    assert!(said.code == Some(1) && said.out.contains("the project has none that leads here"), "{}", said.out);
    let mut hook = json!({
        "url": "http://127.0.0.1:9/-/label-studio/webhook", "project": project, "send_payload": false,
        "send_for_all_actions": false, "actions": ["ANNOTATION_CREATED"], "headers": { "Authorization": "Bearer other" },
    });
    let made = rig.api.post("/api/webhooks/", &hook).await["id"].as_u64().unwrap();
    let said = rig.run(&arguments).await;
    for words in ["it sends no payload", "it does not send ANNOTATIONS_CREATED", "it does not send the secret"] {
        assert!(said.out.contains(words) && !said.out.contains(SECRET), "{words}: {}", said.out);
    }
    hook["send_payload"] = json!(true);
    hook["send_for_all_actions"] = json!(true);
    hook["headers"] = json!({ "Authorization": format!("Bearer {SECRET}") });
    let path = format!("/api/webhooks/{made}/");
    assert!(rig.api.call(http::Method::PATCH, &path, Some(&hook)).await.0.is_success());
    let said = rig.run(&arguments).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let said = rig.run(&["setup", "--project", "99"]).await;
    assert!(
        said.code == Some(1) && said.out.contains("missing  project") && said.out.contains("cure: "),
        "{}",
        said.out
    );
}
