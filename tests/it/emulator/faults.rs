//! Scripted faults, and the listener's comings and goings.

use gsgate::emulator::{Action, Emulator, Fault, Gate, Object, Operation, Outcome, pattern};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::wire::{get, start};

const SIZE: usize = 1_000_000;
const TARGET: &str = "/storage/v1/b/bkt/o/o?alt=media";

async fn ready() -> Emulator {
    let gcs = start().await;
    gcs.bucket("bkt").put("o", Object::generated(SIZE as u64, 5));
    gcs
}

#[tokio::test]
async fn answers_can_be_replaced_and_headers_falsified() {
    let gcs = ready().await;
    gcs.inject(Fault::new(Action::retry_after(503, 7)).on(Operation::Media).times(2));
    for _ in 0..2 {
        let answer = get(&gcs, TARGET, &[]).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "7"));
    }
    assert_eq!(get(&gcs, TARGET, &[]).await.status, 200);
    gcs.inject(Fault::new(Action::redirect("http://elsewhere.example/")));
    let moved = get(&gcs, TARGET, &[]).await;
    assert_eq!((moved.status, moved.header("location")), (302, "http://elsewhere.example/"));
    gcs.inject(Fault::new(Action::header("x-goog-generation", "1")));
    gcs.inject(Fault::new(Action::header("content-range", "bytes 5-9/10")));
    let false_head = get(&gcs, TARGET, &[("Range", "bytes=0-4")]).await;
    assert_eq!((false_head.header("x-goog-generation"), false_head.header("content-range")), ("1", "bytes 5-9/10"));
}

#[tokio::test]
async fn bodies_break_where_the_script_says() {
    let gcs = ready().await;
    let whole = pattern(5, 0, SIZE);
    for place in [0, 1, 300_000, SIZE - 1] {
        gcs.inject(Fault::new(Action::Close).after_bytes(place as u64));
        let closed = get(&gcs, TARGET, &[]).await;
        assert_eq!((closed.status, closed.body.len(), closed.end.is_ok()), (200, place, true));
        assert!(closed.body == whole[..place]);
        gcs.inject(Fault::new(Action::Reset).after_bytes(place as u64));
        let reset = get(&gcs, TARGET, &[]).await;
        assert!(reset.end.is_err() && reset.body.len() <= place && reset.body == whole[..reset.body.len()]);
        gcs.inject(Fault::new(Action::Corrupt).after_bytes(place as u64));
        let corrupt = get(&gcs, TARGET, &[]).await;
        let wrong: Vec<usize> = (0..SIZE).filter(|&at| corrupt.body[at] != whole[at]).collect();
        assert_eq!((corrupt.whole, wrong), (true, vec![place]));
        gcs.inject(Fault::new(Action::Truncate).after_bytes(place as u64));
        let cut = get(&gcs, TARGET, &[]).await;
        assert_eq!(
            (cut.whole, cut.header("content-length"), cut.body.len()),
            (true, place.to_string().as_str(), place)
        );
    }
    for action in [Action::Close, Action::Reset] {
        let reset = matches!(action, Action::Reset);
        gcs.inject(Fault::new(action));
        let none = get(&gcs, TARGET, &[]).await;
        assert_eq!((none.status, none.end.is_err()), (0, reset));
    }
    gcs.inject(Fault::new(Action::content_length(SIZE as u64 + 10)));
    let short = get(&gcs, TARGET, &[]).await;
    assert_eq!((short.body.len(), short.whole), (SIZE, false));
    gcs.inject(Fault::new(Action::content_length(10)));
    assert_eq!(get(&gcs, TARGET, &[]).await.body, whole[..10]);
    assert!(gcs.requests().iter().any(|seen| seen.outcome == Outcome::Broken));
}

