//! A new configuration under load, a bad one, and one that a reload cannot bring.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::join_all;
use gsgate::emulator::{Emulator, Object, pattern};
use http::Method;

use crate::faults::wire::{Wire, metric, until};
use crate::support::{Binary, TestGateway};

const SIZE: usize = 500_001;
const OK: &str = "gsgate_config_reloads_total{outcome=\"ok\"}";
const REFUSED: &str = "gsgate_config_reloads_total{outcome=\"refused\"}";
const SUCCESSFUL: &str = "gsgate_config_last_reload_successful";

#[tokio::test(flavor = "multi_thread")]
async fn reloading_under_load_fails_no_request() {
    let gateway = Arc::new(TestGateway::start().await);
    gateway.put("x", Object::generated(SIZE as u64, 7));
    let whole = Arc::new(pattern(7, 0, SIZE));
    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let (gateway, whole) = (Arc::clone(&gateway), Arc::clone(&whole));
            let (over, served) = (Arc::clone(&over), Arc::clone(&served));
            let wire = if client % 2 == 0 { Wire::Http1 } else { Wire::H2c };
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let got = wire.send(gateway.client.address, Method::GET, "/media/x", &[]).await;
                    let got = got.expect("an answer");
                    assert!(got.status == 200 && got.neat && got.body == *whole, "{}", got.status);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 1..=20 {
        let before = served.load(Ordering::Relaxed);
        until("requests between reloads", async || served.load(Ordering::Relaxed) > before + 4).await;
        gateway.rewrite(|text| format!("{text}\n[connections.media{round}]\nuri = \"gs://test-media/\"\n"));
        gateway.reload.reload();
        until("a reload", async || metric(gateway.admin, OK).await >= round).await;
        assert_eq!(gateway.client.head(&format!("/media{round}/x"), &[]).await.status, 200, "{round}");
    }
    over.store(true, Ordering::Relaxed);
    for client in join_all(clients).await {
        client.unwrap();
    }
    println!("{} requests served during 20 reloads", served.load(Ordering::Relaxed));
    assert_eq!(metric(gateway.admin, REFUSED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_the_next_good_one_mends_it() {
    let binary = Binary::start(Emulator::builder().start().await.unwrap(), "").await;
    binary.bucket().put("x", Object::bytes("here"));
    let config = binary.admin.get("/config", &[("host", "localhost")]).await.text().to_owned();
    let mut refused = 0;
    for (bad, said) in [
        ("[cach]\nmemory = 1\n", "cach"),
        ("this is no TOML", "gsgate.toml"),
        ("[connections.second]\nuri = \"gs://x\"\ndelivery = \"teleport\"\n", "delivery"),
        ("[connections.second]\nuri = \"gs://bucket/\"\ncredentials = \"nobody\"\n", "nobody"),
    ] {
        let mut good = String::new();
        binary.rewrite(|text| {
            good.clone_from(&text);
            format!("{text}\n{bad}")
        });
        binary.signal("HUP").await;
        refused += 1;
        // The poll may see the file as well, so there may be more refusals than signals.
        until(said, async || metric(binary.admin, REFUSED).await >= refused).await;
        refused = metric(binary.admin, REFUSED).await;
        binary.logged(said).await;
        assert_eq!(metric(binary.admin, SUCCESSFUL).await, 0, "{said}");
        assert_eq!(binary.client.get("/media/x", &[]).await.text(), "here", "{said}");
        assert_eq!(binary.admin.get("/config", &[("host", "localhost")]).await.text(), config, "{said}");
        binary.rewrite(|_| good);
    }
    binary.rewrite(|text| format!("{text}\n[connections.second]\nuri = \"gs://test-media/\"\ndelivery = \"proxy\"\n"));
    binary.signal("HUP").await;
    until("mended", async || metric(binary.admin, SUCCESSFUL).await == 1).await;
    assert_eq!(binary.client.get("/second/x", &[]).await.text(), "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_the_sockets_cannot_change_by_a_reload() {
    for (from, to, key) in [
        ("[server]\nlisten = \"127.0.0.1:0\"", "[server]\nlisten = \"127.0.0.1:1\"", "server.listen"),
        ("[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"127.0.0.1:1\"", "admin.listen"),
        ("[server]\n", "[server]\ndrain_timeout = \"7s\"\n", "server.drain_timeout"),
    ] {
        let binary = Binary::start(Emulator::builder().start().await.unwrap(), "").await;
        binary.bucket().put("x", Object::bytes("here"));
        binary.rewrite(|text| {
            assert!(text.contains(from), "{text}");
            text.replacen(from, to, 1)
        });
        binary.signal("HUP").await;
        until(key, async || metric(binary.admin, REFUSED).await >= 1).await;
        let said = binary.logged("cannot change by a reload").await.to_string();
        assert!(said.contains(key) && said.contains("restart gsgate"), "{said}");
        assert_eq!(binary.client.get("/media/x", &[]).await.text(), "here");
    }
}
