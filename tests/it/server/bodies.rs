//! A body that breaks must break visibly.

use std::sync::atomic::Ordering;

use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;

use super::rig::{answer, h2_get, rest, serve, until, within};

#[tokio::test]
async fn a_broken_body_ends_an_http1_connection_before_its_promise() {
    let server = serve("");
    for (path, framing, end) in [
        ("/broken", "content-length: 100\r\n", "\r\n\r\nhalf"),
        ("/broken-chunked", "transfer-encoding: chunked\r\n", "4\r\nhalf\r\n"),
    ] {
        let mut stream = server.connect().await;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        let begun = answer(&mut stream, end).await;
        assert!(begun.contains(framing), "{begun}");
        server.probe.gate.add_permits(1);
        assert_eq!(rest(&mut stream).await, "", "neither the missing bytes nor an end mark");
    }
}

#[tokio::test]
async fn a_broken_body_resets_its_stream_alone() {
    let server = serve("");
    let mut sender = server.h2().await;
    for path in ["/broken", "/broken-chunked"] {
        let mut body = within(sender.send_request(h2_get(path))).await.unwrap().into_body();
        let half = within(body.frame()).await.unwrap().unwrap();
        assert_eq!(half.into_data().unwrap(), "half");
        server.probe.gate.add_permits(1);
        assert!(within(body.frame()).await.unwrap().is_err());
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
    let server = serve("");
    for _ in 0..200 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    }
    until(|| server.calls() == 200 || server.metrics.connections_open().get() == 0).await;
    until(|| server.metrics.connections_open().get() == 0).await;
    until(|| server.probe.bodies.load(Ordering::SeqCst) == 0).await;
}
