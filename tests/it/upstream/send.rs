//! How requests are sent, and how often.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gsgate::emulator::{Action, Emulator, Fault, Gate, Object, Operation};
use gsgate::gcs::Error;
use gsgate::object::{ByteRange, ProjectId, Span, Text, Told};

use super::rig::{Rig, SIZE, bytes, drain, request};

#[tokio::test]
async fn a_read_is_one_request_and_brings_the_metadata() {
    let rig = Rig::start().await;
    rig.put("a.png", Object::bytes("picture").content_type("image/png").generation(7).metageneration(3));
    let read = rig.read("a.png").await.expect("a good read");
    let stat = rig.stat("a.png").await.expect("a good stat");
    assert_eq!((read.part, read.metadata.size), (None, 7));
    assert_eq!((read.metadata.generation.0, read.metadata.metageneration.0), (7, 3));
    assert_eq!(read.metadata.texts.content_type.as_ref().map(Text::as_str), Some("image/png"));
    let cache_control = read.metadata.texts.cache_control.clone();
    let texts = Told { cache_control, ..(*stat.texts).clone() };
    assert_eq!((&*read.metadata.texts, read.metadata.last_modified), (&texts, stat.last_modified));
    assert_eq!((read.metadata.crc32c, read.metadata.md5), (stat.crc32c, stat.md5));
    assert_eq!(bytes(read).await, b"picture");
    assert_eq!(rig.reads(), 1);
    let sent = &rig.gcs.requests()[0];
    assert_eq!(sent.headers["accept-encoding"], "gzip");
    assert!(sent.headers["user-agent"].to_str().is_ok_and(|agent| agent.starts_with("gsgate/")));
}

#[tokio::test]
async fn parts_are_read_as_asked() {
    let rig = Rig::start().await;
    let whole = rig.put_pattern("x");
    for (range, first, last) in [
        (ByteRange::FromTo { first: 0, last: 0 }, 0, 0),
        (ByteRange::FromTo { first: 5, last: u64::MAX }, 5, SIZE - 1),
        (ByteRange::From { first: SIZE - 1 }, SIZE - 1, SIZE - 1),
        (ByteRange::Suffix { length: 10 }, SIZE - 10, SIZE - 1),
        (ByteRange::Suffix { length: u64::MAX }, 0, SIZE - 1),
    ] {
        let read = rig.read_part("x", range).await.expect("a good part");
        assert_eq!(read.part.map(|part| (part.span, part.total)), Some((Span { first, last }, SIZE)), "{range}");
        let (first, last) = (usize::try_from(first).expect("small"), usize::try_from(last).expect("small"));
        assert_eq!(bytes(read).await, &whole[first..=last], "{range}");
    }
    let beyond = rig.read_part("x", ByteRange::From { first: SIZE }).await;
    assert!(matches!(beyond, Err(Error::RangeNotSatisfiable { size: Some(SIZE) })), "{beyond:?}");
}

#[tokio::test]
async fn odd_names_arrive_exactly() {
    let rig = Rig::start().await;
    for name in ["a b", "/a", "a//b/", "#?+%2F&=;", "ü/🦀", "a\\..\\b", "...", "x/..y", "*'()!~", "%", "a%00b"] {
        rig.put(name, Object::bytes(name.to_owned()));
        let read = rig.read(name).await.expect(name);
        assert_eq!(bytes(read).await, name.as_bytes());
        let arrived = rig.gcs.requests().pop().and_then(|request| request.object);
        assert_eq!(arrived.as_deref(), Some(name));
    }
}

#[tokio::test]
async fn the_payer_is_named() {
    let rig = Rig::start().await;
    rig.put("x", Object::bytes("x"));
    let project = Some(ProjectId::new("payer-1").expect("a legal project"));
    let read = rig.client.read(&rig.credential, gsgate::gcs::ReadRequest { project, ..request("x", None) }).await;
    assert_eq!(bytes(read.expect("a good read")).await, b"x");
    let sent = &rig.gcs.requests()[0];
    assert!(sent.target.contains("userProject=payer-1"), "{}", sent.target);
    assert_eq!(sent.headers["x-goog-user-project"], "payer-1");
}

#[tokio::test]
async fn reads_follow_googles_retry_scenarios() {
    let (s503, s400, s401) = (|| Action::status(503), || Action::status(400), || Action::status(401));
    for (faults, good) in [
        (vec![s503(), s503()], true),
        (vec![Action::Reset, Action::Reset], true),
        (vec![Action::Reset, s503()], true),
        (vec![s400()], false),
        (vec![s401(), s401()], false),
        (vec![s503(), s400()], false),
        (vec![Action::Reset, s401(), s401()], false),
    ] {
        let rig = Rig::start().await;
        let whole = rig.put_pattern("x");
        let told = format!("{faults:?}");
        let requests = faults.len() as u64 + u64::from(good);
        for (skip, fault) in faults.into_iter().enumerate() {
            rig.gcs.inject(Fault::new(fault).on(Operation::Media).skip(skip as u64));
        }
        match rig.read("x").await {
            Ok(read) => assert!(good && bytes(read).await == whole, "{told}"),
            Err(error) => assert!(!good, "{told}: {error}"),
        }
        assert_eq!(rig.reads(), requests, "{told}");
    }
}

