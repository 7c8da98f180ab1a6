//! Bodies that break: healed byte for byte, or visibly broken.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gsgate::emulator::{Action, Fault, Gate, Object, Operation};
use gsgate::gcs::{Error, Read};
use gsgate::object::ByteRange;

use super::rig::{Rig, SIZE, bytes, drain};

/// The ways in which a body breaks at once.
fn breaks() -> [Action; 3] {
    [Action::Reset, Action::Close, Action::Truncate]
}

#[tokio::test]
async fn a_broken_body_is_healed_wherever_it_breaks() {
    let rig = Rig::start().await;
    let whole = rig.put_pattern("x");
    for action in breaks() {
        for after in [0, 1, SIZE / 2, SIZE - 1] {
            rig.gcs.clear_requests();
            rig.gcs.inject(Fault::new(action.clone()).on(Operation::Media).after_bytes(after));
            let read = rig.read("x").await.expect("a good head");
            assert!(bytes(read).await == whole, "{action:?} after {after}");
            assert_eq!(rig.reads(), 2, "{action:?} after {after}");
        }
    }
}

#[tokio::test]
async fn a_broken_part_is_healed_with_what_is_missing() {
    let rig = Rig::start().await;
    let whole = rig.put_pattern("x");
    for action in breaks() {
        for after in [0, 1, 150_000, 299_999] {
            rig.gcs.clear_requests();
            rig.gcs.inject(Fault::new(action.clone()).on(Operation::Media).after_bytes(after));
            let range = ByteRange::FromTo { first: 100_000, last: 399_999 };
            let read = rig.read_part("x", range).await.expect("a good head");
            assert!(bytes(read).await == whole[100_000..400_000], "{action:?} after {after}");
            let resumed = rig.gcs.requests().pop().expect("a second request");
            let asked = resumed.headers["range"].to_str().expect("text").to_owned();
            assert!(asked.ends_with("-399999"), "{asked}");
            assert!(resumed.target.contains("&generation="), "{}", resumed.target);
        }
    }
}

#[tokio::test]
async fn a_silent_body_is_healed() {
    let rig = Rig::with(|config| config.stall_timeout = Duration::from_millis(200)).await;
    let whole = rig.put_pattern("x");
    for after in [0, 1, SIZE / 2, SIZE - 1] {
        rig.gcs.inject(Fault::new(Action::Stall(Gate::new())).on(Operation::Media).after_bytes(after));
        let read = rig.read("x").await.expect("a good head");
        assert!(bytes(read).await == whole, "after {after}");
    }
}

#[tokio::test]
async fn a_body_is_healed_as_often_as_allowed() {
    let rig = Rig::start().await;
    let whole = rig.put_pattern("x");
    rig.gcs.inject(Fault::new(Action::Close).on(Operation::Media).after_bytes(100_000).times(4));
    assert!(bytes(rig.read("x").await.expect("a good head")).await == whole);
    assert_eq!(rig.reads(), 5);
    rig.gcs.inject(Fault::new(Action::Close).on(Operation::Media).after_bytes(100_000).times(5));
    let (received, end) = drain(rig.read("x").await.expect("a good head").body).await;
    assert!(matches!(end, Err(Error::EndedEarly { .. } | Error::Broken(_))), "{end:?}");
    assert!(received.len() < whole.len() && whole.starts_with(&received));
}

#[tokio::test]
async fn a_stream_whose_generation_is_gone_breaks() {
    let rig = Rig::start().await;
    let whole = rig.put_pattern("x");
    rig.gcs.inject(Fault::new(Action::Close).on(Operation::Media).after_bytes(SIZE / 2));
    let read = rig.read("x").await.expect("a good head");
    rig.put("x", Object::generated(SIZE, 8));
    let (received, end) = drain(read.body).await;
    assert!(matches!(end, Err(Error::Changed)), "{end:?}");
    assert!(received.len() < whole.len() && whole.starts_with(&received));
    assert_eq!(rig.metrics.upstream_in_flight().get(), 0);
}

#[tokio::test]
async fn a_resumed_answer_that_does_not_fit_breaks_the_stream() {
    for (header, value) in [
        ("content-range", "bytes 350001-700000/700001"),
        ("content-range", "bytes 350000-700000/700002"),
        ("x-goog-generation", "1"),
        ("content-encoding", "gzip"),
    ] {
        let rig = Rig::start().await;
        let whole = rig.put_pattern("x");
        rig.gcs.inject(Fault::new(Action::Close).on(Operation::Media).after_bytes(350_000));
        rig.gcs.inject(Fault::new(Action::header(header, value)).on(Operation::Media).skip(1));
        let (received, end) = drain(rig.read("x").await.expect("a good head").body).await;
        assert!(matches!(end, Err(Error::Protocol(_))), "{header}: {value}: {end:?}");
        assert!(whole.starts_with(&received) && received.len() < whole.len());
    }
}

#[tokio::test]
async fn a_resumed_stream_that_is_denied_breaks() {
    for status in [401, 403, 404, 400, 302, 200] {
        let rig = Rig::start().await;
        rig.put_pattern("x");
        rig.gcs.inject(Fault::new(Action::Close).on(Operation::Media).after_bytes(350_000));
        rig.gcs.inject(Fault::new(Action::status(status)).on(Operation::Media).skip(1).times(2));
        let (received, end) = drain(rig.read("x").await.expect("a good head").body).await;
        assert!(end.is_err() && received.len() < 700_001, "{status}");
    }
}

