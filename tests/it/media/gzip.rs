//! Objects that are stored compressed: passed on as they are, or decompressed on the way.

use std::fmt::Write as _;
use std::path::Path;

use async_compression::tokio::write::GzipEncoder;
use gsgate::emulator::{Object, Operation};
use http::Method;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;

use crate::support::TestGateway;

const ACCEPT: (&str, &str) = ("accept-encoding", "gzip");

/// One gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let bytes = bytes.to_vec();
    // The encoder is asynchronous in its interface only: a vector is always ready.
    let compressing = async move {
        let mut encoder = GzipEncoder::new(Vec::new());
        encoder.write_all(&bytes).await.unwrap();
        encoder.shutdown().await.unwrap();
        encoder.into_inner()
    };
    futures_util::FutureExt::now_or_never(compressing).unwrap()
}

/// Text that does not compress to nothing.
fn text() -> Vec<u8> {
    let mut text = String::new();
    for number in 0..5000_u32 {
        writeln!(text, "{{\"box\": {}}}", number.wrapping_mul(2_654_435_761)).unwrap();
    }
    text.into_bytes()
}

fn stored(bytes: Vec<u8>) -> Object {
    Object::bytes(bytes).content_encoding("gzip").content_type("application/json").generation(7)
}

#[tokio::test]
async fn whoever_accepts_gzip_gets_the_stored_bytes_and_ranges_of_them() {
    let gateway = TestGateway::start().await;
    let compressed = gzip(&text());
    gateway.put("a.json", stored(compressed.clone()));
    for (accept, range, expected) in [
        ("gzip", None, &compressed[..]),
        ("br, gzip;q=0.5", None, &compressed[..]),
        ("*", None, &compressed[..]),
        ("gzip", Some("bytes=10-19"), &compressed[10..20]),
        ("gzip", Some("bytes=-5"), &compressed[compressed.len() - 5..]),
    ] {
        let mut headers = vec![("accept-encoding", accept)];
        headers.extend(range.map(|range| ("range", range)));
        let answer = gateway.client.get("/media/a.json", &headers).await;
        assert_eq!(answer.status, if range.is_some() { 206 } else { 200 }, "{headers:?}");
        assert_eq!(answer.bytes(), expected, "{headers:?}");
        assert_eq!(answer.header("content-encoding"), "gzip");
        assert_eq!(answer.header("content-length"), expected.len().to_string());
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("etag"), "\"7-1-gz\"");
        assert_eq!(answer.header("vary"), "Accept-Encoding, Origin");
    }
    let beyond = gateway.client.get("/media/a.json", &[ACCEPT, ("range", "bytes=1000000-")]).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", compressed.len()));
}

#[tokio::test]
async fn whoever_does_not_gets_it_decompressed_and_whole() {
    for sections in ["", "[cache]\nmetadata_ttl = \"0s\""] {
        let gateway = TestGateway::builder().await.sections(sections).start().await;
        gateway.put("a.json", stored(gzip(&text())));
        for headers in [
            &[("range", "bytes=10-19")][..],
            &[],
            &[("accept-encoding", "identity")],
            &[("accept-encoding", "gzip;q=0, br")],
            &[("range", "bytes=1000000-")],
            &[("range", "bytes=0-1"), ("if-range", "\"7-1\"")],
        ] {
            let answer = gateway.client.get("/media/a.json", headers).await;
            assert_eq!(answer.status, 200, "{headers:?}");
            assert_eq!(answer.bytes(), text(), "{headers:?}");
            for absent in ["content-encoding", "content-length", "content-range", "x-goog-hash"] {
                assert_eq!(answer.header(absent), "", "{absent} {headers:?}");
            }
            assert_eq!(answer.header("accept-ranges"), "none");
            assert_eq!(answer.header("etag"), "\"7-1\"");
            assert_eq!(answer.header("vary"), "Accept-Encoding, Origin");
        }
    }
}

