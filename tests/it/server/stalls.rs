//! A client that takes nothing of what it asked for, and clients that only look like it.

use std::sync::atomic::Ordering;

use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;

use super::rig::{Running, answer, h2_get, h2_head, rest, serve, until, within};

#[tokio::test]
async fn a_client_that_takes_no_byte_is_dropped() {
    let server = serve("[limits]\nstall_timeout = \"200ms\"");
    let mut stream = server.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    server.counted("gsgate_connections_cut_total{reason=\"stalled\"} 1").await;
    let mut sender = server.h2().await;
    let response = within(sender.send_request(h2_get("/endless"))).await.unwrap();
    server.counted("gsgate_connections_cut_total{reason=\"stalled\"} 2").await;
    until(|| server.probe.bodies.load(Ordering::SeqCst) == 0).await;
    drop(response);
}

#[tokio::test]
async fn a_request_that_waits_for_us_is_never_a_stall() {
    let server = serve("[limits]\nstall_timeout = \"20ms\"\nidle_timeout = \"20ms\"\nheader_timeout = \"200ms\"");
    let mut waiting = server.connect().await;
    waiting.write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until(|| server.calls() == 1).await;
    // Another connection's header timeout passes meanwhile, which is ten times the stall timeout.
    rest(&mut server.connect().await).await;
    server.probe.gate.add_permits(1);
    assert!(answer(&mut waiting, "held").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_closed_window_is_a_stall_however_busy_the_connection_is() {
    let server = serve("[limits]\nstall_timeout = \"200ms\"");
    let mut sender = server.h2_with_window(0).await;
    let mut responses = Vec::new();
    for _ in 0..95 {
        responses.push(within(sender.send_request(h2_get("/endless"))).await.unwrap());
    }
    within(async {
        while stalled(&server) < 95 {
            assert_eq!(sender.send_request(h2_head("/ok")).await.unwrap().status(), 200);
        }
    })
    .await;
    until(|| server.probe.bodies.load(Ordering::SeqCst) == 0).await;
    for response in responses {
        assert!(within(response.into_body().collect()).await.is_err(), "the stream is reset");
    }
    assert_eq!(within(sender.send_request(h2_head("/ok"))).await.unwrap().status(), 200, "the connection goes on");
}

#[tokio::test]
async fn who_takes_a_little_regularly_outlives_who_takes_nothing() {
    // Long enough for a busy machine to run the reader once, and for nothing else.
    let server = serve("[limits]\nstall_timeout = \"2s\"");
    let (mut shared, mut alone) = (server.h2_with_window(512).await, server.h2_with_window(512).await);
    let mut neighbour = within(shared.send_request(h2_get("/endless"))).await.unwrap().into_body();
    let mut stranger = within(alone.send_request(h2_get("/endless"))).await.unwrap().into_body();
    for stalls in 1..=2 {
        let idle = within(shared.send_request(h2_get("/endless"))).await.unwrap();
        within(async {
            while stalled(&server) < stalls {
                // One window at a time, and a round trip between two.
                for body in [&mut neighbour, &mut stranger] {
                    assert!(body.frame().await.unwrap().is_ok());
                }
                assert_eq!(shared.send_request(h2_head("/ok")).await.unwrap().status(), 200);
            }
        })
        .await;
        assert!(within(idle.into_body().collect()).await.is_err());
    }
    assert!(within(neighbour.frame()).await.unwrap().is_ok());
    assert!(within(stranger.frame()).await.unwrap().is_ok());
    assert_eq!(stalled(&server), 2);
}

/// How often a client was found to stall.
fn stalled(server: &Running) -> usize {
    let page = server.metrics.encode();
    let count = page.lines().find_map(|line| line.strip_prefix("gsgate_connections_cut_total{reason=\"stalled\"} "));
    count.map_or(0, |count| count.parse().expect("a counter is a number"))
}
