//! Google's published retry scenarios, as far as they concern reads.
//!
//! Follows `tests/vectors/retry_tests.json`, from <https://github.com/googleapis/conformance-tests>.

use gsgate::emulator::{Action, Fault, Object, Operation, pattern};
use serde_json::Value;

use super::wire::{Wire, at_rest};
use crate::support::TestGateway;

const SIZE: usize = 700_001;

/// What the gateway does to GCS: reads an object's bytes (GET) and its metadata (HEAD).
const METHODS: [(http::Method, Operation); 2] =
    [(http::Method::GET, Operation::Media), (http::Method::HEAD, Operation::Metadata)];

#[tokio::test(flavor = "multi_thread")]
async fn reads_through_the_gateway_follow_googles_scenarios() {
    let scenarios: Value = serde_json::from_str(include_str!("../../vectors/retry_tests.json")).unwrap();
    let mut played = 0;
    for scenario in scenarios["retryTests"].as_array().unwrap() {
        let concerns_reads = scenario["methods"].as_array().unwrap().iter().any(|m| m["name"] == "storage.objects.get");
        for case in scenario["cases"].as_array().unwrap().iter().filter(|_| concerns_reads) {
            let instructions: Vec<_> =
                case["instructions"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
            for (method, operation) in METHODS {
                // A broken stream is a matter of bodies.
                let bodily = instructions.iter().any(|text| text.contains("broken-stream"));
                if !(bodily && operation == Operation::Metadata) {
                    play(&instructions, scenario["expectSuccess"] == true, method, operation).await;
                    played += 1;
                }
            }
        }
    }
    assert_eq!(played, 16, "other scenarios than those we know");
}

async fn play(instructions: &[&str], good: bool, method: http::Method, operation: Operation) {
    let gateway = TestGateway::start().await;
    gateway.put("x", Object::generated(SIZE as u64, 7));
    for (skip, instruction) in instructions.iter().enumerate() {
        // The gateway renews its token once upon a 401: it counts twice.
        let times = if *instruction == "return-401" { 2 } else { 1 };
        gateway.gcs.inject(fault(instruction).on(operation).skip(skip as u64).times(times));
    }
    let got = Wire::Http1.send(gateway.client.address, method, "/media/x", &[]).await.unwrap();
    assert_eq!(got.status.is_success(), good, "{instructions:?}: {}", got.status);
    if good && operation == Operation::Media {
        assert!(got.neat && got.body == pattern(7, 0, SIZE), "{instructions:?}");
    }
    let sent = gateway.gcs.count(operation);
    let renewals = instructions.iter().filter(|text| **text == "return-401").count();
    assert_eq!(sent, (instructions.len() + renewals + usize::from(good)) as u64, "{instructions:?}");
    at_rest(&gateway).await;
}

fn fault(instruction: &str) -> Fault {
    match instruction {
        "return-reset-connection" => Fault::new(Action::Reset),
        "return-broken-stream" => Fault::new(Action::Close).after_bytes(1000),
        "return-broken-stream-after-256K" => Fault::new(Action::Close).after_bytes(256 * 1024),
        status => Fault::new(Action::status(status.strip_prefix("return-").unwrap().parse().unwrap())),
    }
}
