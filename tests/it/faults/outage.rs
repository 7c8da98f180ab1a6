//! GCS goes away and comes back, under 64 clients.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use gsgate::emulator::{Action, Fault, Gate, Object, Operation, pattern};
use http::Method;

use super::wire::{Got, Wire, at_rest, family, metric, until};
use crate::support::TestGateway;

const CLIENTS: usize = 64;
const SIZE: u64 = 2_000_003;
/// Retries that a window of the budget always has.
const FLOOR: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_gcs_breaks_no_stream() {
    let gateway = Arc::new(TestGateway::start().await);
    let whole = Arc::new(pattern(7, 0, usize::try_from(SIZE).unwrap()));
    gateway.put("x", Object::generated(SIZE, 7));
    let gate = Gate::new();
    let stall = Fault::new(Action::Stall(gate.clone())).on(Operation::Media);
    gateway.gcs.inject(stall.after_bytes(SIZE / 2).times(CLIENTS as u64));
    let clients: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(get(Arc::clone(&gateway), client))).collect();
    gate.reached(CLIENTS).await;
    gateway.gcs.kill().await;
    gateway.gcs.start_again().await.unwrap();
    for got in join_all(clients).await {
        let got = got.unwrap().expect("an answer");
        assert!(got.neat && got.body == *whole, "{}: {} bytes", got.status, got.body.len());
    }
    let (sent, resumes) =
        (gateway.gcs.count(Operation::Media), family(gateway.admin, "gsgate_upstream_resumes_total").await);
    println!("{CLIENTS} streams healed with {sent} requests, {resumes} resumes");
    assert!(sent <= 2 * CLIENTS as u64, "{sent} requests for {CLIENTS} streams that broke once");
    at_rest(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_is_back_when_gcs_is_and_no_storm_comes_with_it() {
    let gateway = Arc::new(TestGateway::start().await);
    let whole = pattern(7, 0, usize::try_from(SIZE).unwrap());
    gateway.put("x", Object::generated(SIZE, 7));
    let warm = join_all((0..CLIENTS).map(|client| get(Arc::clone(&gateway), client))).await;
    assert!(warm.into_iter().all(|got| got.is_some_and(|got| got.neat && got.body == whole)));
    gateway.gcs.kill().await;
    gateway.gcs.clear_requests();
    // Every client asks twice while GCS is gone, and is refused each time.
    for _ in 0..2 {
        for got in join_all((0..CLIENTS).map(|client| get(Arc::clone(&gateway), client))).await {
            let got = got.expect("a refusal, not a broken connection");
            assert!(matches!(got.status.as_u16(), 502..=504) && got.neat, "{}", got.status);
        }
    }
    // Some are asking just when it comes back.
    let asking: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(get(Arc::clone(&gateway), client))).collect();
    until("in flight", async || metric(gateway.admin, "gsgate_requests_in_flight").await == CLIENTS as u64).await;
    gateway.gcs.start_again().await.unwrap();
    let returned = Instant::now();
    let mut asked = CLIENTS as u64;
    until("service", async || {
        asked += 1;
        get(Arc::clone(&gateway), 0).await.is_some_and(|got| got.neat && got.body == whole)
    })
    .await;
    println!("service was back {:?} after GCS", returned.elapsed());
    for got in join_all(asking).await {
        let got = got.unwrap().expect("an answer");
        assert!(got.status.as_u16() >= 500 || (got.neat && got.body == whole), "{}", got.status);
    }
    let sent = gateway.gcs.count(Operation::Media);
    println!("{sent} requests reached GCS for {asked} of clients");
    assert!(sent <= asked + asked / 5 + FLOOR, "{sent} requests for {asked}: a storm");
    at_rest(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_that_answers_is_not_multiplied() {
    let gateway = Arc::new(TestGateway::start().await);
    gateway.put("x", Object::generated(SIZE, 7));
    gateway.gcs.inject(Fault::new(Action::status(503)).on(Operation::Media).always());
    for _ in 0..5 {
        for got in join_all((0..CLIENTS).map(|client| get(Arc::clone(&gateway), client))).await {
            assert_eq!(got.expect("an answer").status, 503);
        }
    }
    let (asked, sent) = (5 * CLIENTS as u64, gateway.gcs.count(Operation::Media));
    println!("{sent} requests reached GCS for {asked} of clients");
    // The run may touch three windows.
    assert!(sent <= asked + asked / 5 + 3 * FLOOR, "{sent} requests for {asked}: a storm");
    at_rest(&gateway).await;
}

async fn get(gateway: Arc<TestGateway>, client: usize) -> Option<Got> {
    let wire = if client.is_multiple_of(2) { Wire::Http1 } else { Wire::H2c };
    wire.send(gateway.client.address, Method::GET, "/media/x", &[]).await
}
