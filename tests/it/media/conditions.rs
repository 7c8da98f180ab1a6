//! Preconditions, over the wire: the table of RFC 9110 section 13, with metadata known beforehand and not.

use std::time::{Duration, SystemTime};

use gsgate::emulator::{Object, Operation, pattern};

use crate::support::TestGateway;

/// Sun, 06 Nov 1994 08:49:37 GMT, and some: HTTP dates have no fractions.
const MODIFIED: Duration = Duration::from_millis(784_111_777_500);
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const NO_CACHE: &str = "[cache]\nmetadata_ttl = \"0s\"\nnegative_ttl = \"0s\"\nmemory = 0";

type Headers = &'static [(&'static str, &'static str)];

fn object() -> Object {
    Object::generated(1000, 7).generation(7).metageneration(2).updated(SystemTime::UNIX_EPOCH + MODIFIED)
}

/// A gateway that remembers metadata, and one that does not.
async fn gateways() -> [TestGateway; 2] {
    let remembering = TestGateway::start().await;
    let forgetting = TestGateway::builder().await.sections(NO_CACHE).start().await;
    for gateway in [&remembering, &forgetting] {
        gateway.put("a.bin", object());
    }
    assert!(remembering.client.get("/media/a.bin", &[]).await.status.is_success());
    [remembering, forgetting]
}

#[tokio::test]
async fn preconditions_follow_rfc_9110() {
    const TABLE: &[(Headers, u16)] = &[
        (&[("if-none-match", "\"7-2\"")], 304),
        (&[("if-none-match", "W/\"7-2\"")], 304),
        (&[("if-none-match", "\"a\", \"7-2\"")], 304),
        (&[("if-none-match", "\"a,b\",W/\"7-2\"")], 304),
        (&[("if-none-match", "\"a\""), ("if-none-match", "\"7-2\"")], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"7-1\"")], 200),
        (&[("if-none-match", "\"7-2-gz\"")], 200),
        (&[("if-none-match", "7-2")], 200),
        (&[("if-modified-since", DATE)], 304),
        (&[("if-modified-since", AFTER)], 304),
        (&[("if-modified-since", BEFORE)], 200),
        (&[("if-modified-since", "yesterday")], 200),
        (&[("if-none-match", "\"7-1\""), ("if-modified-since", AFTER)], 200),
        (&[("if-none-match", "\"7-2\""), ("if-modified-since", BEFORE)], 304),
        (&[("if-match", "\"7-2\"")], 200),
        (&[("if-match", "\"x\", \"7-2\"")], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", "W/\"7-2\"")], 412),
        (&[("if-match", "\"7-1\"")], 412),
        (&[("if-match", "\"7-1\""), ("if-none-match", "\"7-2\"")], 412),
        (&[("if-match", "\"7-2\""), ("if-none-match", "\"7-2\"")], 304),
        (&[("if-match", "\"7-2\""), ("if-unmodified-since", BEFORE)], 200),
        (&[("if-unmodified-since", DATE)], 200),
        (&[("if-unmodified-since", BEFORE)], 412),
        (&[("if-unmodified-since", "yesterday")], 200),
    ];
    for gateway in gateways().await {
        for (headers, status) in TABLE {
            gateway.gcs.clear_requests();
            let got = gateway.client.get("/media/a.bin", headers).await;
            let media = gateway.gcs.count(Operation::Media);
            let head = gateway.client.head("/media/a.bin", headers).await;
            assert_eq!((got.status.as_u16(), head.status), (*status, got.status), "{headers:?}");
            assert_eq!(media, u64::from(*status == 200), "a refusal costs no media request: {headers:?}");
            assert!(head.bytes().is_empty());
            match status {
                200 => assert_eq!(got.bytes(), pattern(7, 0, 1000), "{headers:?}"),
                412 => assert_eq!(got.code(), "precondition_failed", "{headers:?}"),
                _ => assert_not_modified(&got),
            }
        }
    }
}

fn assert_not_modified(answer: &crate::support::Answer) {
    assert!(answer.bytes().is_empty());
    assert_eq!(answer.header("etag"), "\"7-2\"");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert_eq!(answer.header("last-modified"), DATE);
    assert_eq!(answer.header("vary"), "Origin");
    assert_eq!(answer.header("x-gsgate-delivery"), "proxy; reason=configured");
    for absent in ["content-length", "content-type", "content-range", "x-goog-hash"] {
        assert_eq!(answer.header(absent), "", "{absent}");
    }
}

#[tokio::test]
async fn a_range_counts_only_for_the_version_it_was_meant_for() {
    const TABLE: &[(&str, u16)] = &[
        ("\"7-2\"", 206),
        ("\"7-1\"", 200),
        ("\"6-2\"", 200),
        ("\"7-2-gz\"", 200),
        ("W/\"7-2\"", 200),
        (DATE, 206),
        (AFTER, 200),
        (BEFORE, 200),
        ("yesterday", 200),
        ("*", 200),
    ];
    for gateway in gateways().await {
        for (validator, status) in TABLE {
            let headers = [("range", "bytes=10-19"), ("if-range", *validator)];
            let answer = gateway.client.get("/media/a.bin", &headers).await;
            assert_eq!(answer.status, *status, "{validator}");
            let expected = if *status == 206 { pattern(7, 10, 10) } else { pattern(7, 0, 1000) };
            assert_eq!(answer.bytes(), expected, "{validator}");
        }
    }
}

#[tokio::test]
async fn conditions_come_before_ranges_and_a_missing_object_before_both() {
    for gateway in gateways().await {
        for (headers, status) in [
            (&[("range", "bytes=0-1"), ("if-none-match", "\"7-2\"")][..], 304),
            (&[("range", "bytes=0-1"), ("if-match", "\"7-1\"")], 412),
            (&[("range", "bytes=5000-"), ("if-none-match", "\"7-2\"")], 304),
            (&[("range", "bytes=5000-"), ("if-match", "\"7-2\"")], 416),
            (&[("range", "bytes=5000-"), ("if-range", "\"7-1\"")], 200),
            (&[("range", "bytes=0-1"), ("if-match", "\"7-2\""), ("if-range", "\"7-2\"")], 206),
            (&[("if-range", "\"7-2\"")], 200),
        ] {
            assert_eq!(gateway.client.get("/media/a.bin", headers).await.status, status, "{headers:?}");
        }
        for headers in [&[("if-none-match", "*")][..], &[("if-match", "*")], &[("range", "bytes=0-")]] {
            assert_eq!(gateway.client.get("/media/none", headers).await.status, 404, "{headers:?}");
        }
    }
}
