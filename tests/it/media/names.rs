//! Object names: the odd ones arrive exactly, the dangerous ones are refused before anyone upstream hears of them.

use std::fmt::Write as _;

use gsgate::emulator::{Object, Operation};

use crate::support::TestGateway;

/// RFC 3986 by the letter: everything but unreserved characters is encoded.
fn segment(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
    }
    encoded
}

async fn over_prefix(prefix: &str) -> TestGateway {
    let sections = format!("[connections.deep]\nuri = \"gs://test-media/{prefix}\"\ndelivery = \"proxy\"");
    TestGateway::builder().await.sections(&sections).start().await
}

#[tokio::test]
async fn every_legal_name_arrives_exactly() {
    let long = "n".repeat(1024);
    let wide = "\u{1F980}".repeat(256);
    let many = "%F0%9F%A6%80".repeat(256);
    let gateway = TestGateway::start().await;
    for (path, name) in [
        ("a.jpg", "a.jpg"),
        ("a/b/c.jpg", "a/b/c.jpg"),
        ("a%2Fb.jpg", "a/b.jpg"),
        ("a%2fb.jpg", "a/b.jpg"),
        ("a%252Fb.jpg", "a%2Fb.jpg"),
        ("a%25252Fb.jpg", "a%252Fb.jpg"),
        ("/a.jpg", "/a.jpg"),
        ("//a.jpg", "//a.jpg"),
        ("a//b///c", "a//b///c"),
        ("a/", "a/"),
        ("/", "/"),
        ("%2F", "/"),
        ("a%23b%3Fc", "a#b?c"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("100%25", "100%"),
        ("a%20b%20", "a b "),
        ("a\\b", "a\\b"),
        ("a%5Cb", "a\\b"),
        ("..a/b..", "..a/b.."),
        (".../x", ".../x"),
        ("a;b=c&d=e,f@g:h!i$j'k(l)m*n", "a;b=c&d=e,f@g:h!i$j'k(l)m*n"),
        ("%5Bx%5D%7By%7D%7C%22%3C%3E%5E%60", "[x]{y}|\"<>^`"),
        ("%C3%BC/%F0%9F%A6%80.png", "ü/🦀.png"),
        ("u%CC%88", "u\u{308}"),
        ("%E2%80%AEgpj.exe", "\u{202E}gpj.exe"),
        ("%EF%BB%BFbom", "\u{FEFF}bom"),
        ("-/healthz", "-/healthz"),
        ("%2E.hidden", "..hidden"),
        ("a?b=c", "a"),
        (&long, &long),
        (&many, &wide),
    ] {
        gateway.put(name, Object::bytes(format!("this is {name}")).content_type("text/plain"));
        gateway.gcs.clear_requests();
        let answer = gateway.client.get(&format!("/media/{path}"), &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.text(), format!("this is {name}"), "{path}");
        let sent: Vec<String> = gateway.gcs.requests().into_iter().map(|request| request.target).collect();
        assert_eq!(sent, [format!("/storage/v1/b/test-media/o/{}?alt=media", segment(name))], "{path}");
    }
}

#[tokio::test]
async fn raw_utf_8_in_a_path_is_what_it_says() {
    let gateway = TestGateway::start().await;
    gateway.put("ü/🦀.png", Object::bytes("crab"));
    let answer = gateway.client.raw("GET /media/ü/🦀.png HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(String::from_utf8_lossy(&answer).ends_with("crab"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn targets_that_are_no_paths_lead_nowhere() {
    let gateway = TestGateway::start().await;
    gateway.put("a", Object::bytes("crab"));
    for (target, status) in [
        ("/media/a b", "400"),
        ("/media/a\tb", "400"),
        ("/media/a\u{1}", "400"),
        ("/media/a<b>", "400"),
        ("//media/a", "404"),
        ("/media", "404"),
        ("/media/", "404"),
        ("/MEDIA/a", "404"),
        ("/%6Dedia/a", "404"),
        ("/media%2Fa", "404"),
        ("/./media/a", "404"),
        ("/x/../media/a", "404"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = gateway.client.raw(request).await;
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        assert!(line.starts_with(&format!("HTTP/1.1 {status}")), "{target:?}: {line}");
    }
    assert_eq!(gateway.gcs.requests().len(), 0);
}

#[tokio::test]
async fn names_that_someone_on_the_way_would_rewrite_are_refused_unasked() {
    let gateway = over_prefix("deep/").await;
    gateway.put("secret", Object::bytes("secret"));
    let long = "n".repeat(1025);
    let almost = "n".repeat(1020);
    for path in [
        "media/.",
        "media/..",
        "media/../secret",
        "media/a/../secret",
        "media/a/./b",
        "media/a/..",
        "media/%2e%2e/secret",
        "media/%2E./secret",
        "media/.%2e/secret",
        "media/..%2Fsecret",
        "media/a%2F..%2fsecret",
        "media/%2e",
        "deep/../secret",
        "deep/%2e%2e%2fsecret",
        "deep/x/../../secret",
        "media/a%00",
        "media/%00",
        "media/a%0Ab",
        "media/a%0D%0Ab",
        "media/a%7F",
        "media/a%C2%85b",
        "media/%FF",
        "media/%C3",
        "media/%C0%AFa",
        "media/%C0%AE%C0%AE/secret",
        "media/%E0%80%AE",
        "media/%ED%A0%80",
        "media/%F4%90%80%80",
        "media/%",
        "media/%2",
        "media/%zz",
        "media/100%.jpg",
        "media/%+1",
        "media/%u002e",
        &format!("media/{long}"),
        &format!("deep/{almost}"),
    ] {
        for headers in [&[][..], &[("range", "bytes=0-1")]] {
            let answer = gateway.client.get(&format!("/{path}"), headers).await;
            assert_eq!(answer.status, 400, "{path}");
            assert!(["bad_path", "bad_object_name"].contains(&answer.code().as_str()), "{path}");
        }
    }
    assert_eq!(gateway.gcs.requests().len(), 0, "none of them was asked for");
}

#[tokio::test]
async fn nothing_leaves_the_prefix_and_nothing_of_the_query_travels() {
    let gateway = over_prefix("deep/").await;
    gateway.put("deep/a", Object::bytes("inside"));
    gateway.put("deep", Object::bytes("outside"));
    gateway.put("deeper", Object::bytes("outside"));
    for (target, status) in [
        ("/deep/a", 200),
        ("/deep/a?generation=1&alt=json&userProject=evil", 200),
        ("/deep/a?/../../b/other", 200),
        ("/deep/", 404),
        ("/deep", 404),
        ("/deep//../deep", 400),
        ("/deep/a%3Fgeneration=1", 404),
        ("/deep/a%26userProject=evil", 404),
        ("/deep/a%23", 404),
    ] {
        gateway.gcs.clear_requests();
        let answer = gateway.client.get(target, &[]).await;
        assert_eq!(answer.status, status, "{target}");
        for request in gateway.gcs.requests() {
            let object = request.object.unwrap();
            assert!(object.starts_with("deep/"), "{target} asked for {object}");
            assert!(request.target.ends_with("?alt=media"), "{target} sent {}", request.target);
        }
    }
    assert_eq!(gateway.gcs.count(Operation::List) + gateway.gcs.count(Operation::Bucket), 0);
}
