//! Cross-origin rules over the wire: which pages may read, and that refusals can be read, too.

use gsgate::emulator::{Action, Fault, Object, Operation};
use http::Method;

use crate::support::{Answer, TestGateway};

const LISTED: &str = "https://label.example.com";

async fn gateway(cors: &str) -> TestGateway {
    let gateway = TestGateway::builder().await.sections(cors).start().await;
    gateway.put("a.jpg", Object::generated(100, 7));
    gateway
}

fn allowed(answer: &Answer) -> String {
    answer.header("access-control-allow-origin")
}

#[tokio::test]
async fn only_listed_origins_may_read() {
    let gateway = gateway("[cors]\norigins = [\"https://label.example.com\", \"https://*.labellerr.com\"]").await;
    for (origin, expected) in [
        (LISTED, true),
        ("https://pro.labellerr.com", true),
        ("https://a.b.labellerr.com", true),
        ("https://labellerr.com", false),
        ("https://evil-labellerr.com", false),
        ("https://evillabellerr.com", false),
        ("https://.labellerr.com", false),
        ("https://pro.labellerr.com.evil.example", false),
        ("https://pro.labellerr.com:8443", false),
        ("https://evil.example/.labellerr.com", false),
        ("https://user@pro.labellerr.com", false),
        ("http://label.example.com", false),
        ("https://label.example.com:8443", false),
        ("https://label.example.com.", false),
        ("https://LABEL.example.com", false),
        ("null", false),
        ("", false),
        ("*", false),
    ] {
        for target in ["/media/a.jpg", "/media/none", "/media/..", "/nowhere/x"] {
            let answer = gateway.client.get(target, &[("origin", origin)]).await;
            assert_eq!(allowed(&answer), if expected { origin } else { "" }, "{origin} {target}");
            assert_eq!(answer.header("vary"), "Origin", "{origin} {target}");
            assert_eq!(answer.header("access-control-allow-credentials"), "");
            let exposed = "content-range, accept-ranges, content-length, etag, x-goog-generation";
            let exposed = if expected { exposed } else { "" };
            assert_eq!(answer.header("access-control-expose-headers"), exposed, "{origin} {target}");
        }
    }
    let without = gateway.client.get("/media/a.jpg", &[]).await;
    assert_eq!((allowed(&without), without.header("vary")), (String::new(), "Origin".to_owned()));
}

