//! Budgets: requests, bytes and places, by client network and by subject.

use gsgate::emulator::Object;
use http::{Method, Response};

use crate::support::little_server::LittleServer;
use crate::support::tokens::{AUDIENCE, ISSUER, Issuer, key_set};
use crate::support::{Answer, TestGateway};

const ORIGIN: (&str, &str) = ("origin", "https://label.example");

async fn gateway(budgets: &str) -> TestGateway {
    let sections = format!("[cors]\norigins = [\"https://label.example\"]\n[budgets]\n{budgets}");
    let gateway = TestGateway::builder().await.sections(&sections).start().await;
    gateway.put("a", Object::generated(600, 7));
    gateway
}

fn refused(answer: &Answer) -> u64 {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "budget_spent"));
    assert_eq!(answer.header("access-control-allow-origin"), "https://label.example");
    let seconds = answer.header("retry-after").parse().unwrap();
    assert!(seconds >= 1);
    seconds
}

#[tokio::test]
async fn requests_beyond_the_burst_are_refused_until_later() {
    let gateway = gateway("per_network = { requests_per_second = 1, burst = 3 }").await;
    let preflight = [ORIGIN, ("access-control-request-method", "GET")];
    let mut served = 0;
    let answer = loop {
        assert_eq!(gateway.client.send(Method::OPTIONS, "/media/a", &preflight).await.status, 204, "costs nothing");
        let answer = gateway.client.get("/media/a", &[ORIGIN]).await;
        if answer.status != 200 {
            break answer;
        }
        served += 1;
        assert!(served < 1000, "nothing is ever refused");
    };
    assert!(served >= 3);
    assert_eq!(refused(&answer), 1);
    let metrics = gateway.admin.get("/metrics", &[]).await;
    assert!(metrics.text().contains("gsgate_budget_refusals_total{who=\"network\",limit=\"requests\"} 1"));
    assert_eq!(gateway.client.get("/-/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn bytes_are_counted_as_sent_and_outlive_a_reload() {
    let gateway = gateway("per_network = { bytes_per_day = \"1000 B\" }").await;
    for (range, status) in [("bytes=0-99", 206), ("bytes=0-", 206), ("bytes=0-298", 206)] {
        assert_eq!(gateway.client.get("/media/a", &[("range", range), ORIGIN]).await.status, status);
    }
    assert_eq!(gateway.client.head("/media/a", &[ORIGIN]).await.status, 200, "one byte is left");
    assert_eq!(gateway.client.get("/media/a", &[ORIGIN]).await.bytes().len(), 600, "what has begun is not cut");
    assert!(refused(&gateway.client.get("/media/a", &[ORIGIN]).await) <= 86_400);
    gateway.rewrite(|text| text.replace("1000 B", "1001 B"));
    gateway.reload.reload();
    while !gateway.admin.get("/metrics", &[]).await.text().contains("gsgate_config_reloads_total{outcome=\"ok\"} 1") {}
    refused(&gateway.client.get("/media/a", &[ORIGIN]).await);
    gateway.rewrite(|text| text.replace("1001 B", "1 MiB"));
    gateway.reload.reload();
    while gateway.client.get("/media/a", &[ORIGIN]).await.status != 200 {}
}

#[tokio::test]
async fn slow_downloads_of_one_network_take_no_more_than_its_places() {
    let gateway = gateway("per_network = { concurrent = 2 }").await;
    gateway.put("large", Object::generated(256 << 20, 7).crc32c(0));
    let (_, _, first) = gateway.client.open(Method::GET, "/media/large", &[]).await;
    let (status, _, _second) = gateway.client.open(Method::GET, "/media/large", &[]).await;
    assert_eq!(status, 200);
    assert_eq!(refused(&gateway.client.get("/media/a", &[ORIGIN]).await), 1);
    drop(first);
    while gateway.client.get("/media/a", &[ORIGIN]).await.status != 200 {}
}

#[tokio::test]
async fn a_subject_has_a_budget_of_its_own_wherever_it_comes_from() {
    let issuer = Issuer::es256("k");
    let keys = key_set(&[&issuer]);
    let server = LittleServer::start(move |_| Response::new(keys.clone())).await;
    let connection = format!(
        "delivery = \"proxy\"\njwt = {{ issuer = \"{ISSUER}\", audience = \"{AUDIENCE}\", jwks = \"{}\" }}",
        server.url("/")
    );
    let sections = "[budgets.per_subject]\nbytes_per_day = \"600 B\"";
    let gateway = TestGateway::builder().await.connection(&connection).sections(sections).start().await;
    gateway.put("a", Object::generated(600, 7));
    for (subject, status) in [("one", 200), ("one", 429), ("other", 200), ("other", 429), ("one", 429)] {
        let bearer = format!("Bearer {}", issuer.token(subject));
        assert_eq!(gateway.client.get("/media/a", &[("authorization", &bearer)]).await.status, status, "{subject}");
    }
    let metrics = gateway.admin.get("/metrics", &[]).await;
    assert!(metrics.text().contains("gsgate_budget_refusals_total{who=\"subject\",limit=\"bytes\"} 3"));
}

#[tokio::test]
async fn a_flood_is_refused_without_asking_anybody() {
    let gateway = gateway("per_network = { requests_per_second = 1, burst = 1 }").await;
    for _ in 0..300 {
        gateway.client.get("/media/missing", &[]).await;
    }
    let metrics = gateway.admin.get("/metrics", &[]).await;
    let line =
        metrics.text().lines().find(|line| line.starts_with("gsgate_budget_refusals_total{")).unwrap().to_owned();
    let refused: u64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!(gateway.gcs.requests().len() as u64 + refused <= 300 && refused > 0, "{line}");
}

#[tokio::test]
async fn what_would_refuse_everybody_is_refused_itself() {
    let sections = "[budgets]\nper_network = { concurrent = 0 }";
    let refused = TestGateway::builder().await.sections(sections).try_start().await;
    let message = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("budgets.per_network.concurrent") && message.contains("leave the key out"), "{message}");
}
