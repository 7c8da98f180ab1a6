//! Who may ask, over the wire. The test's own peer is a trusted proxy, so that it can speak for any address.

use gsgate::emulator::{Object, Operation};
use http::Method;

use crate::support::gateway::Builder;
use crate::support::{Answer, TestGateway};

const TRUSTING: &str = "[server]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]";

async fn builder(access: &str) -> Builder {
    TestGateway::builder().await.sections(TRUSTING).access(access)
}

async fn start(builder: Builder) -> TestGateway {
    let gateway = builder.start().await;
    gateway.put("a", Object::generated(100, 7));
    gateway
}

async fn from(gateway: &TestGateway, address: &str) -> Answer {
    gateway.client.get("/media/a", &[("x-forwarded-for", address)]).await
}

#[tokio::test]
async fn addresses_are_admitted_or_not() {
    let networks = "[networks]\noffice = [\"203.0.113.0/24\", \"2001:db8::/32\"]\nvpn = [\"198.51.100.128/25\"]";
    let access = "allow = [\"office\", \"198.51.100.7\", \"::ffff:192.0.2.0/120\", \"2001:db9::1\"]\n\
                  deny = [\"203.0.113.66\", \"vpn\"]";
    let gateway = start(builder(access).await.sections(networks)).await;
    for (address, admitted) in [
        ("203.0.113.1", true),
        ("203.0.113.255", true),
        ("203.0.114.1", false),
        ("203.0.113.66", false),
        ("::ffff:203.0.113.66", false),
        ("198.51.100.7", true),
        ("198.51.100.8", false),
        ("198.51.100.200", false),
        ("::ffff:203.0.113.1", true),
        ("::ffff:cb00:7101", true),
        ("192.0.2.9", true),
        ("2001:db8::1", true),
        ("2001:db8:ffff::1", true),
        ("2001:db9::1", true),
        ("2001:db9::2", false),
        ("::1", false),
        ("::203.0.113.1", false),
        ("64:ff9b::203.0.113.1", false),
        ("203.0.113.1:4711", true),
        ("[2001:db8::1]:4711", true),
        ("8.8.8.8", false),
        ("10.1.2.3", false),
    ] {
        gateway.gcs.clear_requests();
        let answer = from(&gateway, address).await;
        assert_eq!(answer.status, if admitted { 200 } else { 404 }, "{address}");
        assert_eq!(gateway.gcs.count(Operation::Media), u64::from(admitted), "{address}");
    }
}

#[tokio::test]
async fn headers_cannot_widen_access() {
    let gateway = start(builder("allow = [\"203.0.113.0/24\"]").await).await;
    let xff = "x-forwarded-for";
    for (headers, admitted) in [
        (&[(xff, "203.0.113.1")][..], true),
        (&[(xff, "203.0.113.1, 8.8.8.8")], false),
        (&[(xff, "203.0.113.1"), (xff, "8.8.8.8")], false),
        (&[(xff, "203.0.113.1, 8.8.8.8, 10.0.0.1")], false),
        (&[(xff, "8.8.8.8, 203.0.113.1, 10.0.0.1")], true),
        (&[(xff, "garbage, 203.0.113.1")], true),
        (&[(xff, "203.0.113.1, garbage")], false),
        (&[(xff, "203.0.113.1,")], false),
        (&[(xff, "")], false),
        (&[(xff, "unknown")], false),
        (&[(xff, "203.0.113.1, 203.0.113.999")], false),
        (&[(xff, "203.0.113.1 8.8.8.8")], false),
        (&[("forwarded", "for=203.0.113.1")], true),
        (&[("forwarded", "for=203.0.113.1;proto=https;host=a")], true),
        (&[("forwarded", "for=203.0.113.1, for=8.8.8.8")], false),
        (&[("forwarded", "for=_hidden")], false),
        (&[("forwarded", "for=203.0.113.1"), (xff, "8.8.8.8")], false),
        (&[("forwarded", "for=8.8.8.8"), (xff, "203.0.113.1")], false),
        (&[("x-real-ip", "203.0.113.1")], false),
        (&[("x-client-ip", "203.0.113.1"), ("true-client-ip", "203.0.113.1")], false),
        (&[("cf-connecting-ip", "203.0.113.1"), ("x-cluster-client-ip", "203.0.113.1")], false),
        (&[], false),
    ] {
        let answer = gateway.client.get("/media/a", headers).await;
        assert_eq!(answer.status, if admitted { 200 } else { 404 }, "{headers:?}");
    }
}

#[tokio::test]
async fn a_peer_that_nobody_trusts_speaks_for_itself() {
    for (access, status) in [("allow = [\"203.0.113.0/24\"]", 404), ("allow = [\"127.0.0.1\"]", 200)] {
        let gateway = start(TestGateway::builder().await.access(access)).await;
        for headers in [&[("x-forwarded-for", "203.0.113.1")][..], &[("forwarded", "for=203.0.113.1")], &[]] {
            assert_eq!(gateway.client.get("/media/a", headers).await.status, status, "{access} {headers:?}");
        }
        let nonsense = gateway.client.get("/media/a", &[("x-forwarded-for", "nonsense")]).await;
        assert_eq!(nonsense.status, status, "ignored, not refused");
    }
}

