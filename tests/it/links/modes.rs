//! `access = "network" | "link" | "network-and-link" | "network-or-link"`.

use gsgate::emulator::Object;
use gsgate::gateway::links::Terms;
use http::Method;

use super::rig::{Rig, terms, token};

const INSIDE: &str = "allow = [\"203.0.113.0/24\"]\ndeny = [\"203.0.113.66\"]\n";

#[tokio::test]
async fn each_mode_admits_by_what_it_names() {
    let good = token(&terms(), "a");
    for (mode, inside, inside_linked, outside, outside_linked) in [
        ("network", 200, 200, 404, 404),
        ("link", 403, 200, 403, 200),
        ("network-and-link", 403, 200, 404, 404),
        ("network-or-link", 200, 200, 403, 200),
    ] {
        let own = if mode == "link" { "deny = [\"203.0.113.66\"]\n" } else { INSIDE };
        let rig = Rig::start(&format!("delivery = \"proxy\"\naccess = {mode:?}\n{own}")).await;
        let linked = format!("/media/a?lsref=1&sig={good}");
        for (address, bare, with) in [
            ("203.0.113.9", inside, inside_linked),
            ("::ffff:203.0.113.9", inside, inside_linked),
            ("198.51.100.9", outside, outside_linked),
            ("::ffff:198.51.100.9", outside, outside_linked),
            ("2001:db8::9", outside, outside_linked),
            ("203.0.113.66", 404, 404),
            ("::ffff:203.0.113.66", 404, 404),
            ("not an address", 404, 404),
        ] {
            assert_eq!(rig.from(address, "/media/a").await.status, bare, "{mode} {address}");
            assert_eq!(rig.from(address, &linked).await.status, with, "{mode} {address} with a link");
            let path = format!("/~{good}/media/a");
            assert_eq!(rig.from(address, &path).await.status, with, "{mode} {address} with a link in the path");
            let bad = rig.from(address, "/media/a?sig=nonsense").await.status;
            assert_eq!(bad, bare, "{mode} {address}: a bad link is as good as none");
            assert_eq!(rig.from(address, "/elsewhere/a").await.status, 404, "{mode} {address}");
        }
    }
}

#[tokio::test]
async fn a_link_may_be_bound_to_networks() {
    let rig = Rig::start("delivery = \"proxy\"\naccess = \"link\"").await;
    let networks = ["203.0.113.0/24", "2001:db8::/32"].map(|net| net.parse().unwrap()).to_vec();
    let target = format!("/media/a?sig={}", token(&Terms { networks, ..terms() }, "a"));
    for (address, status) in [
        ("203.0.113.9", 200),
        ("::ffff:203.0.113.9", 200),
        ("[2001:db8::9]:4711", 200),
        ("203.0.114.9", 403),
        ("::ffff:203.0.114.9", 403),
        ("::203.0.113.9", 403),
        ("2001:db9::9", 403),
        ("10.0.0.1, 203.0.114.9", 403),
        ("203.0.113.9, 198.51.100.1", 403),
    ] {
        assert_eq!(rig.from(address, &target).await.status, status, "{address}");
    }
    let v4_mapped = "::ffff:203.0.113.0/120".parse().unwrap();
    let target = format!("/media/a?sig={}", token(&Terms { networks: vec![v4_mapped], ..terms() }, "a"));
    assert_eq!(rig.from("203.0.113.9", &target).await.status, 200);
    assert_eq!(rig.from("203.0.114.9", &target).await.status, 403);
}

#[tokio::test]
async fn without_a_link_nobody_can_tell_what_there_is() {
    let rig = Rig::start("delivery = \"proxy\"\naccess = \"link\"\nfilter = \"a\"").await;
    let other = token(&terms(), "other");
    let expected = rig.from("203.0.113.9", "/media/a").await;
    for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT] {
        for path in ["a", "none", "outside-the-filter", "", "..", "%", "%00", "a/../b", "a//b"] {
            for link in ["", "?sig=", "?sig=x", "?sig=a&sig=b", &format!("?sig={other}"), "?x=1"] {
                let headers =
                    [("x-forwarded-for", "203.0.113.9"), ("origin", "https://ui.example"), ("range", "bytes=0-1")];
                let target = format!("/media/{path}{link}");
                let answer = rig.gateway.client.send(method.clone(), &target, &headers).await;
                assert_eq!(answer.status, 403, "{method} {target}");
                for name in ["content-type", "cache-control", "vary", "access-control-allow-origin", "connection"] {
                    assert_eq!(answer.header(name), expected.header(name), "{method} {target} {name}");
                }
                if method != Method::HEAD {
                    assert_eq!(answer.code(), "link_invalid", "{method} {target}");
                }
            }
        }
    }
    assert_eq!(rig.gateway.gcs.requests().len(), 0);
}

#[tokio::test]
async fn head_is_get_without_a_body_and_a_preflight_needs_no_link() {
    let rig = Rig::start("delivery = \"proxy\"\naccess = \"link\"").await;
    let good = format!("/media/a?sig={}", token(&terms(), "a"));
    let get = rig.from("203.0.113.9", &good).await;
    assert_eq!(get.text(), "bytes of a");
    let head = rig.gateway.client.head(&good, &[("origin", "https://ui.example")]).await;
    assert_eq!((head.status.as_u16(), head.bytes().len()), (200, 0));
    for name in
        ["etag", "content-length", "content-type", "referrer-policy", "access-control-allow-origin", "cache-control"]
    {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    let asks = [("origin", "https://ui.example"), ("access-control-request-method", "GET")];
    for target in ["/media/a", "/media/a?sig=nonsense", &good, "/media/none", "/~x/media/a"] {
        let preflight = rig.gateway.client.send(Method::OPTIONS, target, &asks).await;
        assert_eq!(preflight.status, 204, "{target}");
        assert_eq!(preflight.header("access-control-allow-methods"), "GET, HEAD", "{target}");
    }
    let inside = Rig::start(&format!("delivery = \"proxy\"\naccess = \"network-and-link\"\n{INSIDE}")).await;
    for (address, status) in [("203.0.113.9", 204), ("198.51.100.9", 404), ("203.0.113.66", 404)] {
        let headers = [asks[0], asks[1], ("x-forwarded-for", address)];
        let preflight = inside.gateway.client.send(Method::OPTIONS, "/media/a", &headers).await;
        assert_eq!(preflight.status, status, "{address}");
    }
}

#[tokio::test]
async fn what_only_a_link_opens_is_never_redirected_to_where_no_link_counts() {
    for (mode, delivery) in [
        ("network", "signed-url; reason=large"),
        ("link", "proxy; reason=restricted"),
        ("network-and-link", "proxy; reason=restricted"),
        ("network-or-link", "proxy; reason=restricted"),
    ] {
        let rig = Rig::start(&format!("redirect_above = \"1 KiB\"\naccess = {mode:?}")).await;
        rig.gateway.put("large", Object::generated(100_000, 7));
        let target = format!("/media/large?sig={}", token(&terms(), "large"));
        let answer = rig.gateway.client.get(&target, &[]).await;
        assert_eq!(answer.header("x-gsgate-delivery"), delivery, "{mode}");
    }
}
