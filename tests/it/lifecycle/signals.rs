//! SIGTERM on the real binary: what is in flight ends, nothing new begins, and a second signal waits for nobody.

use futures_util::future::join_all;
use gsgate::emulator::{Emulator, Object, pattern};
use http::Method;
use http_body_util::BodyExt as _;
use tokio::net::TcpStream;

use crate::faults::wire::{Wire, until};
use crate::support::Binary;

/// More than all buffers between the emulator and a client that does not read.
const SIZE: usize = 64 * 1024 * 1024;

async fn started() -> Binary {
    let binary = Binary::start(Emulator::builder().start().await.unwrap(), "").await;
    binary.bucket().put("x", Object::generated(SIZE as u64, 7));
    until("ready", async || binary.admin.get("/readyz", &[]).await.status == 200).await;
    binary
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_a_slow_download_finish_and_ends_well() {
    for wire in [Wire::Http1, Wire::H2c] {
        let mut binary = started().await;
        let response = wire.open(binary.client.address, Method::GET, "/media/x", &[]).await.unwrap();
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        binary.signal("TERM").await;
        until("draining", async || binary.admin.get("/readyz", &[]).await.status == 503).await;
        assert_eq!(binary.admin.get("/livez", &[]).await.status, 200, "{wire:?}: it lives");
        until("closed", async || TcpStream::connect(binary.client.address).await.is_err()).await;
        let rest = body.collect().await.unwrap_or_else(|error| panic!("{wire:?}: {error}")).to_bytes();
        let whole = pattern(7, 0, SIZE);
        assert!(whole.starts_with(&first) && whole[first.len()..] == rest, "{wire:?}: byte for byte");
        assert_eq!(binary.ended().await.code(), Some(0), "{wire:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
        let mut binary = started().await;
        let response = Wire::Http1.open(binary.client.address, Method::GET, "/media/x", &[]).await.unwrap();
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        binary.signal(first).await;
        until("draining", async || binary.admin.get("/readyz", &[]).await.status == 503).await;
        binary.signal(second).await;
        // The download is not read: nothing but the second signal can end the process before drain_timeout.
        assert_eq!(binary.ended().await.code(), Some(1), "{first}, {second}");
        assert!(body.collect().await.is_err(), "{first}, {second}: visibly broken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_takes_too_long_is_broken_off() {
    let sections = "[server]\nlisten = \"127.0.0.1:0\"\ndrain_timeout = \"1s\"\n";
    let mut binary = Binary::start(Emulator::builder().start().await.unwrap(), sections).await;
    binary.bucket().put("x", Object::generated(SIZE as u64, 7));
    let response = Wire::Http1.open(binary.client.address, Method::GET, "/media/x", &[]).await.unwrap();
    binary.signal("TERM").await;
    assert_eq!(binary.ended().await.code(), Some(0));
    assert!(response.into_body().collect().await.is_err(), "visibly broken");
    binary.logged("drain_timeout passed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_in_the_log_soon_and_at_the_end() {
    let mut binary = started().await;
    binary.client.head("/media/x", &[]).await;
    assert_eq!(binary.requests_logged(1).await, 1, "nothing has to follow");
    let more = (0..100).map(|_| binary.client.head("/media/x", &[]));
    assert!(join_all(more).await.iter().all(|answer| answer.status == 200));
    binary.signal("TERM").await;
    assert_eq!(binary.ended().await.code(), Some(0));
    binary.logged("drained").await;
    assert_eq!(binary.requests_logged(101).await, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_to_finish_sigterm_ends_it() {
    let mut binary = started().await;
    binary.signal("TERM").await;
    assert_eq!(binary.ended().await.code(), Some(0));
    binary.logged("drained").await;
}
