//! Paths as attackers and sloppy clients write them: the exact object or a refusal, never another object.

use gsgate::emulator::{Object, Operation};

use crate::support::TestGateway;

/// What stands around: no path may lead to one of these but its own.
const OBJECTS: [&str; 14] =
    ["a", "b", "a/b", "/a", "a//b", "a/", "a b", "a+b", "a%2Fb", "a\\b", "a\\..\\b", "ü", "a?b", "a#b"];

/// Target and the object that it names.
const EXACT: [(&str, &str); 19] = [
    ("/media/a", "a"),
    ("/media/a/b", "a/b"),
    ("/media/a%2Fb", "a/b"),
    ("/media/a%2fb", "a/b"),
    ("/media/%61%2F%62", "a/b"),
    ("/media//a", "/a"),
    ("/media/%2Fa", "/a"),
    ("/media/a//b", "a//b"),
    ("/media/a/", "a/"),
    ("/media/a%20b", "a b"),
    ("/media/a+b", "a+b"),
    ("/media/a%2Bb", "a+b"),
    ("/media/a%252Fb", "a%2Fb"),
    ("/media/a%5Cb", "a\\b"),
    ("/media/a%5C..%5Cb", "a\\..\\b"),
    ("/media/%C3%BC", "ü"),
    ("/media/a%3Fb", "a?b"),
    ("/media/a%23b", "a#b"),
    ("/media/a?b", "a"),
];

const REFUSED: [&str; 31] = [
    "/media/../a",
    "/media/./a",
    "/media/a/../b",
    "/media/a/./b",
    "/media/a/..",
    "/media/a/.",
    "/media/..",
    "/media/%2e%2e/a",
    "/media/%2E./a",
    "/media/.%2e/a",
    "/media/a%2F..%2Fb",
    "/media/a%2f%2e%2e%2fb",
    "/media/..%2Fa",
    "/media/a%00",
    "/media/a%00.jpg",
    "/media/%00",
    "/media/a%0d%0ab",
    "/media/a%7f",
    "/media/a%C2%85",
    "/media/%C0%AE%C0%AE/a",
    "/media/a%C0%AFb",
    "/media/%E0%80%AFa",
    "/media/%ED%A0%80",
    "/media/%FF",
    "/media/a%",
    "/media/a%2",
    "/media/a%zz",
    "/media/100%25%",
    "/media/%u0061",
    "/media/",
    "/media",
];

/// Another route, another connection or none; never an object.
const ELSEWHERE: [&str; 12] = [
    "/",
    "//media/a",
    "/Media/a",
    "/MEDIA/a",
    "/media%2Fa",
    "/%6dedia/a",
    "/./media/a",
    "/x/../media/a",
    "/media;x/a",
    "/-/../media/a",
    "/-/a",
    "/test-media/a",
];

#[tokio::test]
async fn every_path_is_the_exact_object_or_a_refusal() {
    let gateway = TestGateway::start().await;
    for name in OBJECTS {
        gateway.put(name, Object::bytes(format!("I am {name}")));
    }
    for (target, name) in EXACT {
        let answer = gateway.client.get(target, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, format!("I am {name}").as_str()), "{target}");
        let asked = gateway.gcs.requests().pop().unwrap();
        assert_eq!(asked.object.as_deref(), Some(name), "{target}");
        assert!(!asked.target.contains("b=") && !asked.target.contains("?b"), "{}: the query stays here", asked.target);
    }
    gateway.gcs.clear_requests();
    for target in REFUSED.into_iter().chain(ELSEWHERE) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n");
        let answer = String::from_utf8(gateway.client.raw(request).await).unwrap();
        let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let expected: &[u16] = if REFUSED.contains(&target) { &[400, 404] } else { &[404] };
        assert!(expected.contains(&status), "{target}: {answer}");
        assert!(!answer.contains("I am "), "{target}: {answer}");
    }
    for target in ["/media/\u{fc}", "/media/a\\b", "/media/a\tb", "/media/a b", "/media/\u{0}"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n");
        let answer = String::from_utf8(gateway.client.raw(request).await).unwrap();
        let exact = answer.ends_with("I am ü") && target.ends_with('ü')
            || answer.ends_with("I am a\\b") && target.ends_with("a\\b");
        assert!(answer.starts_with("HTTP/1.1 400") || exact, "{target:?}: {answer}");
    }
    let asked = gateway.gcs.requests().into_iter().filter(|seen| seen.operation != Operation::Token);
    let strange: Vec<_> = asked
        .map(|seen| seen.target)
        .filter(|target| !target.contains("/o/%C3%BC?") && !target.contains("/o/a%5Cb?"))
        .collect();
    assert!(strange.is_empty(), "GCS was asked: {strange:?}");
}
