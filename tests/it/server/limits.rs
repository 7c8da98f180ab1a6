//! What a client may take: sizes, times, connections.

use tokio::io::AsyncWriteExt;

use super::rig::{GET_OK, answer, h2_get, rest, serve, until, within};

#[tokio::test]
async fn targets_and_headers_beyond_their_limits_are_refused() {
    let server = serve("");
    let with = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    let many = "x: y\r\n".repeat(101);
    for (request, status) in [
        (with(&format!("/{}", "a".repeat(9_000)), ""), "414"),
        (with(&format!("/{}", "a".repeat(100_000)), ""), "431"),
        (with("/", &format!("x: {}\r\n", "a".repeat(40_000))), "431"),
        (with("/", &format!("x: {}\r\n", "a".repeat(100_000))), "431"),
        (with("/", &format!("{}: y\r\n", "a".repeat(40_000))), "431"),
        (with("/", &many), "431"),
    ] {
        let answer = server.exchange(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.40}: {answer:.200}");
    }
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn a_header_list_beyond_its_limit_is_refused_on_http2() {
    let server = serve("");
    let mut sender = server.h2().await;
    let mut request = h2_get("/ok");
    request.headers_mut().insert("x", "a".repeat(40_000).parse().unwrap());
    let status = within(sender.send_request(request)).await.map(|response| response.status().as_u16());
    assert!(status.is_err() || status.is_ok_and(|status| status == 431));
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn a_head_that_does_not_come_closes_the_connection() {
    let server = serve("[limits]\nheader_timeout = \"100ms\"");
    for begin in ["", "G", "PRI * HT", "GET /ok HTTP/1.1\r\nHost: a\r\nX-", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(begin.as_bytes()).await.unwrap();
        rest(&mut stream).await;
    }
    let mut stream = server.connect().await;
    stream.write_all(GET_OK.as_bytes()).await.unwrap();
    assert!(answer(&mut stream, "ok").await.starts_with("HTTP/1.1 200 "));
    stream.write_all(b"GET /second HTTP/1.1\r\n").await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    assert_eq!(server.calls(), 1);
    server.counted("gsgate_connections_cut_total{reason=\"header-timeout\"} 6").await;
}

#[tokio::test]
async fn a_part_of_a_head_behind_a_request_in_flight_does_not_wait_for_the_idle_timeout() {
    let server = serve("[limits]\nheader_timeout = \"100ms\"");
    let mut stream = server.connect().await;
    stream.write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\n").await.unwrap();
    until(|| server.calls() == 1).await;
    // As long as the answer is ours to give, no header timeout runs: another connection's passes meanwhile.
    rest(&mut server.connect().await).await;
    server.probe.gate.add_permits(1);
    assert!(rest(&mut stream).await.ends_with("held"));
    assert_eq!(server.calls(), 1);
    server.counted("gsgate_connections_cut_total{reason=\"header-timeout\"} 2").await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_neatly() {
    let server = serve("[limits]\nidle_timeout = \"100ms\"");
    let mut stream = server.connect().await;
    stream.write_all(GET_OK.as_bytes()).await.unwrap();
    assert!(answer(&mut stream, "ok").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(rest(&mut stream).await, "");
    let mut sender = server.h2().await;
    assert_eq!(within(sender.send_request(h2_get("/ok"))).await.unwrap().status(), 200);
    until(|| sender.is_closed()).await;
    drop(stream);
    until(|| server.metrics.connections_open().get() == 0).await;
    assert!(!server.metrics.encode().contains("gsgate_connections_cut_total{"));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let server = serve("[limits]\nmax_connections = 1");
    let mut first = server.connect().await;
    first.write_all(GET_OK.as_bytes()).await.unwrap();
    answer(&mut first, "ok").await;
    let mut second = server.connect().await;
    second.write_all(GET_OK.as_bytes()).await.unwrap();
    assert_eq!((server.calls(), server.metrics.connections_open().get()), (1, 1));
    drop(first);
    assert!(answer(&mut second, "ok").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn streams_that_are_reset_as_fast_as_they_are_opened_end_the_connection() {
    let server = serve("");
    let mut stream = server.connect().await;
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for id in (1_u32..4_000).step_by(2) {
        // HEADERS with :method GET, :scheme http, :path /, :authority a; then RST_STREAM with CANCEL.
        let block = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
        frames.extend([0, 0, 6, 0x01, 0x05]);
        frames.extend(id.to_be_bytes());
        frames.extend(block);
        frames.extend([0, 0, 4, 0x03, 0x00]);
        frames.extend(id.to_be_bytes());
        frames.extend([0, 0, 0, 8]);
    }
    let _ = stream.write_all(&frames).await;
    rest(&mut stream).await;
    assert!(server.calls() < 2_000, "{}", server.calls());
}
