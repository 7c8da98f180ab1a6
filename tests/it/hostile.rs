//! What a hostile client, or a careless operator, tried: each once got through.

use std::io::Write as _;

use gsgate::emulator::{Emulator, Object};

use crate::faults::wire::{metric, until};
use crate::media::gzip::gzip;
use crate::support::TestGateway;
use crate::support::gateway::Builder;

#[tokio::test]
async fn http_1_0_never_gets_a_body_whose_break_would_look_like_its_end() {
    let gateway = TestGateway::start().await;
    let mut cut = gzip(&vec![b'x'; 100_000]);
    cut.truncate(cut.len() - 9);
    gateway.put("cut.json", Object::bytes(cut).content_encoding("gzip"));
    gateway.put("plain.txt", Object::bytes("here"));
    for (method, headers, status) in
        [("GET", "", "505"), ("HEAD", "", "505"), ("GET", "Accept-Encoding: gzip\r\n", "200")]
    {
        let answer = gateway.client.raw(format!("{method} /media/cut.json HTTP/1.0\r\n{headers}\r\n")).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.0 {status} ")), "{method} {headers}: {answer}");
        assert!(status != "200" || answer.contains("content-length: "), "{answer}");
    }
    let plain = gateway.client.raw("GET /media/plain.txt HTTP/1.0\r\n\r\n").await;
    assert!(plain.ends_with(b"\r\n\r\nhere"), "{}", String::from_utf8_lossy(&plain));
}

#[tokio::test]
async fn behind_the_proxy_protocol_no_header_names_another_client() {
    let sections = "[server]\nlisten = \"127.0.0.1:0\"\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let rig = TestGateway::builder().await.access("allow = [\"10.9.9.9\"]").sections(sections).start().await;
    rig.put("x", Object::bytes("here"));
    for (proxy, status) in [
        ("PROXY TCP4 10.9.9.9 1.1.1.1 1 2\r\n", "200"),
        ("PROXY TCP4 127.0.0.9 1.1.1.1 1 2\r\n", "404"),
        ("PROXY UNKNOWN\r\n", "404"),
    ] {
        for forged in ["", "X-Forwarded-For: 10.9.9.9\r\n", "Forwarded: for=10.9.9.9\r\n"] {
            let request = format!("{proxy}GET /media/x HTTP/1.1\r\nHost: a\r\n{forged}Connection: close\r\n\r\n");
            let answer = rig.client.raw(request).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{proxy}{forged}{answer}");
        }
    }
}

#[tokio::test]
async fn a_gateway_that_knows_its_name_answers_to_no_other() {
    let sections =
        "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://media.example.com\"\nhosts = [\"gateway.test\"]\n";
    let rig = TestGateway::builder().await.sections(sections).start().await;
    rig.put("x", Object::bytes("here"));
    for (host, path, status) in [
        ("media.example.com", "/media/x", 200),
        ("gateway.test:8080", "/media/x", 200),
        ("127.0.0.1:8080", "/media/x", 200),
        ("evil.example", "/media/x", 421),
        ("evil.example", "/-/healthz", 200),
    ] {
        let answer = rig.client.get(path, &[("host", host)]).await;
        assert_eq!(answer.status, status, "{host}");
    }
    assert_eq!(rig.client.get("/media/x", &[("host", "evil.example")]).await.code(), "foreign_host");
}

#[tokio::test]
async fn whoever_is_not_admitted_does_not_keep_the_connection() {
    let rig = TestGateway::builder().await.access("allow = [\"10.9.9.9\"]").start().await;
    // `raw` reads until the other side closes.
    let answer = rig.client.raw("GET /media/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(String::from_utf8_lossy(&answer).contains("connection: close"));
}

#[tokio::test]
async fn a_refused_configuration_comes_into_force_once_what_it_lacked_is_there() {
    let rig = TestGateway::start().await;
    rig.put("x", Object::bytes("here"));
    rig.rewrite(|text| text.replace("allow = \"anyone\"", "allow = \"anyone\"\nip_filter_file = \"filter.json\""));
    rig.reload.reload();
    until("the refusal", async || metric(rig.admin, "gsgate_config_reloads_total{outcome=\"refused\"}").await == 1)
        .await;
    assert_eq!(rig.client.get("/media/x", &[]).await.status, 200);
    let mut filter = std::fs::File::create(rig.folder.path().join("filter.json")).unwrap();
    filter.write_all(br#"{"mode":"Enabled","publicNetworkSource":{"allowedIpCidrRanges":["10.0.0.0/8"]}}"#).unwrap();
    until("the filter", async || rig.client.get("/media/x", &[]).await.status == 404).await;
    assert_eq!(metric(rig.admin, "gsgate_config_reloads_total{outcome=\"refused\"}").await, 1, "told once");
}

#[tokio::test]
async fn absurd_times_and_counts_are_refused_with_their_key() {
    for (section, key, value) in [
        ("[cache]", "metadata_ttl", "\"2000y\""),
        ("[gcs]", "first_byte_timeout", "\"0s\""),
        ("[gcs]", "first_byte_timeout", "\"584000000000y\""),
        ("[gcs]", "max_in_flight", "0"),
        ("[server.limits]", "stall_timeout", "\"584000000000y\""),
    ] {
        let gcs = Emulator::builder().start().await.unwrap();
        let started = Builder::over(gcs).sections(&format!("{section}\n{key} = {value}\n")).try_start().await;
        let error = started.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(key) && error.contains("expected a"), "{section} {key}: {error}");
    }
}