#[tokio::test]
async fn a_wait_beyond_our_patience_is_not_waited() {
    let rig = Rig::start().await;
    rig.put("x", Object::bytes("x"));
    rig.fault(Action::retry_after(503, 3600));
    let refused = rig.read("x").await;
    let expected = Some(Duration::from_hours(1));
    assert!(matches!(&refused, Err(Error::Unavailable { retry_after, .. }) if *retry_after == expected), "{refused:?}");
    assert_eq!(rig.reads(), 1);
}

#[tokio::test]
async fn an_outage_is_not_multiplied() {
    let rig = Rig::start().await;
    rig.put("x", Object::bytes("x"));
    rig.gcs.inject(Fault::new(Action::status(503)).on(Operation::Media).always());
    for _ in 0..20 {
        for outcome in join_all((0..10).map(|_| rig.read("x"))).await {
            assert!(matches!(outcome, Err(Error::Unavailable { status: 503, .. })), "{outcome:?}");
        }
    }
    let sent = rig.reads();
    assert!((210..=240).contains(&sent), "{sent} requests for 200 reads");
}

#[tokio::test]
async fn a_lost_race_with_an_idle_connection_is_run_again_at_once() {
    let rig = Rig::with(|config| config.retries = 0).await;
    rig.put("x", Object::bytes("x"));
    assert_eq!(bytes(rig.read("x").await.expect("a first read")).await, b"x");
    rig.fault(Action::Close);
    assert_eq!(bytes(rig.read("x").await.expect("a second read")).await, b"x");
    assert_eq!(rig.reads(), 3);
    rig.gcs.inject(Fault::new(Action::Close).on(Operation::Media).times(2));
    let broken = rig.read("x").await;
    assert!(matches!(broken, Err(Error::Broken(_))), "only once: {broken:?}");
}

#[tokio::test]
async fn a_silent_head_is_waited_for_only_so_long() {
    let rig = Rig::with(|config| config.first_byte_timeout = Duration::from_millis(200)).await;
    rig.put("x", Object::bytes("x"));
    rig.fault(Action::Delay(Gate::new()));
    assert!(matches!(rig.read("x").await, Err(Error::FirstByteTimeout(_))));
    assert_eq!(rig.metrics.upstream_in_flight().get(), 0);
}

#[tokio::test]
async fn a_full_queue_turns_requests_away_and_serves_the_waiting() {
    let rig = Arc::new(Rig::with(|config| config.max_in_flight = 1).await);
    rig.put("x", Object::bytes("x"));
    let read = rig.read("x").await.expect("a first read");
    let waiting = tokio::spawn({
        let rig = Arc::clone(&rig);
        async move { drain(rig.read("x").await.expect("a waiting read").body).await }
    });
    while rig.metrics.upstream_queued().get() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(rig.read("x").await, Err(Error::Overloaded { .. })));
    drop(read);
    assert_eq!(waiting.await.expect("no panic").0, b"x");
    assert_eq!(rig.metrics.upstream_in_flight().get(), 0);
}

#[tokio::test]
async fn nobody_at_the_endpoint_is_a_connect_error() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let rig = Rig::with(|config| config.connect_to = Some(free.to_string())).await;
    let refused = rig.read("x").await;
    assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");
    assert_eq!(rig.reads(), 0);
}

#[tokio::test]
async fn connect_to_changes_the_address_alone() {
    let rig = Rig::with(|config| {
        config.connect_to = Some(config.endpoint.authority().to_string());
        config.endpoint = "http://storage.example.com".parse().expect("an endpoint");
    });
    let rig = rig.await;
    rig.put("x", Object::bytes("x"));
    assert_eq!(bytes(rig.read("x").await.expect("a good read")).await, b"x");
    assert_eq!(rig.gcs.requests()[0].headers["host"], "storage.example.com");
}

#[tokio::test]
async fn tls_is_checked_against_the_endpoints_name_and_the_ca_file() {
    let certificate = rcgen::generate_simple_self_signed(["storage.example.com".to_owned()]).expect("a certificate");
    let (chain, key) = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), &chain).expect("a written file");
    for (name, ca_file, good) in [
        ("storage.example.com", Some(ca.path()), true),
        ("storage.example.org", Some(ca.path()), false),
        ("storage.example.com", None, false),
    ] {
        let gcs = Emulator::builder().tls(chain.clone(), key.clone()).start().await.expect("an emulator");
        let rig = Rig::before(gcs, |config| {
            config.connect_to = Some(config.endpoint.authority().to_string());
            config.endpoint = format!("https://{name}").parse().expect("an endpoint");
            config.ca_file = ca_file.map(Into::into);
        })
        .await;
        rig.put("x", Object::bytes("x"));
        match rig.read("x").await {
            Ok(read) => assert!(good && bytes(read).await == b"x", "{name} {ca_file:?}"),
            Err(error) => assert!(!good && matches!(error, Error::Connect { .. }), "{name} {ca_file:?}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let rig = Rig::start().await;
    rig.put("x", Object::bytes("x"));
    rig.fault(Action::status(401));
    assert_eq!(bytes(rig.read("x").await.expect("a good read")).await, b"x");
    assert_eq!(rig.reads(), 2);
    let rig = Rig::start().await;
    rig.gcs.inject(Fault::new(Action::status(401)).on(Operation::Media).always());
    let refused = rig.read("x").await;
    assert!(matches!(refused, Err(Error::Unauthorized { .. })), "{refused:?}");
    assert_eq!(rig.reads(), 2);
}
