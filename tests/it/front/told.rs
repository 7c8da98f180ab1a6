//! What Label Studio has told a user by itself need not be asked of it again.

use serde_json::json;

use super::backend::{Backend, LATER_SESSION, NEXT_SESSION, PICTURE, gs, resolve};
use crate::support::TestGateway;

const OWNER: &str = "user=owner; session=0123456789abcdef0123456789abcdef";

async fn rig(keys: &str) -> (Backend, TestGateway) {
    let backend = Backend::start(json!({ "image": resolve(&gs("in/a.jpg")) })).await;
    let gateway = backend.behind_gateway(keys).await;
    (backend, gateway)
}

#[tokio::test]
async fn media_of_a_task_that_was_just_shown_is_there_without_a_question() {
    let (backend, gateway) = rig("").await;
    let page = gateway.client.get("/api/tasks/7/?project=1", &[("cookie", OWNER)]).await;
    assert_eq!((page.status.as_u16(), backend.count("/api/")), (200, 1));
    let next = format!("{NEXT_SESSION}; user=owner");
    let later = format!("{LATER_SESSION}; user=owner");
    assert_eq!(gateway.client.get("/react-app/99.js", &[("cookie", &next)]).await.status, 200);
    for cookie in [OWNER, &next, &later] {
        let media = gateway.client.get(&resolve(&gs("in/a.jpg")), &[("cookie", cookie)]).await;
        assert_eq!((media.status.as_u16(), media.bytes()), (200, PICTURE), "{cookie}");
    }
    assert_eq!(backend.count("/api/"), 1);
    // What it has not told is asked for, and what the task does not name is not there.
    let secret = gateway.client.get(&resolve(&gs("in/secret.txt")), &[("cookie", &next)]).await;
    assert_eq!((secret.status.as_u16(), backend.count("/api/")), (404, 2));
}

#[tokio::test]
async fn nobody_lives_on_what_others_were_told() {
    let (backend, gateway) = rig("").await;
    gateway.client.get("/api/tasks/7/", &[("cookie", OWNER)]).await;
    let path = resolve(&gs("in/a.jpg"));
    for (cookie, status) in [
        ("user=stranger", 403),
        // Handed out to somebody, but not to this user.
        (NEXT_SESSION, 403),
        ("user=stranger; session=fedcba9876543210fedcba9876543210", 403),
        ("user=stranger; session=0123456789abcdef0123456789abcdef", 403),
    ] {
        assert_eq!(gateway.client.get(&path, &[("cookie", cookie)]).await.status, status, "{cookie}");
        let page = gateway.client.get("/api/tasks/7/", &[("cookie", cookie)]).await;
        assert_eq!(page.status, 403, "{cookie}");
        assert_eq!(gateway.client.get(&path, &[("cookie", cookie)]).await.status, status, "{cookie}");
    }
    assert_eq!(gateway.client.get(&path, &[]).await.status, 401);
    let other = path.replace("/tasks/7/", "/tasks/8/");
    assert_eq!(gateway.client.get(&other, &[("cookie", OWNER)]).await.status, 404, "told of another task");
    assert!(backend.count("/api/tasks/7/") > 4, "each was asked about");
}

#[tokio::test]
async fn it_is_believed_no_longer_than_an_answer_to_a_question() {
    let (backend, gateway) = rig("decision_ttl = \"0s\"").await;
    gateway.client.get("/api/tasks/7/", &[("cookie", OWNER)]).await;
    assert_eq!(gateway.client.get(&resolve(&gs("in/a.jpg")), &[("cookie", OWNER)]).await.status, 404);
    assert_eq!(backend.count("/api/tasks/7/"), 2, "it was asked, and names no gs:// URI");
    backend.holds(json!({ "image": gs("in/a.jpg") }));
    assert_eq!(gateway.client.get(&resolve(&gs("in/a.jpg")), &[("cookie", OWNER)]).await.status, 200);
}
