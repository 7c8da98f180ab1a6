//! Parts of objects that are too large to be kept whole.

use futures_util::future::join_all;
use gsgate::emulator::{Action, Fault, Gate, Object, Operation, pattern};
use http::Method;

use super::lookups;
use crate::faults::wire::{at_rest, metric, until};
use crate::support::{Answer, TestGateway};

const MEBIBYTE: u64 = 1024 * 1024;
const SIZE: u64 = 20 * MEBIBYTE + 12_345;

/// A gateway that knows the object `x`, which is too large to be kept whole.
async fn start() -> TestGateway {
    let sections = "[cache]\nmax_object = \"1 MiB\"\nmetadata_ttl = \"1h\"";
    let gateway = TestGateway::builder().await.sections(sections).start().await;
    gateway.put("x", Object::generated(SIZE, 7).generation(1));
    assert_eq!(gateway.client.head("/media/x", &[]).await.status, 200);
    gateway.gcs.clear_requests();
    gateway
}

async fn get(gateway: &TestGateway, first: u64, last: u64) -> Answer {
    gateway.client.get("/media/x", &[("range", &format!("bytes={first}-{last}"))]).await
}

fn assert_part(answer: &Answer, first: u64, last: u64) {
    assert_eq!(answer.status, 206, "{first}-{last}");
    assert_eq!(answer.header("content-range"), format!("bytes {first}-{last}/{SIZE}"));
    assert_eq!(answer.header("content-length"), (last - first + 1).to_string());
    let expected = pattern(7, first, usize::try_from(last - first + 1).unwrap());
    assert!(answer.bytes() == expected, "{first}-{last}: wrong bytes");
}

#[tokio::test]
async fn jumping_about_reads_each_place_once() {
    let gateway = start().await;
    for (first, last, media) in [
        (5_000_000, 5_999_999, 1),
        (5_000_000, 5_999_999, 1),
        (5_300_000, 5_300_000, 1),
        (5_500_000, 7_000_000, 2),
        (4_194_304, 7_340_031, 2),
        (SIZE - 100, SIZE - 1, 3),
        (SIZE - 7, SIZE - 1, 3),
    ] {
        assert_part(&get(&gateway, first, last).await, first, last);
        assert_eq!(gateway.gcs.requests().len(), media, "{first}-{last}");
    }
    assert_eq!((lookups(&gateway, "fill").await, lookups(&gateway, "hit").await), (3, 4));
}

#[tokio::test]
async fn many_who_jump_to_one_place_ask_gcs_once() {
    let gateway = start().await;
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::Media).always());
    let client = gateway.client;
    let range = [("range", "bytes=9000000-11999999")];
    let asking: Vec<_> = (0..16).map(|_| tokio::spawn(async move { client.get("/media/x", &range).await })).collect();
    until("all but one wait for that one", async || lookups(&gateway, "joined").await == 15).await;
    gate.open();
    for answer in join_all(asking).await {
        assert_part(&answer.unwrap(), 9_000_000, 11_999_999);
    }
    assert_eq!(gateway.gcs.requests().len(), 1);
}

/// `GSGATE_CHUNKS_SEED` plays a run again.
#[tokio::test]
async fn any_sequence_of_parts_is_what_slicing_gives() {
    let seed = std::env::var("GSGATE_CHUNKS_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("GSGATE_CHUNKS_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let gateway = start().await;
    for _ in 0..40 {
        let first = dice.u64(0..SIZE);
        let longest = if dice.u8(0..8) == 0 { SIZE } else { 2 * MEBIBYTE };
        let last = dice.u64(first..SIZE.min(first + longest));
        assert_part(&get(&gateway, first, last).await, first, last);
    }
}

#[tokio::test]
async fn who_reads_on_and_on_does_not_fill_the_cache() {
    let gateway = start().await;
    let entries = async || metric(gateway.admin, "gsgate_cache_entries{tier=\"memory\"}").await;
    for range in [None, Some(("range", "bytes=0-"))] {
        let answer = gateway.client.get("/media/x", range.as_slice()).await;
        assert!(answer.bytes() == pattern(7, 0, usize::try_from(SIZE).unwrap()));
    }
    assert_eq!((entries().await, gateway.gcs.requests().len()), (0, 2), "the whole is not kept in pieces");
    assert_part(&get(&gateway, 1, SIZE - 1).await, 1, SIZE - 1);
    assert_eq!(
        (entries().await, gateway.gcs.requests().len()),
        (9, 4),
        "eight chunks, and the note that there are some"
    );
}

#[tokio::test]
async fn no_part_mixes_two_versions() {
    let gateway = start().await;
    assert_part(&get(&gateway, 0, 2_000_000).await, 0, 2_000_000);
    gateway.put("x", Object::generated(SIZE, 8).generation(2));
    let answer = get(&gateway, 1_500_000, 4_000_000).await;
    // Its beginning is kept of the old version, which GCS has no more: it breaks, or is all of the new one.
    if let Ok(body) = &answer.body {
        assert!(*body == pattern(8, 1_500_000, 2_500_001));
    }
    let answer = get(&gateway, 12_000_000, 12_000_009).await;
    assert_eq!((answer.bytes(), answer.header("etag").as_str()), (&pattern(8, 12_000_000, 10)[..], "\"2-1\""));
    let answer = get(&gateway, 1_500_000, 4_000_000).await;
    assert!(answer.bytes() == pattern(8, 1_500_000, 2_500_001));
}

#[tokio::test]
async fn a_client_that_leaves_ends_what_nobody_else_reads() {
    let gateway = start().await;
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Stall(gate.clone())).on(Operation::Media).after_bytes(2 * MEBIBYTE));
    let headers = [("range", "bytes=0-6000000")];
    let (status, _, body) = gateway.client.open(Method::GET, "/media/x", &headers).await;
    assert_eq!(status, 206);
    drop(body);
    at_rest(&gateway).await;
    assert_part(&get(&gateway, 0, 6_000_000).await, 0, 6_000_000);
}

#[tokio::test]
async fn a_few_bytes_are_enough_to_keep_their_chunk() {
    let gateway = start().await;
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Stall(gate.clone())).on(Operation::Media).after_bytes(500_000));
    assert_part(&get(&gateway, 4 * MEBIBYTE + 7, 4 * MEBIBYTE + 9).await, 4 * MEBIBYTE + 7, 4 * MEBIBYTE + 9);
    until("the client has left", async || metric(gateway.admin, "gsgate_requests_in_flight").await == 0).await;
    gate.open();
    let entries = async || metric(gateway.admin, "gsgate_cache_entries{tier=\"memory\"}").await;
    until("the chunk is kept, with the note that there is one", async || entries().await == 2).await;
    assert_part(&get(&gateway, 4 * MEBIBYTE, 5 * MEBIBYTE - 1).await, 4 * MEBIBYTE, 5 * MEBIBYTE - 1);
    assert_eq!(gateway.gcs.requests().len(), 1);
}
