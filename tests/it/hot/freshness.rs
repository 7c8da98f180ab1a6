//! What is kept counts only for who may see it, and only as long as it is the object.

use gsgate::emulator::{Object, Operation, pattern};

use super::{lookups, start};
use crate::faults::wire::{metric, until};
use crate::support::TestGateway;

const ALWAYS_ASK: &str = "[cache]\nmetadata_ttl = \"0s\"";

fn old() -> Object {
    Object::generated(100_000, 1).generation(1)
}

fn new() -> Object {
    Object::generated(200_000, 2).generation(2).content_type("text/plain")
}

/// Requests that the access log calls this.
async fn requests(gateway: &TestGateway, cache: &str) -> u64 {
    let labels = "connection=\"media\",delivery=\"proxy\",reason=\"configured\",status=\"2xx\"";
    metric(gateway.admin, &format!("gsgate_requests_total{{{labels},cache=\"{cache}\"}}")).await
}

#[tokio::test]
async fn who_is_not_admitted_gets_nothing_of_what_is_kept() {
    let gateway = TestGateway::builder()
        .await
        .sections("[cache]\n[server]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]")
        .access("allow = [\"192.0.2.0/24\"]")
        .start()
        .await;
    gateway.put("x", old());
    let get = async |address: &str| gateway.client.get("/media/x", &[("x-forwarded-for", address)]).await;
    assert_eq!(get("192.0.2.1").await.bytes(), pattern(1, 0, 100_000));
    for _ in 0..2 {
        let answer = get("198.51.100.1").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"));
    }
    assert_eq!(get("192.0.2.2").await.bytes(), pattern(1, 0, 100_000));
    assert_eq!(gateway.gcs.requests().len(), 1);
}

#[tokio::test]
async fn within_its_time_what_is_kept_is_served_without_asking() {
    let gateway = start().await;
    gateway.put("x", old());
    gateway.client.get("/media/x", &[]).await;
    gateway.put("x", new());
    let answer = gateway.client.get("/media/x", &[]).await;
    assert_eq!((answer.bytes(), answer.header("etag").as_str()), (&pattern(1, 0, 100_000)[..], "\"1-1\""));
    assert_eq!(gateway.gcs.requests().len(), 1);
    until("a hit is counted", async || requests(&gateway, "hit").await == 1).await;
    assert_eq!(requests(&gateway, "miss").await, 1);
}

#[tokio::test]
async fn after_its_time_one_look_tells_whether_it_is_still_current() {
    let gateway = TestGateway::builder().await.sections(ALWAYS_ASK).start().await;
    gateway.put("x", old());
    for _ in 0..3 {
        assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), pattern(1, 0, 100_000));
    }
    assert_eq!((gateway.gcs.count(Operation::Media), gateway.gcs.count(Operation::Metadata)), (1, 2));
    assert_eq!(lookups(&gateway, "revalidated").await, 2);
    until("both are counted", async || requests(&gateway, "revalidated").await == 2).await;

    gateway.put("x", new());
    for headers in [&[][..], &[("range", "bytes=0-")]] {
        let answer = gateway.client.get("/media/x", headers).await;
        assert_eq!((answer.bytes(), answer.header("etag").as_str()), (&pattern(2, 0, 200_000)[..], "\"2-1\""));
        assert_eq!(answer.header("content-type"), "text/plain");
    }
    assert_eq!(gateway.gcs.count(Operation::Media), 2);
    gateway.bucket().remove("x");
    assert_eq!(gateway.client.get("/media/x", &[]).await.code(), "not_found");
}

#[tokio::test]
async fn another_type_of_the_same_bytes_costs_no_byte() {
    let gateway = TestGateway::builder().await.sections(ALWAYS_ASK).start().await;
    gateway.put("x", old().content_type("image/png"));
    assert_eq!(gateway.client.get("/media/x", &[]).await.header("content-type"), "image/png");
    gateway.put("x", old().metageneration(2).content_type("image/gif"));
    let answer = gateway.client.get("/media/x", &[]).await;
    assert_eq!((answer.header("content-type").as_str(), answer.header("etag").as_str()), ("image/gif", "\"1-2\""));
    assert_eq!(gateway.gcs.count(Operation::Media), 1);
}

#[tokio::test]
async fn a_right_that_was_taken_away_ends_with_the_next_look() {
    let gateway = TestGateway::builder().await.sections(ALWAYS_ASK).start().await;
    gateway.put("x", old());
    gateway.bucket().restrict();
    gateway.bucket().grant(&gateway.gcs.email(), &["storage.objects.get"]);
    assert_eq!(gateway.client.get("/media/x", &[]).await.status, 200);
    gateway.bucket().revoke(&gateway.gcs.email());
    assert_eq!(gateway.client.get("/media/x", &[]).await.code(), "upstream_denied");
}

#[tokio::test]
async fn what_must_not_be_stored_is_not() {
    let gateway = start().await;
    gateway.put("x", old().cache_control("private, no-store"));
    for _ in 0..2 {
        let answer = gateway.client.get("/media/x", &[]).await;
        assert_eq!((answer.bytes().len(), answer.header("cache-control").as_str()), (100_000, "private, no-store"));
    }
    assert_eq!(gateway.gcs.count(Operation::Media), 2);
}

#[tokio::test]
async fn a_reload_keeps_the_bytes_and_another_bucket_gets_none_of_them() {
    const RELOADED: &str = "gsgate_config_reloads_total{outcome=\"ok\"}";
    let gateway = start().await;
    gateway.put("x", old());
    gateway.client.get("/media/x", &[]).await;
    gateway.rewrite(|text| format!("{text}\n[connections.second]\nuri = \"gs://test-media/\"\n"));
    gateway.reload.reload();
    until("a reload", async || metric(gateway.admin, RELOADED).await == 1).await;
    assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), pattern(1, 0, 100_000));
    assert_eq!((gateway.gcs.count(Operation::Media), gateway.gcs.count(Operation::Metadata)), (1, 1));
    assert_eq!(gateway.client.get("/second/x", &[]).await.bytes(), pattern(1, 0, 100_000));
    assert_eq!(gateway.gcs.count(Operation::Media), 2, "connections share nothing");

    // The same generation, to make it hard.
    gateway.gcs.bucket("other-media").put("x", Object::generated(100_000, 3).generation(1));
    gateway.rewrite(|text| text.replacen("gs://test-media/", "gs://other-media/", 1));
    gateway.reload.reload();
    until("a reload", async || metric(gateway.admin, RELOADED).await == 2).await;
    assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), pattern(3, 0, 100_000));
    gateway.rewrite(|text| text.replace("[cache]", "[cache]\nmemory = 0"));
    gateway.reload.reload();
    until("a reload", async || metric(gateway.admin, RELOADED).await == 3).await;
    assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), pattern(3, 0, 100_000));
    until("nothing is kept any more", async || {
        metric(gateway.admin, "gsgate_cache_kept_bytes{tier=\"memory\"}").await == 0
    })
    .await;
}
