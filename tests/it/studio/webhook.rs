//! Who is listened to: no Label Studio is needed to turn somebody away.

use gsgate::emulator::{Emulator, Operation};
use http::StatusCode;

use super::export::SECRET;
use crate::support::{BUCKET, Binary};

async fn start() -> Binary {
    let folder = tempfile::tempdir().unwrap().keep();
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    std::fs::write(folder.join("token"), "0123456789abcdef").unwrap();
    let folder = folder.display();
    // Nobody listens on the discard port: whoever were believed would be answered with 502.
    let sections = format!(
        "[label_studio]\nurl = \"http://127.0.0.1:9\"\ntoken_file = \"{folder}/token\"\n\
         [label_studio.export]\nconnection = \"media\"\nprojects = [1]\nsecret_file = \"{folder}/secret\"\nsweep = \"0s\"\n"
    );
    Binary::start(Emulator::builder().start().await.unwrap(), &sections).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_nonsense_reach_nothing() {
    let gateway = start().await;
    let url = format!("http://{}/-/label-studio/webhook", gateway.client.address);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let good = r#"{"action":"ANNOTATION_CREATED","annotation":{"id":1,"task":1,"project":2}}"#;
    for (secret, body, expected) in [
        (None, good, StatusCode::UNAUTHORIZED),
        (Some(""), good, StatusCode::UNAUTHORIZED),
        (Some("correct-horse-battery-stapl"), good, StatusCode::UNAUTHORIZED),
        (Some("correct-horse-battery-staple2"), good, StatusCode::UNAUTHORIZED),
        (Some(SECRET), "", StatusCode::BAD_REQUEST),
        (Some(SECRET), "{", StatusCode::BAD_REQUEST),
        (Some(SECRET), "[[[[[[[[", StatusCode::BAD_REQUEST),
        (Some(SECRET), r#"{"action":"ANNOTATION_CREATED"}"#, StatusCode::BAD_REQUEST),
        (
            Some(SECRET),
            r#"{"action":"ANNOTATION_CREATED","annotation":{"id":"../../x","task":1,"project":1}}"#,
            StatusCode::BAD_REQUEST,
        ),
        // Another project's events are none of ours; the same again and again changes nothing.
        (Some(SECRET), good, StatusCode::OK),
        (Some(SECRET), good, StatusCode::OK),
        (Some(SECRET), r#"{"action":"PROJECT_UPDATED","project":{"id":1}}"#, StatusCode::OK),
    ] {
        for header in ["authorization", "x-gsgate-secret"] {
            let request = http.post(&url).body(body);
            let request = match (secret, header) {
                (None, _) => request,
                (Some(secret), "authorization") => request.header(header, format!("Bearer {secret}")),
                (Some(secret), _) => request.header(header, secret),
            };
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), expected, "{secret:?} {body}");
            let text = answer.text().await.unwrap();
            assert!(!text.contains(SECRET), "{text}");
        }
    }
    assert_eq!(http.get(&url).bearer_auth(SECRET).send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    let giant = http.post(&url).bearer_auth(SECRET).body(vec![b' '; 17 * 1024 * 1024]).send().await;
    assert!(giant.is_err() || giant.is_ok_and(|answer| answer.status() == StatusCode::PAYLOAD_TOO_LARGE));
    assert_eq!(gateway.gcs.count(Operation::Upload), 0);
    assert!(gateway.gcs.bucket(BUCKET).names().is_empty());
    assert_eq!(gateway.lines(SECRET), 0, "no secret is logged");
}
