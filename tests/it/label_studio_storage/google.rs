//! Google's own library, as Label Studio has it, as the client: what it sends is understood, and what it gets is what it wants.
//!
//! Runs where `GSGATE_ORACLE_PYTHON` names a Python that has the package google-cloud-storage; `.ci/run` sets it.

use gsgate::emulator::Object;
use gsgate::label_studio::storage::{PATH, TOKEN};
use serde_json::{Value, json};
use tokio::process::Command;

use super::rig::Rig;
use crate::support::BUCKET;

#[tokio::test(flavor = "multi_thread")]
async fn googles_library_takes_the_gateway_for_cloud_storage() {
    let Some(python) = std::env::var_os("GSGATE_ORACLE_PYTHON") else {
        eprintln!("skipped: GSGATE_ORACLE_PYTHON names no Python with google-cloud-storage");
        return;
    };
    let rig = Rig::start("can_delete = true").await;
    rig.gateway.put("in/ü +#%/a b.txt", Object::bytes("hello").content_type("text/plain"));
    let endpoint = format!("http://{}{PATH}", rig.gateway.client.address);
    let key = rig.folder.path().join("key.json");
    std::fs::write(&key, rig.owner.file_for(&format!("{endpoint}{TOKEN}"))).unwrap();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/oracle/storage.py"))
        .args([&endpoint, key.to_str().unwrap(), BUCKET])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let everything = json!(["in/a.txt", "in/deep/b c.txt", "in/ü +#%/a b.txt"]);
    for (name, expected) in [
        ("bucket", json!(BUCKET)),
        ("listed", everything.clone()),
        ("paged", everything),
        ("top", json!([])),
        ("folders", json!(["in/", "notes/"])),
        ("stat", json!([5, "text/plain", true, true])),
        ("read", json!("hello")),
        ("part", json!("ell")),
        ("missing", json!(null)),
        ("url", json!(true)),
        ("fetched", json!("hello")),
        ("note", json!([9, true, "{\"id\": 1}"])),
        ("again", json!("{\"id\": 2}")),
        ("large", json!([9 * 1024 * 1024, 9 * 1024 * 1024])),
        ("deleted", json!(false)),
        (
            "refused",
            json!({ "secret": 403, "bucket": 403, "write": 403, "stale": 412, "exists": 412, "copy": 404, "metadata": 405 }),
        ),
    ] {
        assert_eq!(said[name], expected, "{name}");
    }
    let note = rig.gateway.bucket().object("notes/1").unwrap();
    assert_eq!((&note.bytes[..], note.content_type.as_deref()), (&b"{\"id\": 2}"[..], Some("text/plain")));
}
