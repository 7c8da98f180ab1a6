//! Proxy or signed URL: which one is chosen, and that signed URLs work, stay the same and do not outlive their promise.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use gsgate::emulator::{Object, Operation, Outcome, pattern};
use http::Method;

use crate::support::gateway::Builder;
use crate::support::{Answer, Client, TestGateway};

const AUTO: &str = "delivery = \"auto\"\nredirect_above = \"1 KiB\"";

/// Asks for what a redirect leads to, as a browser would.
async fn follow(answer: &Answer, headers: &[(&str, &str)]) -> Answer {
    assert_eq!(answer.status, 302);
    follow_url(&answer.header("location"), headers).await
}

async fn follow_url(url: &str, headers: &[(&str, &str)]) -> Answer {
    let uri: http::Uri = url.parse().unwrap();
    let host = uri.authority().unwrap().as_str();
    let address: SocketAddr = host.parse().unwrap();
    let headers: Vec<_> = headers.iter().copied().chain([("host", host)]).collect();
    Client { address }.get(uri.path_and_query().unwrap().as_str(), &headers).await
}

fn parameter(answer: &Answer, name: &str) -> String {
    let location = answer.header("location");
    let query = location.split('?').nth(1).unwrap();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name).unwrap().1.to_owned()
}

/// How long a URL still worked at a time.
fn left(answer: &Answer, at: SystemTime) -> Duration {
    let date = parameter(answer, "X-Goog-Date");
    let (day, time) = (&date[..8], &date[9..15]);
    let text = format!("{}-{}-{}T{}:{}:{}Z", &day[..4], &day[4..6], &day[6..], &time[..2], &time[2..4], &time[4..]);
    let signed = humantime::parse_rfc3339(&text).unwrap();
    let life = Duration::from_secs(parameter(answer, "X-Goog-Expires").parse().unwrap());
    (signed + life).duration_since(at).unwrap()
}

#[tokio::test]
async fn auto_decides_by_the_first_rule_that_applies() {
    let restricted = "allow = [\"127.0.0.0/8\"]";
    let (cors, origin) = (("sec-fetch-mode", "cors"), ("origin", "https://x.example"));
    for (connection, headers, small, large) in [
        (AUTO.to_owned(), &[][..], "proxy; reason=small", "signed-url; reason=large"),
        (AUTO.to_owned(), &[("sec-fetch-mode", "no-cors")], "proxy; reason=small", "signed-url; reason=large"),
        (AUTO.to_owned(), &[("sec-fetch-mode", "navigate")], "proxy; reason=small", "signed-url; reason=large"),
        (AUTO.to_owned(), &[cors], "proxy; reason=cors", "proxy; reason=cors"),
        (AUTO.to_owned(), &[origin], "proxy; reason=cors", "proxy; reason=cors"),
        (format!("{AUTO}\n{restricted}"), &[], "proxy; reason=restricted", "proxy; reason=restricted"),
        (format!("{AUTO}\n{restricted}"), &[origin], "proxy; reason=cors", "proxy; reason=cors"),
        (format!("{AUTO}\ndeny = [\"192.0.2.1\"]"), &[], "proxy; reason=restricted", "proxy; reason=restricted"),
        ("delivery = \"proxy\"".to_owned(), &[], "proxy; reason=configured", "proxy; reason=configured"),
        (
            "delivery = \"signed-url\"".to_owned(),
            &[origin],
            "signed-url; reason=configured",
            "signed-url; reason=configured",
        ),
    ] {
        let gateway = TestGateway::builder().await.connection(&connection).start().await;
        gateway.put("small", Object::generated(1023, 7));
        gateway.put("large", Object::generated(1024, 7));
        for (object, expected) in [("small", small), ("large", large)] {
            for what in ["unknown", "known"] {
                let answer = gateway.client.get(&format!("/media/{object}"), headers).await;
                assert_eq!(answer.header("x-gsgate-delivery"), expected, "{connection} {headers:?} {object} {what}");
                let status = if expected.starts_with("proxy") { 200 } else { 302 };
                assert_eq!(answer.status, status, "{connection} {headers:?} {object} {what}");
                let vary = if connection.contains("auto") { "Sec-Fetch-Mode, Origin" } else { "Origin" };
                assert_eq!(answer.header("vary"), vary, "{connection} {headers:?} {object} {what}");
            }
        }
    }
}