#[tokio::test]
async fn a_corrupt_byte_never_reaches_the_end() {
    let rig = Rig::start().await;
    let whole = rig.put_pattern("x");
    for at in [0, SIZE / 2, SIZE - 1] {
        rig.gcs.inject(Fault::new(Action::Corrupt).on(Operation::Media).after_bytes(at));
        let (received, end) = drain(rig.read("x").await.expect("a good head").body).await;
        assert!(matches!(end, Err(Error::Corrupt { .. })), "{at}: {end:?}");
        assert!(received.len() < whole.len(), "{at}: the last piece is held back");
    }
}

#[tokio::test]
async fn a_corrupt_small_body_is_read_again() {
    let rig = Rig::start().await;
    rig.put("x", Object::bytes("0123456789"));
    rig.gcs.inject(Fault::new(Action::Corrupt).on(Operation::Media).after_bytes(5));
    assert_eq!(bytes(rig.read("x").await.expect("a good head")).await, b"0123456789");
    assert_eq!(rig.reads(), 2);
    rig.put("wrong", Object::bytes("0123456789").crc32c(1));
    let (received, end) = drain(rig.read("wrong").await.expect("a good head").body).await;
    assert!(matches!(end, Err(Error::Corrupt { expected: 1, .. })), "{end:?}");
    assert!(received.is_empty());
}

#[tokio::test]
async fn a_resumed_body_is_checked_as_a_whole() {
    let rig = Rig::start().await;
    rig.put_pattern("x");
    rig.gcs.inject(Fault::new(Action::Close).on(Operation::Media).after_bytes(350_000));
    rig.gcs.inject(Fault::new(Action::Corrupt).on(Operation::Media).after_bytes(1000).skip(1));
    let (_, end) = drain(rig.read("x").await.expect("a good head").body).await;
    assert!(matches!(end, Err(Error::Corrupt { .. })), "{end:?}");
}

#[tokio::test]
async fn an_empty_object_ends_at_once() {
    let rig = Rig::start().await;
    rig.put("x", Object::bytes(""));
    let read: Read = rig.read("x").await.expect("a good head");
    assert_eq!(read.metadata.size, 0);
    assert!(bytes(read).await.is_empty());
}

#[tokio::test]
async fn a_body_that_nobody_wants_gives_its_place_back() {
    let rig = Rig::start().await;
    rig.put_pattern("x");
    let read = rig.read("x").await.expect("a good head");
    assert_eq!(rig.metrics.upstream_in_flight().get(), 1);
    drop(read);
    assert_eq!(rig.metrics.upstream_in_flight().get(), 0);
}

#[tokio::test]
async fn streams_survive_a_restart_of_gcs() {
    let rig = Arc::new(Rig::start().await);
    let whole = Arc::new(rig.put_pattern("x"));
    let gate = Gate::new();
    rig.gcs.inject(Fault::new(Action::Stall(gate.clone())).on(Operation::Media).after_bytes(SIZE / 2).times(64));
    let readers: Vec<_> = (0..64)
        .map(|_| {
            let (rig, whole) = (Arc::clone(&rig), Arc::clone(&whole));
            tokio::spawn(async move { bytes(rig.read("x").await.expect("a good head")).await == *whole })
        })
        .collect();
    gate.reached(64).await;
    rig.gcs.kill().await;
    rig.gcs.start_again().await.expect("the same address");
    for reader in readers {
        assert!(reader.await.expect("a healed body"), "byte for byte");
    }
    assert!(rig.reads() <= 64 * 2, "{} requests for 64 streams", rig.reads());
}

#[tokio::test]
async fn under_any_mix_of_faults_a_body_is_whole_or_broken() {
    let rig = Rig::start().await;
    let whole = rig.put_pattern("x");
    for (action, after, every) in [
        (Action::Reset, Some(SIZE / 3), 3),
        (Action::status(503), None, 5),
        (Action::Corrupt, Some(SIZE / 2), 7),
        (Action::Truncate, Some(SIZE / 5), 11),
        (Action::Close, None, 13),
        (Action::header("content-range", "bytes 0-1/2"), None, 17),
        (Action::content_length(SIZE / 4), None, 19),
    ] {
        let fault = Fault::new(action).on(Operation::Media).every(every).always();
        rig.gcs.inject(after.into_iter().fold(fault, Fault::after_bytes));
    }
    let (mut good, mut broken) = (0, 0);
    for _ in 0..25 {
        for read in join_all((0..8).map(|_| rig.read("x"))).await {
            let Ok(read) = read else {
                broken += 1;
                continue;
            };
            match drain(read.body).await {
                (received, Ok(())) => {
                    assert!(received == whole, "a body that ends well is whole");
                    good += 1;
                }
                (received, Err(_)) => {
                    assert!(received.len() < whole.len(), "a broken body is short");
                    broken += 1;
                }
            }
        }
    }
    assert!(good > 100, "{good} good, {broken} broken");
    assert_eq!(rig.metrics.upstream_in_flight().get(), 0);
}
