//! A body that breaks must break visibly.

use http_body_util::BodyExt;

use super::rig::{h2_get, serve, within};

#[tokio::test]
async fn a_broken_body_ends_an_http1_connection_before_its_promise() {
    let server = serve("");
    let answer = server.exchange("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.contains("content-length: 100\r\n") && answer.ends_with("\r\n\r\nhalf"), "{answer}");
    let answer = server.exchange("GET /broken-chunked HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.contains("transfer-encoding: chunked\r\n") && answer.ends_with("4\r\nhalf\r\n"), "{answer}");
}

#[tokio::test]
async fn a_broken_body_resets_its_stream_alone() {
    let server = serve("");
    let mut sender = server.h2().await;
    for path in ["/broken", "/broken-chunked"] {
        let response = within(sender.send_request(h2_get(path))).await.unwrap();
        let error = within(response.into_body().collect()).await.unwrap_err();
        assert!(!error.is_canceled(), "{error:?}");
        let response = within(sender.send_request(h2_get("/ok"))).await.unwrap();
        assert_eq!(within(response.into_body().collect()).await.unwrap().to_bytes(), "ok");
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_spoken_on_the_plain_listener() {
    let server = serve("");
    let response = within(server.h2().await.send_request(h2_get("/ok"))).await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (http::Version::HTTP_2, 200));
}

#[tokio::test]
async fn clients_that_leave_leave_nothing_behind() {
    use std::sync::atomic::Ordering;
    use tokio::io::AsyncWriteExt;
    let server = serve("");
    for _ in 0..200 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    }
    super::rig::until(|| server.calls() == 200 || server.metrics.connections_open().get() == 0).await;
    super::rig::until(|| server.metrics.connections_open().get() == 0).await;
    super::rig::until(|| server.probe.bodies.load(Ordering::SeqCst) == 0).await;
}