#[tokio::test]
async fn the_two_forms_are_not_confused_by_conditions() {
    let gateway = TestGateway::start().await;
    gateway.put("a.json", stored(gzip(&text())));
    for (headers, status) in [
        (&[ACCEPT, ("if-none-match", "\"7-1-gz\"")][..], 304),
        (&[ACCEPT, ("if-none-match", "\"7-1\"")], 200),
        (&[("if-none-match", "\"7-1\"")], 304),
        (&[("if-none-match", "\"7-1-gz\"")], 200),
        (&[ACCEPT, ("range", "bytes=0-9"), ("if-range", "\"7-1-gz\"")], 206),
        (&[ACCEPT, ("range", "bytes=0-9"), ("if-range", "\"7-1\"")], 200),
    ] {
        let answer = gateway.client.get("/media/a.json", headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.header("vary"), "Accept-Encoding, Origin", "{headers:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_whole_gzip_break_visibly_and_never_end_neatly() {
    let whole = gzip(&text());
    let mut corrupt = whole.clone();
    corrupt[whole.len() / 2] ^= 0xff;
    let mut checksum = whole.clone();
    checksum[whole.len() - 6] ^= 0xff;
    for (name, bytes) in [
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("without its end", whole[..whole.len() - 4].to_vec()),
        ("corrupt", corrupt),
        ("wrong checksum", checksum),
        ("gzip, then not", [whole.clone(), b"trailing".to_vec()].concat()),
    ] {
        let gateway = TestGateway::start().await;
        gateway.put("a.json", stored(bytes.clone()));
        let answer = gateway.client.raw("GET /media/a.json HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(!answer.ends_with(b"0\r\n\r\n"), "{name} must break before the last chunk");
        let as_stored = gateway.client.get("/media/a.json", &[ACCEPT]).await;
        assert_eq!(as_stored.bytes(), bytes, "{name}: the stored bytes are what they are");
    }
}

#[tokio::test]
async fn what_is_marked_as_gzip_and_is_none_is_passed_on_as_it_is() {
    let gateway = TestGateway::start().await;
    for bytes in [text(), b"{}".to_vec(), b"x".to_vec(), Vec::new()] {
        gateway.put("a.json", stored(bytes.clone()));
        let answer = gateway.client.get("/media/a.json", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.bytes()), (200, &bytes[..]));
        assert_eq!(answer.header("content-encoding"), "");
        let answer = gateway.client.get("/media/a.json", &[ACCEPT]).await;
        assert_eq!((answer.status.as_u16(), answer.bytes()), (200, &bytes[..]));
        assert_eq!(answer.header("content-encoding"), "gzip", "as GCS has it");
    }
}

#[tokio::test]
async fn several_members_are_whole() {
    let gateway = TestGateway::start().await;
    gateway.put("two.json", stored([gzip(b"one "), gzip(b"two")].concat()));
    assert_eq!(gateway.client.get("/media/two.json", &[]).await.text(), "one two");
}

#[tokio::test]
async fn an_archive_that_is_not_marked_as_encoded_is_untouched() {
    let gateway = TestGateway::start().await;
    let archive = gzip(b"pretend that this is a tar");
    gateway.put("a.tar.gz", Object::bytes(archive.clone()).content_type("application/gzip"));
    for headers in [&[][..], &[ACCEPT]] {
        let answer = gateway.client.get("/media/a.tar.gz", headers).await;
        assert_eq!(answer.bytes(), archive);
        assert_eq!(answer.header("content-type"), "application/gzip");
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), (String::new(), "Origin".to_owned()));
        assert_eq!(answer.header("content-length"), archive.len().to_string());
        assert!(!answer.header("etag").contains("-gz"));
    }
}

/// 1 GiB of zeros, as 64 members: about 1 MiB.
fn bomb() -> Vec<u8> {
    gzip(&vec![0; 16 << 20]).repeat(64)
}

#[tokio::test]
async fn a_gzip_bomb_streams_in_small_pieces_and_only_as_fast_as_it_is_read() {
    let gateway = TestGateway::start().await;
    gateway.put("bomb", stored(bomb()));
    let before = resident();
    let (status, _, mut body) = gateway.client.open(Method::GET, "/media/bomb", &[]).await;
    assert_eq!(status, 200);
    let zeros = vec![0; 1 << 20];
    let (mut total, mut most) = (0_u64, 0);
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert_eq!(data, zeros[..data.len()]);
        total += data.len() as u64;
        most = most.max(resident().saturating_sub(before));
    }
    assert_eq!(total, 1 << 30);
    assert!(most < 256 << 20, "{most} bytes more were resident");
    assert_eq!(gateway.gcs.count(Operation::Media), 1);
}

/// Resident bytes of this process, which runs other tests, too: only a figure far below the bomb's size says something.
fn resident() -> u64 {
    let pages = std::fs::read_to_string(Path::new("/proc/self/statm")).unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