#[tokio::test]
async fn every_status_can_be_read_by_the_page_that_asked() {
    let gateway = gateway(&format!("[gcs]\nretries = 0\n[cors]\norigins = [\"{LISTED}\"]")).await;
    let origin = ("origin", LISTED);
    gateway.gcs.inject(Fault::new(Action::status(500)).on(Operation::Media).object("down").always());
    for (method, target, header, status) in [
        (Method::GET, "/media/a.jpg", None, 200),
        (Method::HEAD, "/media/a.jpg", None, 200),
        (Method::GET, "/media/a.jpg", Some(("range", "bytes=0-9")), 206),
        (Method::GET, "/media/a.jpg", Some(("if-none-match", "*")), 304),
        (Method::GET, "/media/a.jpg", Some(("if-match", "\"x\"")), 412),
        (Method::GET, "/media/a.jpg", Some(("range", "bytes=100-")), 416),
        (Method::GET, "/media/%00", None, 400),
        (Method::GET, "/media/none", None, 404),
        (Method::GET, "/media/down", None, 503),
        (Method::GET, "/-/healthz", None, 200),
    ] {
        let mut headers = vec![origin];
        headers.extend(header);
        let answer = gateway.client.send(method, target, &headers).await;
        assert_eq!((answer.status.as_u16(), allowed(&answer).as_str()), (status, LISTED), "{target} {header:?}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "cross-origin");
    }
}

#[tokio::test]
async fn a_redirect_can_be_followed_by_a_page() {
    let gateway = TestGateway::builder().await.connection("delivery = \"signed-url\"");
    let gateway = gateway.sections(&format!("[cors]\norigins = [\"{LISTED}\"]")).start().await;
    let answer = gateway.client.get("/media/a.jpg", &[("origin", LISTED)]).await;
    assert_eq!((answer.status.as_u16(), allowed(&answer).as_str()), (302, LISTED));
    assert!(answer.header("vary").contains("Origin"));
}

#[tokio::test]
async fn preflights_are_answered_without_asking_anyone() {
    let rules = format!("[cors]\norigins = [\"{LISTED}\"]\nmax_age = \"10m\"\nrequest_headers = [\"range\", \"x-a\"]");
    let gateway = gateway(&rules).await;
    let (origin, method) = (("origin", LISTED), ("access-control-request-method", "GET"));
    let private = ("access-control-request-private-network", "true");
    for (headers, status) in [
        (&[origin, method][..], 204),
        (&[origin, method, ("access-control-request-headers", "range,x-a")], 204),
        (&[origin, ("access-control-request-method", "HEAD")], 204),
        (&[origin, ("access-control-request-method", "DELETE")], 204),
        (&[origin, method, private], 204),
        (&[("origin", "https://evil.example"), method], 403),
        (&[("origin", "null"), method], 403),
    ] {
        for target in ["/media/a.jpg", "/media/none", "/media/a?token=x"] {
            let answer = gateway.client.send(Method::OPTIONS, target, headers).await;
            assert_eq!(answer.status, status, "{headers:?}");
            assert_eq!(answer.header("vary"), "Origin", "{headers:?}");
            let good = status == 204;
            let expected = |value: &str| if good { value.to_owned() } else { String::new() };
            assert_eq!(allowed(&answer), expected(LISTED), "{headers:?}");
            assert_eq!(answer.header("access-control-allow-methods"), expected("GET, HEAD"), "{headers:?}");
            assert_eq!(answer.header("access-control-allow-headers"), expected("range, x-a"), "{headers:?}");
            assert_eq!(answer.header("access-control-max-age"), expected("600"), "{headers:?}");
            let network = if headers.contains(&private) { "true" } else { "" };
            assert_eq!(answer.header("access-control-allow-private-network"), network, "{headers:?}");
            if good {
                assert!(answer.bytes().is_empty());
            } else {
                assert_eq!(answer.code(), "origin_not_allowed");
            }
        }
    }
    let plain = gateway.client.send(Method::OPTIONS, "/media/a.jpg", &[]).await;
    assert_eq!((plain.status.as_u16(), plain.header("allow").as_str()), (204, "GET, HEAD, OPTIONS"));
    assert_eq!(gateway.gcs.requests().len(), 0);
}

#[tokio::test]
async fn a_star_is_a_star_and_credentials_name_the_origin() {
    let star = gateway("[cors]\norigins = [\"*\"]").await;
    for origin in ["https://anything.example", "null"] {
        let answer = star.client.get("/media/a.jpg", &[("origin", origin)]).await;
        assert_eq!((allowed(&answer).as_str(), answer.header("vary").as_str()), ("*", "Origin"));
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
    let with = gateway(&format!("[cors]\norigins = [\"{LISTED}\"]\ncredentials = true")).await;
    let answer = with.client.get("/media/a.jpg", &[("origin", LISTED)]).await;
    assert_eq!(allowed(&answer), LISTED);
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    let foreign = with.client.get("/media/a.jpg", &[("origin", "https://evil.example")]).await;
    assert_eq!(foreign.header("access-control-allow-credentials"), "");
    let both = TestGateway::builder().await.sections("[cors]\norigins = [\"*\"]\ncredentials = true");
    assert!(both.try_start().await.is_err(), "any page could read in a visitor's name");
}

#[tokio::test]
async fn a_connections_own_rules_replace_the_defaults() {
    let sections = format!(
        "[cors]\norigins = [\"{LISTED}\"]\n\
         [connections.own]\nuri = \"gs://test-media/\"\ndelivery = \"proxy\"\n\
         [connections.own.cors]\norigins = [\"https://own.example\"]\nmethods = [\"HEAD\"]\n\
         [connections.closed]\nuri = \"gs://test-media/\"\ndelivery = \"proxy\"\ncors = {{ origins = [] }}"
    );
    let gateway = gateway(&sections).await;
    for (method, target, origin, expected) in [
        (Method::GET, "/media/a.jpg", LISTED, true),
        (Method::GET, "/media/a.jpg", "https://own.example", false),
        (Method::HEAD, "/own/a.jpg", "https://own.example", true),
        (Method::GET, "/own/a.jpg", "https://own.example", false),
        (Method::HEAD, "/own/a.jpg", LISTED, false),
        (Method::GET, "/closed/a.jpg", LISTED, false),
        (Method::GET, "/nowhere/a.jpg", LISTED, true),
        (Method::HEAD, "/nowhere/a.jpg", "https://own.example", false),
    ] {
        let answer = gateway.client.send(method.clone(), target, &[("origin", origin)]).await;
        assert_eq!(allowed(&answer), if expected { origin } else { "" }, "{method} {target} {origin}");
    }
}

#[tokio::test]
async fn the_file_that_gsutil_takes_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cors-config.json");
    let rules = r#"[{"origin": ["https://label.example.com"], "method": ["GET"],
                     "responseHeader": ["Content-Type", "Access-Control-Allow-Origin"], "maxAgeSeconds": 3600}]"#;
    std::fs::write(&file, rules).unwrap();
    let gateway = gateway(&format!("[cors]\nfile = {file:?}")).await;
    let answer = gateway.client.get("/media/a.jpg", &[("origin", LISTED)]).await;
    assert_eq!(allowed(&answer), LISTED);
    assert_eq!(answer.header("access-control-expose-headers"), "Content-Type, Access-Control-Allow-Origin");
    let headers = [("origin", LISTED), ("access-control-request-method", "GET")];
    let preflight = gateway.client.send(Method::OPTIONS, "/media/a.jpg", &headers).await;
    assert_eq!(preflight.header("access-control-max-age"), "3600");
    assert_eq!(preflight.header("access-control-allow-methods"), "GET");
}
