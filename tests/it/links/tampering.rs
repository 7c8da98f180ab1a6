//! Links that were changed, cut, respelled, forged, borrowed or kept too long: not one gets a byte.

use std::time::{Duration, SystemTime};

use gsgate::gateway::links::{Expiry, Key, Keyring, Links, Scope, Target, Terms};
use gsgate::object::{BucketName, ObjectName, ObjectPrefix};

use super::rig::{Rig, for_subject, key_text, signing, terms, token, token_at, tree_token};

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const OTHERS: &str = "[connections.other]\nuri = \"gs://test-media/\"\ndelivery = \"proxy\"\naccess = \"link\"\n\
                      [connections.elsewhere]\nuri = \"gs://test-elsewhere/\"\ndelivery = \"proxy\"\naccess = \"link\"\n\
                      [connections.sub]\nuri = \"gs://test-media/sub/\"\ndelivery = \"proxy\"\naccess = \"link\"\n";

async fn rig() -> Rig {
    Rig::with("delivery = \"proxy\"\naccess = \"link\"", |builder| builder.sections(OTHERS)).await
}

fn whole() -> Terms {
    Terms {
        not_before: Some(SystemTime::now() - Duration::from_mins(1)),
        networks: ["203.0.113.0/24", "2001:db8::/32"].map(|net| net.parse().unwrap()).to_vec(),
        ..for_subject("annotator-17")
    }
}

#[tokio::test]
async fn every_byte_and_every_letter_counts() {
    let rig = rig().await;
    for good in [token(&whole(), "a"), token(&terms(), "a"), tree_token(&whole(), "")] {
        assert_eq!(rig.from("203.0.113.9", &format!("/media/a?sig={good}")).await.status, 200);
        for at in 0..good.len() {
            let mut letters = good.clone().into_bytes();
            let place = LETTERS.iter().position(|letter| *letter == letters[at]).unwrap();
            letters[at] = LETTERS[place ^ (1 << (at % 6))];
            let changed = String::from_utf8(letters).unwrap();
            rig.refuses(&format!("/media/a?sig={changed}"), &format!("letter {at} changed")).await;
            rig.refuses(&format!("/media/a?sig={}", &good[..at]), &format!("cut at {at}")).await;
        }
    }
}

#[tokio::test]
async fn no_other_spelling_is_taken() {
    let rig = rig().await;
    let good = token(&terms(), "a");
    let last = LETTERS.iter().position(|letter| *letter == *good.as_bytes().last().unwrap()).unwrap();
    for (changed, why) in [
        (format!("{good}="), "padding"),
        (format!("{good}=="), "padding"),
        (format!("{good}A"), "longer"),
        (format!("%{:02X}{}", good.as_bytes()[0], &good[1..]), "percent-encoded"),
        (format!("+{good}"), "a space in front"),
        (format!("{good}%20"), "a space behind"),
        (format!("{good}%00"), "a NUL behind"),
        (good.to_lowercase(), "lower case"),
        (good.chars().rev().collect(), "backwards"),
        (format!("{}{}", &good[..good.len() - 1], char::from(LETTERS[last ^ 1])), "trailing bits"),
        ("x".repeat(5_000), "far too long"),
        (String::new(), "empty"),
        (format!("{good}&sig={good}"), "twice"),
        (format!("{good}&sig"), "twice, once empty"),
    ] {
        rig.refuses(&format!("/media/a?sig={changed}"), why).await;
    }
    rig.refuses(&format!("/~{good}/media/a?sig={good}"), "in the path and in the query").await;
    for name in ["SIG", "Sig", "%73ig", "token", "signature", "X-Goog-Signature"] {
        rig.refuses(&format!("/media/a?{name}={good}"), "another parameter").await;
    }
    let standard = (0..1000).map(|n| token(&for_subject(&format!("annotator-{n}")), "a"));
    let mut other = standard.filter(|token| token.contains(['-', '_']));
    let other = other.next().unwrap().replace('-', "%2B").replace('_', "%2F");
    rig.refuses(&format!("/media/a?sig={other}"), "base64's other alphabet").await;
}

