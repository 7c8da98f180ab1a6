//! Keys: rotation without a gap, and keys that are of no use.

use super::rig::{Rig, key_entry, key_text, signing, terms, token, token_at, write_key};
use crate::faults::wire::{metric, until};
use crate::support::TestGateway;
use crate::support::log::Log;

const LINKED: &str = "delivery = \"proxy\"\naccess = \"link\"";

#[tokio::test]
async fn keys_are_rotated_without_a_gap() {
    let rig = Rig::start(LINKED).await;
    write_key(&rig.folder, "k2", 'b');
    let old = format!("/media/a?sig={}", token(&terms(), "a"));
    let fresh = token_at(&signing("k2", 'b'), &terms(), "a", std::time::SystemTime::now());
    let fresh = format!("/media/a?sig={fresh}");
    let answers = async || {
        let status = async |target: &str| rig.from("203.0.113.9", target).await.status.as_u16();
        (status(&old).await, status(&fresh).await)
    };
    assert_eq!(answers().await, (200, 403));
    let entries = |ids: &[&str]| ids.iter().map(|id| key_entry(&rig.folder, id)).collect::<Vec<_>>().join(", ");
    let (both, second) = (entries(&["k2", "k1"]), entries(&["k2"]));
    rig.gateway.rewrite(|text| text.replace(&format!("keys = [{}]", entries(&["k1"])), &format!("keys = [{both}]")));
    rig.gateway.reload.reload();
    until("both keys", async || answers().await == (200, 200)).await;
    rig.gateway.rewrite(|text| text.replace(&format!("keys = [{both}]"), &format!("keys = [{second}]")));
    rig.gateway.reload.reload();
    until("the new key alone", async || answers().await == (403, 200)).await;
}

#[tokio::test]
async fn a_changed_key_file_is_taken_up_and_a_bad_one_is_not() {
    let rig = Rig::start(LINKED).await;
    let (old, fresh) =
        (token(&terms(), "a"), token_at(&signing("k1", 'b'), &terms(), "a", std::time::SystemTime::now()));
    let status = async |token: &str| rig.from("203.0.113.9", &format!("/media/a?sig={token}")).await.status.as_u16();
    std::fs::write(rig.path("k1.key"), "too short").unwrap();
    rig.gateway.reload.reload();
    let refused = "gsgate_config_reloads_total{outcome=\"refused\"}";
    until("the refusal", async || metric(rig.gateway.admin, refused).await > 0).await;
    assert_eq!((status(&old).await, status(&fresh).await), (200, 403));
    write_key(&rig.folder, "k1", 'b');
    rig.gateway.reload.reload();
    until("the new key", async || (status(&old).await, status(&fresh).await) == (403, 200)).await;
}

#[tokio::test]
async fn what_cannot_be_used_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("good", key_text('a')), ("short", "ab".repeat(31)), ("odd", "{\"no\": \"key\"}".to_owned())] {
        std::fs::write(folder.path().join(format!("{name}.key")), text).unwrap();
    }
    std::fs::write(folder.path().join("bad.txt"), "subject annotator 17\n").unwrap();
    let keys = |names: &[&str]| {
        let entries = names.iter().map(|name| key_entry(&folder, name)).collect::<Vec<_>>().join(", ");
        format!("[links]\nkeys = [{entries}]\n")
    };
    let list = |name: &str| format!("{}revoked = '{}'", keys(&["good"]), folder.path().join(name).display());
    for (links, connection, told) in [
        (keys(&["short"]), LINKED, "248 bits, and must have 256 or more; make one with: gsgate link --new-key"),
        (keys(&["odd"]), LINKED, "neither hexadecimal nor base64"),
        (keys(&["none"]), LINKED, "cannot read the key file"),
        (keys(&["good", "good"]), LINKED, "two keys have the id \"good\""),
        (keys(&[]), LINKED, "connections.media.access: links need a key"),
        (String::new(), LINKED, "connections.media.access: links need a key"),
        (list("bad.txt"), LINKED, "line 1: there is more than one entry"),
        (list("none.txt"), LINKED, "cannot read the revocation list"),
        (keys(&["good"]), "access = \"link\"\nallow = [\"10.0.0.0/8\"]", "access = \"link\" looks at no network"),
        (keys(&["good"]), "access = \"links\"", "network-and-link"),
    ] {
        let builder = TestGateway::builder().await.connection(connection).sections(&links);
        let error = builder.try_start().await.err().expect("must be refused").to_string();
        assert!(error.contains(told), "{links}{connection}\n{error}");
        assert!(!error.contains(&"ab".repeat(31)) && !error.contains("no\": \"key"), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_others_can_read_gets_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let log = Log::capture("warn");
    let folder = tempfile::tempdir().unwrap();
    write_key(&folder, "k1", 'a');
    let links = format!("[links]\nkeys = [{}]\n", key_entry(&folder, "k1"));
    let _quiet = TestGateway::builder().await.connection(LINKED).sections(&links).start().await;
    assert!(!log.text().contains("chmod 600"), "{}", log.text());
    let path = folder.path().join("k1.key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _loud = TestGateway::builder().await.connection(LINKED).sections(&links).start().await;
    assert!(log.text().contains("chmod 600"), "{}", log.text());
}