#[tokio::test]
async fn the_file_that_gcloud_takes_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ip-filter.json");
    let filter = r#"{
        "mode": "Enabled", // as in the guide
        "publicNetworkSource": { "allowedIpCidrRanges": ["203.0.113.0/24", "2001:db8::/32"] },
        // the VPC
        "vpcNetworkSources": [
            { "network": "projects/P/global/networks/N", "allowedIpCidrRanges": ["192.168.0.0/16"] }
        ]
    }"#;
    std::fs::write(&file, filter).unwrap();
    for (network, private) in [
        ("", false),
        ("network = \"projects/P/global/networks/N\"", true),
        ("network = \"projects/P/global/networks/OTHER\"", false),
    ] {
        let server = format!("{TRUSTING}\n{network}");
        let builder = TestGateway::builder().await.sections(&server).access(&format!("ip_filter_file = {file:?}"));
        let gateway = start(builder).await;
        for (address, admitted) in
            [("203.0.113.1", true), ("2001:db8::5", true), ("192.168.1.1", private), ("8.8.8.8", false)]
        {
            let answer = from(&gateway, address).await;
            assert_eq!(answer.status, if admitted { 200 } else { 404 }, "{network} {address}");
        }
    }
}

#[tokio::test]
async fn a_connections_own_list_replaces_the_default_and_denials_add_up() {
    let sections = "[connections.own]\nuri = \"gs://test-media/\"\ndelivery = \"proxy\"\nallow = [\"198.51.100.0/24\"]\n\
                    [connections.open]\nuri = \"gs://test-media/\"\ndelivery = \"proxy\"\nallow = \"anyone\"\n\
                    deny = [\"198.51.100.9\"]";
    let access = "allow = [\"203.0.113.0/24\"]\ndeny = [\"198.51.100.66\"]";
    let gateway = start(builder(access).await.sections(sections)).await;
    for (target, address, admitted) in [
        ("/media/a", "203.0.113.1", true),
        ("/media/a", "198.51.100.1", false),
        ("/own/a", "198.51.100.1", true),
        ("/own/a", "203.0.113.1", false),
        ("/own/a", "198.51.100.66", false),
        ("/open/a", "8.8.8.8", true),
        ("/open/a", "198.51.100.9", false),
        ("/open/a", "198.51.100.66", false),
    ] {
        let answer = gateway.client.get(target, &[("x-forwarded-for", address)]).await;
        assert_eq!(answer.status, if admitted { 200 } else { 404 }, "{target} {address}");
    }
}

#[tokio::test]
async fn whoever_is_not_admitted_cannot_tell_what_there_is() {
    let sections = "[cors]\norigins = [\"https://ui.example\"]\n\
                    [connections.own]\nuri = \"gs://test-media/\"\ndelivery = \"proxy\"\n\
                    [connections.own.cors]\norigins = [\"https://own.example\"]";
    let gateway = start(builder("allow = [\"203.0.113.0/24\"]").await.sections(sections)).await;
    for origin in ["https://ui.example", "https://own.example", "https://evil.example"] {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST] {
            let mut answers = Vec::new();
            for target in ["/media/a", "/media/none", "/own/a", "/nowhere/a", "/nowhere", "/", "/media/..", "/media/%"]
            {
                for address in ["8.8.8.8", "garbage"] {
                    let headers = [
                        ("x-forwarded-for", address),
                        ("origin", origin),
                        ("access-control-request-method", "GET"),
                        ("x-request-id", "same"),
                        ("service-worker", "script"),
                    ];
                    let mut answer = gateway.client.send(method.clone(), target, &headers).await;
                    answer.headers.remove("date");
                    assert_eq!(answer.status, 404, "{method} {target} {address}");
                    let readable = if origin == "https://ui.example" { origin } else { "" };
                    assert_eq!(answer.header("access-control-allow-origin"), readable, "{method} {target}");
                    answers.push((answer.headers.clone(), answer.bytes().to_vec()));
                }
            }
            answers.dedup();
            assert_eq!(answers.len(), 1, "{method} {origin}: {answers:#?}");
        }
    }
    assert_eq!(gateway.gcs.requests().len(), 0);
    let missing = gateway.client.get("/media/none", &[("x-forwarded-for", "203.0.113.1"), ("x-request-id", "same")]);
    let denied = gateway.client.get("/media/none", &[("x-forwarded-for", "8.8.8.8"), ("x-request-id", "same")]);
    assert_eq!(missing.await.text(), denied.await.text(), "nor does a missing object look different");
}

#[tokio::test]
async fn an_empty_list_is_refused_at_the_start() {
    for access in ["allow = []", "", "deny = [\"192.0.2.1\"]", "allow = \"everyone\"", "allow = [\"10.0.0.1/8\"]"] {
        assert!(TestGateway::builder().await.access(access).try_start().await.is_err(), "{access}");
    }
}