#[tokio::test]
async fn gates_hold_heads_and_bodies_until_they_are_opened() {
    let gcs = ready().await;
    for fault in [
        |gate: Gate| Fault::new(Action::Delay(gate)),
        |gate: Gate| Fault::new(Action::Stall(gate)).after_bytes(1000),
        |gate: Gate| Fault::new(Action::Dribble { piece: SIZE / 2, gate }),
    ] {
        let gate = Gate::new();
        gcs.inject(fault(gate.clone()));
        let (answer, ()) = tokio::join!(get(&gcs, TARGET, &[]), async {
            gate.reached(1).await;
            assert_eq!(gcs.requests().last().map(|seen| seen.outcome), Some(Outcome::Pending));
            gate.open();
        });
        assert!(answer.whole && answer.body == pattern(5, 0, SIZE));
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_stalled_answer_is_noticed() {
    let gcs = ready().await;
    gcs.bucket("bkt").set_public();
    let gate = Gate::new();
    gcs.inject(Fault::new(Action::Stall(gate.clone())).after_bytes(10));
    let mut client = TcpStream::connect(gcs.address()).await.expect("a connection");
    client.write_all(format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.expect("written");
    gate.reached(1).await;
    drop(client);
    while gcs.requests().first().is_none_or(|seen| seen.outcome == Outcome::Pending) {
        tokio::task::yield_now().await;
    }
    assert_eq!(gcs.requests()[0].outcome, Outcome::Broken);
}

#[tokio::test]
async fn it_can_be_killed_and_started_again_with_the_same_state() {
    let gcs = ready().await;
    let gate = Gate::new();
    gcs.inject(Fault::new(Action::Stall(gate.clone())).after_bytes(5));
    let (broken, ()) = tokio::join!(get(&gcs, TARGET, &[]), async {
        gate.reached(1).await;
        gcs.kill().await;
    });
    assert!(!broken.whole);
    assert!(TcpStream::connect(gcs.address()).await.is_err());
    gcs.start_again().await.expect("the same port");
    assert!(gcs.start_again().await.is_err());
    assert_eq!(get(&gcs, TARGET, &[]).await.body.len(), SIZE);
    let gate = Gate::new();
    gcs.inject(Fault::new(Action::Stall(gate.clone())).after_bytes(5));
    let (finished, ()) = tokio::join!(get(&gcs, TARGET, &[]), async {
        gate.reached(1).await;
        tokio::join!(gcs.stop(), async { gate.open() });
    });
    assert!(finished.whole);
    assert_eq!(gcs.open_connections(), 0);
}

#[tokio::test]
async fn connections_are_kept_alive_and_counted() {
    let gcs = ready().await;
    gcs.bucket("bkt").put("s", Object::bytes("x"));
    gcs.bucket("bkt").set_public();
    let mut client = TcpStream::connect(gcs.address()).await.expect("a connection");
    for round in 1..=3 {
        client.write_all(b"GET /storage/v1/b/bkt/o/s?alt=media HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("written");
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\nx") {
            let mut buffer = [0; 4096];
            let read = client.read(&mut buffer).await.expect("bytes");
            assert!(read > 0);
            seen.extend_from_slice(&buffer[..read]);
        }
        assert_eq!((gcs.count(Operation::Media), gcs.connections()), (round, 1));
    }
}

#[tokio::test]
async fn it_speaks_tls_with_a_given_certificate() {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let pem = made.cert.pem();
    let builder = Emulator::builder().tls(pem.clone(), made.signing_key.serialize_pem());
    let gcs = builder.start().await.expect("a free port");
    assert!(gcs.endpoint().starts_with("https://127.0.0.1:"));
    gcs.bucket("bkt").put("o", Object::bytes("x"));
    gcs.bucket("bkt").set_public();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")).expect("a root");
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(gcs.address()).await.expect("a connection");
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let mut stream = connector.connect("localhost".try_into().expect("a name"), stream).await.expect("TLS");
    stream.write_all(b"GET /bkt/o HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("written");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an answer");
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n") && bytes.ends_with(b"\r\n\r\nx"));
}
