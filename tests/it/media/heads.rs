//! HEAD: the head that GET has, whatever the object and however it is delivered.

use gsgate::emulator::{Object, Operation};
use http::HeaderMap;

use super::gzip::gzip;
use crate::support::TestGateway;

const NO_CACHE: &str = "[cache]\nmetadata_ttl = \"0s\"";

/// Every kind of object.
fn objects() -> Vec<(&'static str, Object)> {
    vec![
        ("plain.jpg", Object::generated(1000, 7).content_type("image/jpeg")),
        ("untyped.mp4", Object::generated(1000, 7)),
        ("octets.png", Object::generated(10, 7).content_type("application/octet-stream")),
        ("unknown", Object::generated(10, 7)),
        ("empty", Object::bytes("")),
        ("composite.bin", Object::generated(10, 7).composite()),
        ("page.html", Object::bytes("<p>").content_type("text/html; charset=utf-8")),
        ("stored.json", Object::bytes(gzip(b"{}")).content_encoding("gzip").content_type("application/json")),
        ("mislabelled.txt", Object::bytes("no gzip at all").content_encoding("gzip")),
        ("brotli.js", Object::bytes("x").content_encoding("br").content_type("text/javascript")),
        ("secret.txt", Object::bytes("x").cache_control("no-store")),
        ("public.txt", Object::bytes("x").cache_control("public, max-age=3600")),
        ("named.pdf", Object::bytes("%PDF").content_disposition("inline; filename=\"ü.pdf\"").content_language("de")),
        ("odd.txt", Object::bytes("x").content_type("text/plain\u{1}").content_language("a\nb")),
    ]
}

fn head_of(mut headers: HeaderMap) -> HeaderMap {
    for own in ["x-request-id", "date"] {
        headers.remove(own);
    }
    headers
}

#[tokio::test]
async fn head_is_the_head_of_get_for_every_kind_of_object() {
    for (delivery, sections) in [("proxy", ""), ("proxy", NO_CACHE), ("auto", ""), ("auto", NO_CACHE)] {
        let connection = format!("delivery = \"{delivery}\"");
        let gateway = TestGateway::builder().await.connection(&connection).sections(sections).start().await;
        for (name, object) in objects() {
            gateway.put(name, object);
            for headers in [&[][..], &[("accept-encoding", "gzip")], &[("origin", "https://x.example")]] {
                let target = format!("/media/{name}");
                // HEAD first: what it says is not taken from GET's answer.
                let head = gateway.client.head(&target, headers).await;
                let got = gateway.client.get(&target, headers).await;
                assert_eq!((head.status.as_u16(), got.status.as_u16()), (200, 200), "{name} {headers:?}");
                assert!(head.bytes().is_empty());
                let (mut head, mut got) = (head_of(head.headers), head_of(got.headers));
                for headers in [&mut head, &mut got] {
                    // Without a length GET's body is chunked, and a HEAD has none.
                    headers.remove("transfer-encoding");
                }
                assert_eq!(head, got, "{name} {headers:?} {delivery}");
            }
        }
    }
}

#[tokio::test]
async fn head_ignores_ranges_and_costs_no_bytes() {
    let gateway = TestGateway::start().await;
    gateway.put("a", Object::generated(1000, 7));
    for range in ["bytes=0-9", "bytes=5000-", "nonsense"] {
        let answer = gateway.client.head("/media/a", &[("range", range)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-length").as_str()), (200, "1000"), "{range}");
        assert_eq!(answer.header("content-range"), "");
    }
    assert_eq!(gateway.gcs.count(Operation::Media), 0);
    let missing = gateway.client.head("/media/none", &[]).await;
    assert_eq!((missing.status.as_u16(), missing.bytes().len()), (404, 0));
}

#[tokio::test]
async fn head_is_answered_by_the_gateway_where_get_redirects() {
    for connection in ["delivery = \"signed-url\"", "delivery = \"auto\"\nredirect_above = \"1 KiB\""] {
        let gateway = TestGateway::builder().await.connection(connection).start().await;
        gateway.put("a.jpg", Object::generated(5000, 7).content_type("image/jpeg"));
        let head = gateway.client.head("/media/a.jpg", &[]).await;
        assert_eq!(head.status, 200, "{connection}");
        assert_eq!(head.header("x-gsgate-delivery"), "proxy; reason=head");
        assert_eq!(gateway.client.get("/media/a.jpg", &[]).await.status, 302, "{connection}");
        // What a page that reads across origins gets of the same object by GET through a proxy.
        let proxied = TestGateway::builder().await.start().await;
        proxied.put("a.jpg", Object::generated(5000, 7).content_type("image/jpeg"));
        let got = proxied.client.get("/media/a.jpg", &[]).await;
        for name in ["content-type", "content-length", "accept-ranges", "x-goog-hash", "cache-control"] {
            assert_eq!(head.header(name), got.header(name), "{connection} {name}");
        }
        assert_eq!(gateway.client.head("/media/none", &[]).await.status, 404, "{connection}");
    }
}
