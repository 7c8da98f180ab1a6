//! Revoked links are refused within two seconds, without a reload; what streams then may finish.

use std::time::Instant;

use futures_util::future::join_all;
use gsgate::emulator::Object;
use http::Method;
use http_body_util::BodyExt as _;

use super::rig::{Rig, for_subject, terms, token, tree_token};
use crate::faults::wire::{metric, until};

const SIZE: u64 = 3_000_000;
const LOADED: &str = "gsgate_link_revocation_reloads_total{outcome=\"ok\"}";
const REFUSED: &str = "gsgate_link_revocation_reloads_total{outcome=\"refused\"}";
const SUCCESSFUL: &str = "gsgate_link_revocations_last_reload_successful";
const ENTRIES: &str = "gsgate_link_revocations";

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_revoked_while_fifty_clients_stream() {
    let rig = Rig::start("delivery = \"proxy\"\naccess = \"link\"").await;
    rig.gateway.put("video", Object::generated(SIZE, 7));
    let target = format!("/media/video?sig={}", token(&for_subject("annotator-17"), "video"));
    let other = format!("/media/video?sig={}", token(&for_subject("annotator-18"), "video"));
    let open = (0..50).map(|_| rig.gateway.client.open(Method::GET, &target, &[]));
    let streams = join_all(open).await;
    assert!(streams.iter().all(|(status, ..)| *status == 200));
    let status = async |target: &str| rig.gateway.client.head(target, &[]).await.status.as_u16();
    assert_eq!((status(&target).await, status(&other).await), (200, 200));
    let asked = Instant::now();
    rig.revoke("subject annotator-17 # left\n");
    until("the revocation", async || status(&target).await == 403).await;
    println!("revoked after {:?}, with {} streams open", asked.elapsed(), streams.len());
    assert_eq!(status(&other).await, 200, "nobody else");
    rig.refuses(&target, "revoked").await;
    for (_, _, body) in streams {
        assert_eq!(body.collect().await.unwrap().to_bytes().len() as u64, SIZE, "what had begun is whole");
    }
}

#[tokio::test]
async fn links_are_revoked_by_key_subject_id_and_time() {
    let rig = Rig::start("delivery = \"proxy\"\naccess = \"link\"").await;
    let target = format!("/media/a?sig={}", token(&for_subject("annotator-17"), "a"));
    let in_path = format!("/~{}/media/a", tree_token(&for_subject("annotator-17"), ""));
    let other = format!("/media/a?sig={}", token(&for_subject("annotator-18"), "a"));
    let answers = async || {
        let mut statuses = Vec::new();
        for target in [&target, &in_path, &other] {
            statuses.push(rig.from("203.0.113.9", target).await.status.as_u16());
        }
        statuses
    };
    assert_eq!(answers().await, [200, 200, 200]);
    for (list, expected) in [
        ("subject annotator-17\n", [403, 403, 200]),
        ("key k1\n", [403, 403, 403]),
        ("all before 2000-01-01\nkey k2\n", [200, 200, 200]),
        ("all before 2100-01-01T00:00:00Z\n", [403, 403, 403]),
        ("", [200, 200, 200]),
    ] {
        let loaded = metric(rig.gateway.admin, LOADED).await;
        rig.revoke(list);
        until(list, async || metric(rig.gateway.admin, LOADED).await > loaded).await;
        assert_eq!(answers().await, expected, "{list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_list_leaves_the_old_one_in_force() {
    let rig = Rig::start("delivery = \"proxy\"\naccess = \"link\"").await;
    let target = format!("/media/a?sig={}", token(&for_subject("annotator-17"), "a"));
    let status = async || rig.from("203.0.113.9", &target).await.status.as_u16();
    rig.revoke("subject annotator-17\nlink 00000000000000ff\n");
    until("the revocation", async || status().await == 403).await;
    until("its count", async || metric(rig.gateway.admin, ENTRIES).await == 2).await;
    for bad in ["subjet annotator-18\n", "subject\n", "\u{0}\n"] {
        let refused = metric(rig.gateway.admin, REFUSED).await;
        rig.revoke(bad);
        until(bad, async || metric(rig.gateway.admin, REFUSED).await > refused).await;
        until("the mark of it", async || metric(rig.gateway.admin, SUCCESSFUL).await == 0).await;
        assert_eq!(status().await, 403, "{bad}");
    }
    let refused = metric(rig.gateway.admin, REFUSED).await;
    std::fs::remove_file(rig.path("revoked.txt")).unwrap();
    until("the list is gone", async || metric(rig.gateway.admin, REFUSED).await > refused).await;
    assert_eq!(status().await, 403, "gone is not empty");
    rig.revoke("# nobody is revoked any more\n");
    until("mended", async || status().await == 200).await;
    until("the mark of it", async || metric(rig.gateway.admin, SUCCESSFUL).await == 1).await;
    until("its count", async || metric(rig.gateway.admin, ENTRIES).await == 0).await;
}

#[tokio::test]
async fn a_reload_brings_another_list_which_is_watched_in_turn() {
    let rig = Rig::start("delivery = \"proxy\"\naccess = \"link\"").await;
    let target = format!("/media/a?sig={}", token(&terms(), "a"));
    let status = async || rig.from("203.0.113.9", &target).await.status.as_u16();
    std::fs::write(rig.path("second.txt"), "key k1\n").unwrap();
    rig.gateway.rewrite(|text| text.replace("revoked.txt", "second.txt"));
    rig.gateway.reload.reload();
    until("the other list", async || status().await == 403).await;
    std::fs::write(rig.path("second.txt"), "key k2\n").unwrap();
    until("its change", async || status().await == 200).await;
}