#[tokio::test]
async fn a_large_object_is_redirected_at_once_and_costs_no_body() {
    let gateway = TestGateway::builder().await.connection("delivery = \"auto\"").start().await;
    gateway.put("large", Object::generated(1 << 30, 7).crc32c(0));
    for range in [None, Some(("range", "bytes=0-"))] {
        let headers: Vec<_> = range.into_iter().collect();
        assert_eq!(gateway.client.get("/media/large", &headers).await.status, 302);
    }
    let requests = gateway.gcs.requests();
    assert_eq!(requests.len(), 1, "what was learnt is remembered");
    while gateway.gcs.requests()[0].outcome == Outcome::Pending {
        tokio::task::yield_now().await;
    }
    let sent = gateway.gcs.requests()[0].sent;
    assert!(sent < 32 << 20, "{sent} bytes were on the way when the answer was dropped");
}

#[tokio::test]
async fn a_signed_url_gives_the_object_and_its_parts() {
    let prefixed = "[connections.deep]\nuri = \"gs://test-media/deep/\"\ndelivery = \"signed-url\"";
    let gateway = TestGateway::builder().await.connection("delivery = \"signed-url\"").sections(prefixed).start().await;
    for (target, name) in [
        ("/media/a.jpg", "a.jpg"),
        ("/media/a//b%20%23%3F+%25*.jpg", "a//b #?+%*.jpg"),
        ("/media//%C3%BC/%F0%9F%A6%80", "/ü/🦀"),
        ("/media/a~!$&'()%22%5B%5D", "a~!$&'()\"[]"),
        ("/deep/x.jpg", "deep/x.jpg"),
    ] {
        gateway.put(name, Object::generated(1000, 7));
        gateway.gcs.clear_requests();
        let answer = gateway.client.get(target, &[]).await;
        assert_eq!(gateway.gcs.requests().len(), 0, "a redirect asks nobody");
        let whole = follow(&answer, &[]).await;
        assert_eq!((whole.status.as_u16(), whole.bytes()), (200, &pattern(7, 0, 1000)[..]), "{target}");
        let part = follow(&answer, &[("range", "bytes=10-19")]).await;
        assert_eq!((part.status.as_u16(), part.bytes()), (206, &pattern(7, 10, 10)[..]), "{target}");
        assert_eq!(gateway.gcs.requests()[0].object.as_deref(), Some(name));
        assert_eq!(gateway.gcs.requests()[0].credential, format!("signed:{}", gateway.gcs.email()));
        let longer = answer.header("location").replace("X-Goog-Expires=1800", "X-Goog-Expires=1801");
        assert_eq!(follow_url(&longer, &[]).await.status, 403, "{target}");
    }
}

#[tokio::test]
async fn a_redirect_is_kept_no_longer_than_its_url_surely_works() {
    for (expiry, promised) in [("15m", 900), ("1s", 1), ("7days", 604_800)] {
        let connection = format!("delivery = \"signed-url\"\nsigned_url_expiry = \"{expiry}\"");
        let gateway = TestGateway::builder().await.connection(&connection).start().await;
        let asked_at = SystemTime::now();
        let answer = gateway.client.get("/media/a?x=y", &[]).await;
        // At the longest life there is no room for a window: the signing time is that of the second which has begun.
        let left = left(&answer, asked_at) + Duration::from_secs(1);
        assert!(left >= Duration::from_secs(promised), "{expiry}: {left:?}");
        let cache = answer.header("cache-control");
        let keep: u64 = cache.strip_prefix("private, max-age=").unwrap().parse().unwrap();
        assert!(Duration::from_secs(keep + promised) <= left, "{expiry}: {cache} and {left:?}");
        assert!(parameter(&answer, "X-Goog-Expires").parse::<u64>().unwrap() <= 604_800);
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(!answer.header("location").contains("x=y"));
        assert!(answer.bytes().is_empty());
    }
}