#[tokio::test]
async fn a_link_is_for_one_place() {
    let rig = rig().await;
    rig.gateway.put("b", gsgate::emulator::Object::bytes("b"));
    rig.gateway.put("sub/a", gsgate::emulator::Object::bytes("sub/a"));
    let elsewhere = rig.gateway.gcs.bucket("test-elsewhere");
    elsewhere.put("a", gsgate::emulator::Object::bytes("elsewhere"));
    let (one, tree, all) = (token(&terms(), "a"), tree_token(&terms(), "sub/"), tree_token(&terms(), ""));
    assert_eq!(rig.from("203.0.113.9", &format!("/media/sub/a?sig={tree}")).await.text(), "sub/a");
    for (target, why) in [
        (format!("/media/b?sig={one}"), "another object"),
        (format!("/media/a/?sig={one}"), "another object, near by"),
        (format!("/media//a?sig={one}"), "another object, near by"),
        (format!("/media/sub/a?sig={one}"), "another folder"),
        (format!("/other/a?sig={one}"), "another connection to the same bucket"),
        (format!("/elsewhere/a?sig={one}"), "another bucket"),
        (format!("/other/a?sig={all}"), "another connection, by a link for everything"),
        (format!("/elsewhere/a?sig={all}"), "another bucket, by a link for everything"),
        (format!("/sub/a?sig={tree}"), "the same object through another connection"),
        (format!("/media/a?sig={tree}"), "above the prefix"),
        (format!("/media/sub?sig={tree}"), "the prefix without its slash"),
        (format!("/media/sub/../a?sig={tree}"), "out of the prefix"),
        (format!("/media/sub%2F..%2Fa?sig={tree}"), "out of the prefix, encoded"),
        (format!("/~{tree}/other/sub/a"), "another connection, in the path"),
    ] {
        rig.refuses(&target, why).await;
    }
    assert_eq!(rig.from("203.0.113.9", &format!("/media/%61?sig={one}")).await.status, 200, "the same name, encoded");
}

#[tokio::test]
async fn other_keys_and_other_times_are_none() {
    let rig = rig().await;
    let now = SystemTime::now();
    let (ago, ahead) = (|secs| now - Duration::from_secs(secs), |secs| now + Duration::from_secs(secs));
    let at = |time| Terms { expires: Expiry::At(time), ..terms() };
    let from = |time| Terms { not_before: Some(time), ..terms() };
    let k1 = signing("k1", 'a');
    for (token, why) in [
        (token_at(&signing("k1", 'b'), &terms(), "a", now), "another key of the same name"),
        (token_at(&signing("k2", 'a'), &terms(), "a", now), "a key that is not known"),
        (token_at(&k1, &at(ago(1)), "a", ago(100)), "expired a second ago"),
        (token_at(&k1, &at(now), "a", ago(100)), "expired this second"),
        (token_at(&k1, &from(ahead(1800)), "a", now), "not yet valid"),
        (token(&Terms { networks: vec!["203.0.114.0/24".parse().unwrap()], ..terms() }, "a"), "another network"),
        (token(&Terms { networks: vec!["::cb00:7100/120".parse().unwrap()], ..terms() }, "a"), "IPv6, nearly"),
    ] {
        rig.refuses(&format!("/media/a?sig={token}"), why).await;
    }
    let fine = token_at(&k1, &from(now), "a", ago(100));
    assert_eq!(rig.from("203.0.113.9", &format!("/media/a?sig={fine}")).await.status, 200);
}

#[tokio::test]
async fn a_connection_that_is_pointed_elsewhere_takes_its_old_links_along_nowhere() {
    let rig = rig().await;
    let elsewhere = rig.gateway.gcs.bucket("test-elsewhere");
    elsewhere.put("a", gsgate::emulator::Object::bytes("elsewhere"));
    rig.gateway.put("sub/a", gsgate::emulator::Object::bytes("sub/a"));
    let key = Key::read("k1".parse().unwrap(), &key_text('a'), None).unwrap();
    let links = Links::new(Keyring::new([key]), Duration::ZERO);
    let signer = links.signer(&terms(), SystemTime::now()).unwrap();
    let (bucket, name) = (BucketName::new("test-media").unwrap(), ObjectName::new("a").unwrap());
    let everything = ObjectPrefix::default();
    let one = signer.sign(Scope { connection: "media", bucket: &bucket, target: Target::Object(&name) });
    let all = signer.sign(Scope { connection: "media", bucket: &bucket, target: Target::Prefix(&everything) });
    for uri in ["gs://test-elsewhere/", "gs://test-media/sub/"] {
        rig.gateway
            .rewrite(|text| text.replace("uri = \"gs://test-media/\"\ndelivery", &format!("uri = {uri:?}\ndelivery")));
        rig.gateway.reload.reload();
        crate::faults::wire::until("the reload", async || {
            let target = format!("/media/a?sig={}", one.token());
            rig.from("203.0.113.9", &target).await.status == 403
        })
        .await;
        let all = rig.from("203.0.113.9", &format!("/media/a?sig={}", all.token())).await;
        // A link for everything in the bucket still is one where the connection became narrower.
        assert_eq!(all.status, if uri.contains("elsewhere") { 403 } else { 200 }, "{uri}");
        rig.gateway
            .rewrite(|text| text.replace(&format!("uri = {uri:?}\ndelivery"), "uri = \"gs://test-media/\"\ndelivery"));
        rig.gateway.reload.reload();
        crate::faults::wire::until("the way back", async || {
            let target = format!("/media/a?sig={}", one.token());
            rig.from("203.0.113.9", &target).await.status == 200
        })
        .await;
    }
}
