//! How much is kept, and of what.

use futures_util::future::join_all;
use gsgate::emulator::{Object, Operation, pattern};

use crate::faults::wire::{at_rest, metric};
use crate::support::TestGateway;

const MEBIBYTE: u64 = 1024 * 1024;

async fn kept(gateway: &TestGateway) -> u64 {
    metric(gateway.admin, "gsgate_cache_kept_bytes{tier=\"memory\"}").await
}

async fn with(cache: &str) -> TestGateway {
    TestGateway::builder().await.sections(&format!("[cache]\n{cache}")).start().await
}

/// Numbers from 0 to 1999, each as often as Zipf's law says.
fn zipf(dice: &mut fastrand::Rng, sums: &[u64]) -> u64 {
    let drawn = dice.u64(0..sums[sums.len() - 1]);
    sums.partition_point(|sum| *sum <= drawn) as u64
}

fn sums() -> Vec<u64> {
    (1..=2000_u64)
        .scan(0, |sum, rank| {
            *sum += 1_000_000 / rank;
            Some(*sum)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_set_that_fits_is_read_once() {
    let gateway = with("memory = \"32 MiB\"\nmetadata_ttl = \"1h\"").await;
    for number in 0..2000 {
        gateway.put(&format!("{number}"), Object::generated(10_000, number));
    }
    let client = gateway.client;
    let clients = (0..16_u64).map(|seed| {
        tokio::spawn(async move {
            let mut dice = fastrand::Rng::with_seed(seed);
            let (sums, mut seen) = (sums(), Vec::new());
            for _ in 0..400 {
                let number = zipf(&mut dice, &sums);
                assert_eq!(client.get(&format!("/media/{number}"), &[]).await.bytes(), pattern(number, 0, 10_000));
                seen.push(number);
            }
            seen
        })
    });
    let mut distinct: Vec<u64> = join_all(clients).await.into_iter().flat_map(Result::unwrap).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let (asked, distinct) = (gateway.gcs.requests().len(), distinct.len());
    println!("6400 requests for {distinct} objects: {asked} requests to GCS");
    assert!(distinct > 500 && asked * 100 < distinct * 105, "{asked} for {distinct}");
}

#[tokio::test]
async fn while_memory_is_full_an_object_is_kept_the_second_time() {
    let gateway = with("memory = \"2 MiB\"\nmetadata_ttl = \"1h\"").await;
    for number in 0..100 {
        gateway.put(&format!("{number}"), Object::generated(30_000, number));
        gateway.client.get(&format!("/media/{number}"), &[]).await;
    }
    let full = kept(&gateway).await;
    assert!(full > 2 * MEBIBYTE * 7 / 8, "{full}");
    gateway.put("new", Object::generated(30_000, 7));
    gateway.gcs.clear_requests();
    let mut asked = Vec::new();
    for _ in 0..4 {
        assert_eq!(gateway.client.get("/media/new", &[]).await.bytes(), pattern(7, 0, 30_000));
        asked.push(gateway.gcs.requests().len());
    }
    assert_eq!(asked, [1, 2, 2, 2], "passed through, then kept");
}

#[tokio::test]
async fn one_scan_does_not_flush_the_hot_set() {
    let gateway = with("memory = \"4 MiB\"\nmetadata_ttl = \"1h\"").await;
    let name = |number: u64| format!("/media/{number}");
    for number in 0..1000 {
        gateway.put(&format!("{number}"), Object::generated(20_000, number));
    }
    for _ in 0..4 {
        for number in 0..100 {
            gateway.client.get(&name(number), &[]).await;
        }
    }
    for number in 100..1000 {
        assert_eq!(gateway.client.get(&name(number), &[]).await.bytes(), pattern(number, 0, 20_000));
    }
    gateway.gcs.clear_requests();
    for number in 0..100 {
        gateway.client.get(&name(number), &[]).await;
    }
    let again = gateway.gcs.requests().len();
    println!("{again} of 100 were read again after a scan of 900");
    assert!(again <= 10, "{again} of 100 hot objects were flushed");
}

#[tokio::test]
async fn what_is_kept_stays_within_its_bound() {
    let gateway = with("memory = \"1 MiB\"").await;
    for number in 0..100 {
        gateway.put(&format!("{number}"), Object::generated(50_000, number));
    }
    for round in 0..3 {
        for number in 0..100 {
            let number = (number * 7 + round) % 100;
            assert_eq!(gateway.client.get(&format!("/media/{number}"), &[]).await.bytes(), pattern(number, 0, 50_000));
            assert!(kept(&gateway).await <= MEBIBYTE);
        }
    }
    at_rest(&gateway).await;
    assert!(metric(gateway.admin, "gsgate_cache_evictions_total{tier=\"memory\"}").await > 0);
}

#[tokio::test]
async fn larger_objects_stream_through() {
    let gateway = with("max_object = \"1 MiB\"").await;
    gateway.put("fits", Object::generated(MEBIBYTE, 1));
    gateway.put("large", Object::generated(MEBIBYTE + 1, 2));
    for _ in 0..2 {
        assert_eq!(gateway.client.get("/media/fits", &[]).await.bytes(), pattern(1, 0, 1 << 20));
        assert_eq!(gateway.client.get("/media/large", &[]).await.bytes(), pattern(2, 0, (1 << 20) + 1));
    }
    assert_eq!(gateway.gcs.count(Operation::Media), 3);
}

#[tokio::test]
async fn switched_off_nothing_is_kept() {
    for memory in ["0", "\"0 B\""] {
        let gateway = with(&format!("memory = {memory}")).await;
        gateway.put("x", Object::generated(100_000, 1));
        for _ in 0..2 {
            assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), pattern(1, 0, 100_000));
        }
        assert_eq!(gateway.gcs.count(Operation::Media), 2, "{memory}");
    }
}