#[tokio::test]
async fn all_replicas_give_the_same_url_during_a_window() {
    let one = TestGateway::builder().await.connection("delivery = \"signed-url\"").start().await;
    let other = Builder::over(one.gcs.clone()).connection("delivery = \"signed-url\"").start().await;
    let mut tries = 0;
    loop {
        let mut urls = Vec::new();
        for gateway in [&one, &other, &other, &one] {
            urls.push(gateway.client.get("/media/a.jpg", &[]).await.header("location"));
        }
        // A window may have ended in between, but not twice in a row.
        if urls[0] == urls[3] {
            assert!(urls.iter().all(|url| *url == urls[0]), "{urls:#?}");
            return;
        }
        tries += 1;
        assert!(tries < 2, "windows are shorter than four requests");
    }
}

#[tokio::test]
async fn without_a_signer_auto_proxies_and_signed_url_is_refused_at_the_start() {
    let anonymous = "[credentials.public]\nsource = \"anonymous\"";
    let connection = format!("{AUTO}\ncredentials = \"public\"");
    let gateway = TestGateway::builder().await.connection(&connection).sections(anonymous).start().await;
    gateway.bucket().set_public();
    gateway.put("large", Object::generated(5000, 7));
    for headers in [&[][..], &[("origin", "https://x.example")]] {
        let answer = gateway.client.get("/media/large", headers).await;
        assert_eq!(answer.header("x-gsgate-delivery"), "proxy; reason=cannot-sign", "{headers:?}");
        assert_eq!(answer.bytes(), pattern(7, 0, 5000));
    }
    assert!(gateway.gcs.requests().iter().all(|request| request.credential == "anonymous"));
    let connection = "delivery = \"signed-url\"\ncredentials = \"public\"";
    let refused = TestGateway::builder().await.connection(connection).sections(anonymous).try_start().await;
    let message = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("cannot sign") && message.contains("connections.media"), "{message}");
}

#[tokio::test]
async fn filter_and_depth_bound_every_delivery() {
    for delivery in ["proxy", "signed-url", "auto"] {
        let sections = format!(
            "[connections.jpg]\nuri = \"gs://test-media/data/\"\ndelivery = \"{delivery}\"\nfilter = '.*\\.(jpg|png)$'\n\
             [connections.flat]\nuri = \"gs://test-media/data/\"\ndelivery = \"{delivery}\"\nrecursive = false"
        );
        let gateway = TestGateway::builder().await.sections(&sections).start().await;
        for name in ["data/a.jpg", "data/sub/b.png", "data/c.txt", "data/d.jpg.txt", "data//e.jpg"] {
            gateway.put(name, Object::bytes("x"));
        }
        for (target, served) in [
            ("/jpg/a.jpg", true),
            ("/jpg/sub/b.png", true),
            ("/jpg/sub%2Fb.png", true),
            ("/jpg/c.txt", false),
            ("/jpg/d.jpg.txt", false),
            ("/jpg/a.JPG", false),
            ("/flat/a.jpg", true),
            ("/flat/c.txt", true),
            ("/flat/sub/b.png", false),
            ("/flat/sub%2Fb.png", false),
            ("/flat//e.jpg", false),
        ] {
            for method in [Method::GET, Method::HEAD] {
                gateway.gcs.clear_requests();
                let answer = gateway.client.send(method, target, &[]).await;
                assert_eq!(answer.status != 404, served, "{delivery} {target}");
                if !served {
                    assert_eq!(gateway.gcs.requests().len(), 0, "{delivery} {target}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_projects_bill_is_named_in_signed_urls_too() {
    let connection = "delivery = \"signed-url\"\nproject_id = \"payer-1\"";
    let gateway = TestGateway::builder().await.connection(connection).start().await;
    gateway.bucket().requester_pays(true);
    gateway.put("a", Object::bytes("paid"));
    let answer = gateway.client.get("/media/a", &[]).await;
    assert_eq!(parameter(&answer, "userProject"), "payer-1");
    assert_eq!(follow(&answer, &[]).await.text(), "paid");
    assert_eq!(gateway.gcs.count(Operation::XmlGet), 1);
}
