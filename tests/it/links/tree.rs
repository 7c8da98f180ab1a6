//! Links in the path: what refers to its neighbours, and sessions that outlast their link.

use std::time::{Duration, SystemTime};

use gsgate::emulator::Object;
use gsgate::gateway::links::{Expiry, Terms};
use http::Method;
use http_body_util::BodyExt as _;
use reqwest::Url;

use super::rig::{Rig, signing, terms, token_at, tree_token};
use crate::faults::wire::until;

#[tokio::test]
async fn relative_references_keep_the_link() {
    let rig = Rig::start("delivery = \"proxy\"\naccess = \"link\"").await;
    for name in ["hls/a b/index.m3u8", "hls/a b/seg/1.ts", "hls/shared.ts", "hls/a b/ü~(1).ts", "top.ts"] {
        rig.gateway.put(name, Object::bytes(name.as_bytes().to_vec()));
    }
    let link = tree_token(&terms(), "hls/");
    let playlist = Url::parse(&format!("http://gateway.test/~{link}/media/hls/a%20b/index.m3u8")).unwrap();
    for (reference, expected) in [
        ("index.m3u8", Some("hls/a b/index.m3u8")),
        ("seg/1.ts", Some("hls/a b/seg/1.ts")),
        ("./seg/1.ts?x=1", Some("hls/a b/seg/1.ts")),
        ("../shared.ts", Some("hls/shared.ts")),
        ("ü~(1).ts", Some("hls/a b/ü~(1).ts")),
        ("../../top.ts", None),
        ("../../hls/none.ts", Some("")),
    ] {
        let url = playlist.join(reference).unwrap();
        let target = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let answer = rig.from("203.0.113.9", &target).await;
        match expected {
            Some("") => assert_eq!(answer.status, 404, "{reference}"),
            Some(name) => assert_eq!(answer.text(), name, "{reference}"),
            None => assert_eq!(answer.code(), "link_invalid", "{reference}"),
        }
    }
    let encoded = rig.from("203.0.113.9", &format!("/%7E{link}/media/hls/shared.ts")).await;
    assert_eq!(encoded.text(), "hls/shared.ts", "some clients encode the tilde");
    for target in [format!("/~{link}/media"), format!("/~{link}/"), format!("/~{link}"), format!("/~{link}/nowhere/a")]
    {
        assert_eq!(rig.from("203.0.113.9", &target).await.status, 404, "{target}");
    }
    rig.refuses("/~nonsense/media/hls/shared.ts", "no token").await;
    rig.refuses("/~/media/hls/shared.ts", "an empty token").await;
}

#[tokio::test]
async fn ranges_are_served_until_the_link_expires_and_what_flows_then_flows_on() {
    let rig = Rig::start("delivery = \"proxy\"\naccess = \"link\"").await;
    rig.gateway.put("video", Object::generated(20_000_000, 7));
    let terms = Terms { expires: Expiry::At(SystemTime::now() + Duration::from_secs(8)), ..terms() };
    let target = format!("/media/video?sig={}", token_at(&signing("k1", 'a'), &terms, "video", SystemTime::now()));
    let (status, _, body) = rig.gateway.client.open(Method::GET, &target, &[]).await;
    assert_eq!(status, 200);
    let range = async || rig.gateway.client.get(&target, &[("range", "bytes=1000000-1000999")]).await;
    let first = range().await;
    assert_eq!((first.status.as_u16(), first.bytes().len()), (206, 1000));
    until("the link expires", async || range().await.status == 403).await;
    assert_eq!(range().await.code(), "link_invalid");
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 20_000_000, "what had begun is whole");
}
