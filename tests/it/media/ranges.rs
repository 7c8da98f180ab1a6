//! Ranges: single ones are served, several and nonsense are not there, impossible ones are refused.

use gsgate::emulator::{Object, Operation, pattern};

use crate::support::TestGateway;

#[tokio::test]
async fn single_ranges_are_served_and_everything_else_is_the_whole() {
    let gateway = TestGateway::start().await;
    gateway.put("a.bin", Object::generated(1000, 7));
    let whole = pattern(7, 0, 1000);
    for (range, status, first, last) in [
        ("bytes=0-0", 206, 0, 0),
        ("bytes=0-", 206, 0, 999),
        ("bytes=10-19", 206, 10, 19),
        ("bytes=990-2000", 206, 990, 999),
        ("bytes=-1", 206, 999, 999),
        ("bytes=-5000", 206, 0, 999),
        ("bytes=999-", 206, 999, 999),
        ("bytes=0-1,5-6", 200, 0, 999),
        ("bytes=5-2", 200, 0, 999),
        ("bytes=x", 200, 0, 999),
        ("items=0-1", 200, 0, 999),
    ] {
        let answer = gateway.client.get("/media/a.bin", &[("range", range)]).await;
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.bytes(), &whole[first..=last], "{range}");
        let content_range = if status == 206 { format!("bytes {first}-{last}/1000") } else { String::new() };
        assert_eq!(answer.header("content-range"), content_range, "{range}");
        assert_eq!(answer.header("content-length"), (last - first + 1).to_string(), "{range}");
        assert_eq!(answer.header("accept-ranges"), "bytes", "{range}");
    }
}

#[tokio::test]
async fn an_unsatisfiable_range_tells_the_size() {
    let gateway = TestGateway::start().await;
    gateway.put("a.bin", Object::generated(1000, 7));
    gateway.put("empty", Object::bytes(""));
    for (object, range, size) in [
        ("a.bin", "bytes=1000-", 1000),
        ("a.bin", "bytes=-0", 1000),
        ("empty", "bytes=0-", 0),
        ("empty", "bytes=-1", 0),
    ] {
        let answer = gateway.client.get(&format!("/media/{object}"), &[("range", range)]).await;
        assert_eq!(answer.status, 416, "{object} {range}");
        assert_eq!(answer.header("content-range"), format!("bytes */{size}"), "{object} {range}");
        assert_eq!(answer.code(), "range_not_satisfiable");
    }
}

#[tokio::test]
async fn one_upstream_request_serves_an_object() {
    let gateway = TestGateway::start().await;
    gateway.put("a.bin", Object::generated(1000, 7));
    for headers in [&[][..], &[("range", "bytes=1-2")][..]] {
        gateway.gcs.clear_requests();
        assert!(gateway.client.get("/media/a.bin", headers).await.status.is_success());
        assert_eq!((gateway.gcs.count(Operation::Media), gateway.gcs.requests().len()), (1, 1));
    }
}
