//! How tokens come, age, fail and go.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Scene, sent};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_requests_need_one_token() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.user(), "").await;
    let waiters: Vec<_> = (0..10_000)
        .map(|_| {
            let credential = credential.clone();
            tokio::spawn(async move { sent(&credential).await })
        })
        .collect();
    for waiter in waiters {
        assert_eq!(waiter.await.expect("no panic"), Ok("Bearer hidden-user-1".into()));
    }
    assert_eq!(scene.desk.asked("/token").len(), 1);
}

#[tokio::test]
async fn an_ageing_token_serves_until_the_next_is_there() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.user(), "").await;
    sent(&credential).await.expect("a token");
    scene.pass(Duration::from_secs(3600 - 230));
    assert_eq!(sent(&credential).await, Ok("Bearer hidden-user-1".into()));
    while sent(&credential).await != Ok("Bearer hidden-user-2".into()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(scene.desk.asked("/token").len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_fetched_anew() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.user(), "").await;
    let token = credential.token().await.expect("no error").expect("a token");
    credential.invalidate(&token);
    credential.invalidate(&token);
    assert_eq!(sent(&credential).await, Ok("Bearer hidden-user-2".into()));
}

#[tokio::test]
async fn a_failure_is_kept_for_a_back_off_and_not_for_good() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.user(), "").await;
    scene.desk.fail(400, json!({ "error": "invalid_grant", "error_description": "revoked", "secret": "hidden" }));
    let error = sent(&credential).await.expect_err("refused");
    assert!(error.ends_with("the token endpoint refused with status 400: invalid_grant: revoked"), "{error}");
    assert_eq!(sent(&credential).await, Err(error));
    assert_eq!(scene.desk.asked("/token").len(), 1);
    scene.pass(Duration::from_secs(1));
    assert_eq!(sent(&credential).await, Ok("Bearer hidden-user-1".into()));
}

#[tokio::test]
async fn what_may_pass_is_tried_again_at_once() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.user(), "").await;
    scene.desk.fail(503, Value::Null);
    scene.desk.fail(429, Value::Null);
    assert_eq!(sent(&credential).await, Ok("Bearer hidden-user-1".into()));
    assert_eq!(scene.desk.asked("/token").len(), 3);
}

#[tokio::test]
async fn redirects_and_endless_answers_are_refused() {
    let scene = Scene::new().await;
    for (status, body, told) in [
        (302, Value::Null, "refused with status 302"),
        (200, Value::String("x".repeat(70_000)), "more than 64 KiB"),
        (200, json!({ "access_token": "line\nbreak" }), "the token cannot be sent"),
        (200, json!({ "token": "hidden" }), "no access_token"),
        (200, json!({ "access_token": "t", "expires_in": "soon" }), "expires_in is not a number"),
    ] {
        let credential = scene.file(&scene.user(), "").await;
        scene.desk.fail(status, body);
        let error = sent(&credential).await.expect_err(told);
        assert!(error.contains(told) && !error.contains("hidden"), "{error}");
    }
}

#[tokio::test]
async fn a_subject_token_that_appears_late_is_used() {
    let scene = Scene::new().await;
    let path = scene.folder.path().join("subject");
    let credential = scene.file(&scene.external(json!({ "file": path })), "").await;
    assert!(sent(&credential).await.expect_err("not there").contains("no subject token"));
    scene.write("subject", "hidden-subject");
    scene.pass(Duration::from_secs(1));
    assert_eq!(sent(&credential).await, Ok("Bearer hidden-sts-1".into()));
}

#[tokio::test]
async fn a_file_that_changes_is_read_at_the_next_refresh() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.user(), "").await;
    let token = credential.token().await.expect("no error").expect("a token");
    let mut user = scene.user();
    user["refresh_token"] = "hidden-new".into();
    scene.write("credential.json", user.to_string());
    credential.invalidate(&token);
    sent(&credential).await.expect("a token");
    assert_eq!(scene.desk.asked("/token")[1].form("refresh_token").as_deref(), Some("hidden-new"));
}

#[tokio::test]
async fn a_refused_source_token_is_fetched_anew() {
    let scene = Scene::new().await;
    let credential = scene.file(&scene.impersonated(&scene.user()), "").await;
    let token = credential.token().await.expect("no error").expect("a token");
    credential.invalidate(&token);
    scene.desk.fail(401, json!({ "error": { "status": "UNAUTHENTICATED", "message": "revoked" } }));
    sent(&credential).await.expect("a token");
    let bearers: Vec<_> =
        scene.desk.asked(":generateAccessToken").into_iter().filter_map(|a| a.authorization).collect();
    assert_eq!(bearers, ["Bearer hidden-user-1", "Bearer hidden-user-1", "Bearer hidden-user-3"]);
}

#[tokio::test]
async fn nothing_shows_a_secret() {
    let scene = Scene::new().await;
    let pem = scene.key()["private_key"].as_str().expect("a key").lines().nth(1).expect("a line").to_owned();
    for file in [scene.user(), scene.key(), scene.impersonated(&scene.key())] {
        let credential = scene.file(&file, "").await;
        let token = credential.token().await.expect("no error");
        let shown = format!("{credential:?} {token:?} {:?} {:?}", credential.signer(), scene.environment());
        assert!(!shown.contains("hidden") && !shown.contains(&pem) && !shown.contains("eyJ"), "{shown}");
    }
}
