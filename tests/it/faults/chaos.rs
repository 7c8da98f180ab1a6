//! Many clients, random faults: whatever happens, a body is byte-identical or visibly broken.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use futures_util::future::join_all;
use gsgate::emulator::{Action, Emulator, Fault, Gate, Object, Operation, pattern};
use http::Method;

use super::wire::{Wire, at_rest, family};
use crate::support::{Builder, TestGateway};

const CLIENTS: u64 = 32;
const REQUESTS: u64 = 2000;
/// Bits of the largest size: 8 MiB.
const LARGEST: u32 = 23;
const LIMITS: &str = "[gcs]\nfirst_byte_timeout = \"5s\"\nstall_timeout = \"500ms\"\n";

/// How requests ended, counted.
type Tally = BTreeMap<&'static str, u64>;

/// `GSGATE_CHAOS_SEED` plays a run again.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_requests_under_random_faults_give_no_wrong_body() {
    let seed = std::env::var("GSGATE_CHAOS_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("GSGATE_CHAOS_SEED={seed}");
    let gcs = Emulator::builder().start().await.unwrap();
    let gateway = Arc::new(Builder::over(gcs).sections(LIMITS).on_all_cores().start().await);
    let clients = (0..CLIENTS).map(|client| tokio::spawn(run(Arc::clone(&gateway), seed, client)));
    let mut ends = Tally::new();
    for tally in join_all(clients).await {
        for (end, count) in tally.unwrap() {
            *ends.entry(end).or_default() += count;
        }
    }
    gateway.gcs.clear_faults();
    at_rest(&gateway).await;
    println!("{ends:?}");
    for name in ["gsgate_upstream_retries_total", "gsgate_upstream_resumes_total", "gsgate_upstream_aborts_total"] {
        println!("{name} {}", family(gateway.admin, name).await);
    }
    assert_eq!(ends.values().sum::<u64>(), REQUESTS / CLIENTS * CLIENTS);
    assert!(ends["identical"] > REQUESTS / 2, "most heal: {ends:?}");
}

/// One client with objects of its own, so that its faults meet no one else.
async fn run(gateway: Arc<TestGateway>, seed: u64, client: u64) -> Tally {
    let mut dice = Rng::with_seed(seed.wrapping_add(client));
    let mut ends = Tally::new();
    for turn in 0..REQUESTS / CLIENTS {
        // Every order of magnitude is as likely as any other.
        let bits = dice.u32(0..=LARGEST);
        let size = dice.u64(1..=1 << bits);
        let (name, stamp) = (format!("c{client}-{turn}"), client * 1000 + turn);
        gateway.put(&name, Object::generated(size, stamp));
        for _ in 0..dice.u32(0..3) {
            gateway.gcs.inject(fault(&mut dice, size).on(Operation::Media).object(&name));
        }
        let part = dice.bool().then(|| {
            let first = dice.u64(0..size);
            (first, dice.u64(first..size))
        });
        let wire = if dice.bool() { Wire::Http1 } else { Wire::H2c };
        *ends.entry(request(&gateway, wire, &name, (size, stamp), part).await).or_default() += 1;
        gateway.bucket().remove(&name);
    }
    ends
}

/// One request and the verdict on what it gave.
async fn request(
    gateway: &TestGateway,
    wire: Wire,
    name: &str,
    (size, stamp): (u64, u64),
    part: Option<(u64, u64)>,
) -> &'static str {
    let range = part.map(|(first, last)| format!("bytes={first}-{last}"));
    let headers: Vec<_> = range.iter().map(|range| ("range", range.as_str())).collect();
    let path = format!("/media/{name}");
    let Some(got) = wire.send(gateway.client.address, Method::GET, &path, &headers).await else { return "no answer" };
    if got.status.as_u16() >= 400 {
        assert!(matches!(got.status.as_u16(), 429 | 502..=504), "{name}: {}", got.status);
        return "refused";
    }
    let (first, last) = part.filter(|_| got.status == 206).unwrap_or((0, size - 1));
    let expected = pattern(stamp, first, usize::try_from(last - first + 1).unwrap());
    if got.neat {
        assert!(got.body == expected, "{name}: {} {part:?}: neat and wrong", got.status);
        return "identical";
    }
    assert!(got.body.len() <= expected.len(), "{name}: too much");
    "broken"
}

/// Anything but a corrupt byte, which nothing can tell in a part; the matrix has that one.
fn fault(dice: &mut Rng, size: u64) -> Fault {
    let at = dice.u64(0..size);
    match dice.u32(0..12) {
        0 => Fault::new(Action::status(*dice.choice([408, 429, 500, 502, 503, 504]).as_ref().unwrap())),
        1 => Fault::new(Action::Reset),
        2 => Fault::new(Action::Close),
        3 => Fault::new(Action::Reset).after_bytes(at),
        4 => Fault::new(Action::Close).after_bytes(at),
        5 => Fault::new(Action::Stall(Gate::new())).after_bytes(at),
        6 => Fault::new(Action::Truncate).after_bytes(at),
        7 => Fault::new(Action::content_length(at)),
        8 => Fault::new(Action::content_length(size + 1 + at)),
        9 => Fault::new(Action::header("content-range", format!("bytes {at}-{at}/{size}"))),
        10 => Fault::new(Action::redirect("http://127.0.0.1:9/")),
        _ => Fault::new(Action::header("x-goog-generation", at.to_string())).skip(1),
    }
}
