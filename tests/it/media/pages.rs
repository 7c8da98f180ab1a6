//! The pages for load balancers.

use gsgate::emulator::{Action, Fault, Gate, Object, Operation};
use http::Method;
use http_body_util::BodyExt;
use tokio::net::TcpStream;

use crate::support::TestGateway;

#[tokio::test]
async fn load_balancers_see_that_the_process_lives_and_wants_traffic() {
    let gateway = TestGateway::builder().await.access("allow = [\"192.0.2.1\"]").start().await;
    ready(&gateway).await;
    for (client, path) in [
        (gateway.client, "/-/healthz"),
        (gateway.client, "/-/readyz"),
        (gateway.admin, "/healthz"),
        (gateway.admin, "/livez"),
        (gateway.admin, "/readyz"),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = client.send(method, path, &[]).await;
            assert_eq!(answer.status, 200, "{path}: whoever asks");
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        }
        assert_eq!(client.send(Method::POST, path, &[]).await.status, 405, "{path}");
    }
    assert_eq!(gateway.gcs.requests().len(), 0, "a check asks nobody");
    for path in ["/healthz", "/readyz", "/-/healthz/", "/-/", "/-/metrics", "/metrics", "/config"] {
        assert_eq!(gateway.client.get(path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn while_draining_it_lives_but_wants_no_traffic_and_finishes_what_it_began() {
    let gateway = TestGateway::start().await;
    ready(&gateway).await;
    gateway.put("a", Object::generated(1 << 20, 7));
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Stall(gate.clone())).on(Operation::Media).after_bytes(1000));
    let (status, _, body) = gateway.client.open(Method::GET, "/media/a", &[]).await;
    assert_eq!(status, 200);
    gate.reached(1).await;
    gateway.shut_down();
    while gateway.admin.get("/readyz", &[]).await.status == 200 {
        tokio::task::yield_now().await;
    }
    for (path, status) in [("/healthz", 200), ("/livez", 200), ("/readyz", 503)] {
        assert_eq!(gateway.admin.get(path, &[]).await.status, status, "{path}");
    }
    assert!(TcpStream::connect(gateway.client.address).await.is_err(), "the door is closed");
    gate.open();
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 1 << 20);
    assert_eq!(gateway.drained().await.aborted, 0);
}

/// The first look at the credential is over.
async fn ready(gateway: &TestGateway) {
    while gateway.admin.get("/readyz", &[]).await.status != 200 {
        tokio::task::yield_now().await;
    }
}
