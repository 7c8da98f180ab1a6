//! Media that the gateway answers for, by Label Studio's word.

use gsgate::emulator::{Object, Operation};
use serde_json::json;

use super::backend::{Backend, PICTURE, elsewhere, gs, resolve};
use crate::support::TestGateway;

const OWNER: (&str, &str) = ("cookie", "user=owner");
const STRANGER: (&str, &str) = ("cookie", "user=stranger");

async fn rig(keys: &str) -> (Backend, TestGateway) {
    let backend =
        Backend::start(json!({ "image": gs("in/a.jpg"), "page": gs("in/page.html"), "other": "gs://elsewhere/b.jpg" }))
            .await;
    let gateway = backend.behind_gateway(keys).await;
    (backend, gateway)
}

#[tokio::test]
async fn a_user_who_may_gets_the_object_with_all_that_the_gateway_can() {
    let (backend, gateway) = rig("").await;
    let path = resolve(&gs("in/a.jpg"));
    for path in [path.clone(), path.replace("/resolve/", "/resolve"), path.replace("/resolve/", "/presign/")] {
        let answer = gateway.client.get(&path, &[OWNER]).await;
        assert_eq!((answer.status.as_u16(), answer.bytes()), (200, PICTURE), "{path}");
        assert_eq!(answer.header("content-type"), "image/jpeg");
    }
    let tail = gateway.client.get(&path, &[OWNER, ("range", "bytes=-10")]).await;
    assert_eq!((tail.status.as_u16(), tail.header("content-range").as_str()), (206, "bytes 990-999/1000"));
    let head = gateway.client.head(&path, &[OWNER]).await;
    assert_eq!((head.status.as_u16(), head.header("content-length").as_str()), (200, "1000"));
    let again = gateway.client.get(&path, &[OWNER, ("if-none-match", &head.header("etag"))]).await;
    assert_eq!(again.status, 304);
    assert_eq!(backend.count("/api/tasks/7/"), 1, "Label Studio's word is believed for some seconds");
    assert_eq!(backend.count("/tasks/"), 0);
    let project = gateway.client.get(&path.replace("/tasks/7/", "/projects/3/"), &[OWNER]).await;
    assert_eq!(project.status, 200);
}

#[tokio::test]
async fn nobody_gets_more_than_label_studio_lets_them() {
    let (backend, gateway) = rig("").await;
    let stranger = gateway.client.get(&resolve(&gs("in/a.jpg")), &[STRANGER]).await;
    assert_eq!((stranger.status.as_u16(), stranger.text()), (403, "forbidden, says Label Studio"));
    let nobody = gateway.client.get(&resolve(&gs("in/a.jpg")), &[]).await;
    assert_eq!((nobody.status.as_u16(), nobody.text()), (401, "who are you, asks Label Studio"));
    let uri = |name: &str| resolve(&gs(name));
    let disguised = uri("in/secret.txt").replace("fileuri", "fileuri=x&%66ileuri").replace("/7/", "//%37/");
    let wrapped = resolve(&format!("<img src='{}'>", gs("in/secret.txt")));
    backend.redirects_to("http://leaked.example/");
    for path in [uri("in/secret.txt"), uri("in/a.jpg/../secret.txt"), uri("in"), disguised, wrapped] {
        assert_eq!(gateway.client.get(&path, &[OWNER]).await.status, 404, "{path}");
    }
    let other_task = resolve(&gs("in/a.jpg")).replace("/tasks/7/", "/tasks/8/");
    assert_eq!(gateway.client.get(&other_task, &[OWNER]).await.status, 404);
    assert_eq!(gateway.gcs.count(Operation::Media), 0, "nothing was read");
    assert_eq!(gateway.client.get("/media/in/a.jpg", &[OWNER]).await.text(), "no such page", "it is Label Studio's");
    assert_eq!(backend.count("/media/"), 1);
}

#[tokio::test]
async fn what_the_task_names_is_looked_at_unless_switched_off() {
    let (_backend, gateway) = rig("require_in_task = false\nmedia_paths = true").await;
    let secret = resolve(&gs("in/secret.txt"));
    assert_eq!(gateway.client.get(&secret, &[OWNER]).await.text(), "nobody's business");
    assert_eq!(gateway.client.get(&secret, &[STRANGER]).await.status, 403);
    let unknown = secret.replace("/tasks/7/", "/tasks/8/");
    assert_eq!(gateway.client.get(&unknown, &[OWNER]).await.status, 404);
    assert_eq!(gateway.client.get("/media/in/a.jpg", &[]).await.status, 200, "by the connection's rules alone");
}

#[tokio::test]
async fn a_connections_network_holds_beside_label_studios_word() {
    let backend = Backend::start(json!({ "image": gs("in/a.jpg") })).await;
    let builder = TestGateway::builder().await.connection("delivery = \"proxy\"\nallow = [\"10.0.0.0/8\"]");
    let gateway = builder.sections(&backend.section("")).start().await;
    gateway.put("in/a.jpg", Object::bytes(PICTURE));
    assert_eq!(gateway.client.get(&resolve(&gs("in/a.jpg")), &[OWNER]).await.status, 404);
    assert_eq!(gateway.gcs.count(Operation::Media), 0);
}

#[tokio::test]
async fn pages_from_the_bucket_cannot_script_label_studio() {
    let (_backend, gateway) = rig("").await;
    gateway.put("in/page.html", Object::bytes("<script>alert(1)</script>").content_type("text/html"));
    let page = gateway.client.get(&resolve(&gs("in/page.html")), &[OWNER]).await;
    assert_eq!((page.status.as_u16(), page.header("content-security-policy").as_str()), (200, "sandbox"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn what_no_connection_covers_is_fetched_from_the_storage_host_alone() {
    let (backend, gateway) = rig("").await;
    let bucket = gateway.gcs.bucket("elsewhere");
    bucket.set_public();
    bucket.put("b.jpg", Object::bytes(PICTURE).content_type("image/svg+xml"));
    let path = resolve("gs://elsewhere/b.jpg");
    backend.redirects_to(&elsewhere(&gateway.gcs, "b.jpg").replace("?X-Goog-Signature=0", ""));
    let part = gateway.client.get(&path, &[OWNER, ("range", "bytes=10-19")]).await;
    assert_eq!((part.status.as_u16(), part.header("content-range").as_str()), (206, "bytes 10-19/1000"), "{part:?}");
    assert_eq!(part.header("content-security-policy"), "sandbox");
    assert_eq!(gateway.client.get(&path, &[STRANGER]).await.status, 403);
    assert_eq!(gateway.client.get(&resolve("gs://elsewhere/c.jpg"), &[OWNER]).await.status, 404, "not in the task");
    for elsewhere in ["http://169.254.169.254/latest", "http://127.0.0.1:1/x", "//evil.example/x", "/login"] {
        backend.redirects_to(elsewhere);
        let answer = gateway.client.get(&path, &[OWNER]).await;
        assert_eq!((answer.status.as_u16(), answer.header("location").as_str()), (303, elsewhere), "not followed");
    }
}

#[tokio::test]
async fn the_redirect_is_passed_on_where_that_is_wanted() {
    let (backend, gateway) = rig("uncovered = \"pass\"").await;
    let location = elsewhere(&gateway.gcs, "b.jpg");
    backend.redirects_to(&location);
    let answer = gateway.client.get(&resolve("gs://elsewhere/b.jpg"), &[OWNER]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, location));
}
