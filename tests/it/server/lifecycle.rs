//! The end of a server: nobody who was served loses an answer.

use std::io::ErrorKind;
use std::process::Command;

use gsgate::server::Drained;
use gsgate::server::signals::{Signal, Signals};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::rig::{GET_OK, answer, h2_get, rest, serve, until, within};

#[tokio::test]
async fn answers_in_flight_are_finished() {
    let server = serve("");
    let mut stream = server.connect().await;
    stream.write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut sender = server.h2().await;
    let held = tokio::spawn(sender.send_request(h2_get("/hold")));
    until(|| server.calls() == 2).await;
    let (address, gate) = (server.address, server.probe.gate.clone());
    let drained = tokio::spawn(server.drained());
    within(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    gate.add_permits(2);
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("held"), "{answer}");
    assert_eq!(within(held).await.unwrap().unwrap().status(), 200);
    assert_eq!(within(drained).await.unwrap(), Drained { aborted: 0 });
}

#[tokio::test]
async fn a_connection_that_has_just_come_is_served_once_more() {
    let server = serve("");
    let mut fresh = server.connect().await;
    until(|| server.metrics.connections_open().get() == 1).await;
    let drained = tokio::spawn(server.drained());
    fresh.write_all(GET_OK.as_bytes()).await.unwrap();
    let answer = rest(&mut fresh).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok"), "{answer}");
    assert_eq!(within(drained).await.unwrap().aborted, 0);
}

#[tokio::test]
async fn what_takes_too_long_is_broken_off_and_counted() {
    let server = serve("drain_timeout = \"100ms\"");
    let mut held = server.connect().await;
    held.write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut endless = server.connect().await;
    endless.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until(|| server.calls() == 2).await;
    assert_eq!(server.drained().await, Drained { aborted: 2 });
    assert_eq!(rest(&mut held).await, "");
}

/// What a client that keeps asking saw until the server was gone.
async fn ask(address: std::net::SocketAddr, keep: bool) -> usize {
    let mut answered = 0;
    let mut kept: Option<TcpStream> = None;
    loop {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    // A handshake that the closing socket cuts short is a reset: no connection, so no request.
                    assert!(
                        matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset),
                        "{error}"
                    );
                    return answered;
                }
            },
        };
        let sent = stream.write_all(GET_OK.as_bytes()).await;
        let answer = answer(&mut stream, "\r\n\r\nok").await;
        if answer.is_empty() {
            // Closed before a byte: the server took no notice of the request, and every client asks again elsewhere.
            continue;
        }
        assert!(sent.is_ok() && answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok"), "{answer}");
        answered += 1;
        kept = (keep && !answer.contains("connection: close")).then_some(stream);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_under_load_breaks_no_answer() {
    let server = serve("");
    let clients: Vec<_> = (0..16).map(|n| tokio::spawn(ask(server.address, n % 2 == 0))).collect();
    until(|| server.calls() > 500).await;
    let (calls, gone) = (server.probe.calls.clone(), server.drained().await);
    assert_eq!(gone.aborted, 0);
    let mut answered = 0;
    for client in clients {
        answered += within(client).await.unwrap();
    }
    assert_eq!(answered, calls.load(std::sync::atomic::Ordering::SeqCst), "every request that was served was answered");
}

#[tokio::test]
async fn signals_reload_then_drain_then_end() {
    let mut signals = Signals::install().unwrap();
    let send = |name: &str| {
        let pid = std::process::id().to_string();
        assert!(Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap().success());
    };
    send("HUP");
    assert_eq!(within(signals.next()).await, Signal::Reload);
    let shutdown = CancellationToken::new();
    let (reloads, mut reloaded) = tokio::sync::mpsc::unbounded_channel();
    let conducted = tokio::spawn(signals.conduct(shutdown.clone(), move || reloads.send(()).unwrap()));
    send("HUP");
    within(reloaded.recv()).await.unwrap();
    send("TERM");
    within(shutdown.cancelled()).await;
    send("INT");
    within(conducted).await.unwrap();
}
