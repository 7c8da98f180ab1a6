//! `gsgate link` and `gsgate tasks --link`: what they print works, and what makes no sense is told.

use std::path::Path;
use std::process::{Command, Output};

use super::rig::{Rig, key_entry, write_key};

const PUBLIC: &str = "https://media.example.com";

fn gsgate(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gsgate"));
    command.args(arguments).current_dir(folder).env_clear().env("HOME", folder);
    command.output().unwrap()
}

fn printed(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

/// What stands behind the public URL.
fn target(url: &str) -> &str {
    url.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{url}"))
}

async fn rig() -> Rig {
    let rig = Rig::with("delivery = \"proxy\"\naccess = \"link\"", |builder| {
        builder.sections("[networks]\noffice = [\"203.0.113.0/24\"]\nnobody = []\n[connections.plain]\nuri = \"gs://test-media/plain/\"\n")
    })
    .await;
    rig.gateway.put("sub/b c.png", gsgate::emulator::Object::bytes("b"));
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_links_work() {
    let rig = rig().await;
    let folder = rig.gateway.folder.path().to_owned();
    let run = |arguments: &[&str]| printed(&gsgate(&folder, &[&["link", "--public-url", PUBLIC], arguments].concat()));
    let urls = run(&["gs://test-media/a", "gs://test-media/sub/", "--network", "office", "--subject", "annotator-17"]);
    assert_eq!(urls.len(), 2);
    assert!(target(&urls[0]).starts_with("/media/a?sig="), "{urls:?}");
    assert!(target(&urls[1]).starts_with("/~") && urls[1].ends_with("/media/sub/"), "{urls:?}");
    let deep = format!("{}b%20c.png", target(&urls[1]));
    for (address, status) in [("203.0.113.9", 200), ("198.51.100.9", 403)] {
        assert_eq!(rig.from(address, target(&urls[0])).await.status, status, "{address}");
        assert_eq!(rig.from(address, &deep).await.status, status, "{address}");
    }
    let early = run(&["gs://test-media/a", "--not-before", "2100-01-01", "--expires", "50000days"]);
    rig.refuses(target(&early[0]), "too early").await;
    rig.gateway.rewrite(|text| text.replace("[links]\n", "[links]\nwindow = \"3650days\"\n"));
    assert_eq!(run(&["gs://test-media/a"]), run(&["gs://test-media/a"]), "the same within a window");
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_have_links_that_work() {
    let rig = rig().await;
    let folder = rig.gateway.folder.path().to_owned();
    let endpoint = rig.gateway.gcs.endpoint();
    rig.gateway.rewrite(|text| text.replace("[gcs]\n", &format!("[gcs]\nendpoint = {endpoint:?}\n")));
    let run = |arguments: &[&str]| {
        gsgate(&folder, &[&["tasks", "media", "--public-url", PUBLIC, "--format", "txt"], arguments].concat())
    };
    let plain = printed(&run(&[]));
    let linked = printed(&run(&["--link", "--expires", "1h", "--subject", "annotator-17"]));
    assert_eq!(linked.len(), 2);
    for (plain, linked) in plain.iter().zip(&linked) {
        assert!(linked.starts_with(&format!("{plain}?sig=")), "{linked}");
        rig.refuses(target(plain), "no link").await;
        assert_eq!(rig.from("203.0.113.9", target(linked)).await.status, 200, "{linked}");
    }
    std::fs::write(folder.join("earlier.txt"), linked.join("\n")).unwrap();
    assert_eq!(
        printed(&run(&["--link", "--since", "earlier.txt"])),
        Vec::<String>::new(),
        "known in spite of new links"
    );
    for (arguments, code, told) in [
        (&["--expires", "1h"][..], 2, "add --link"),
        (&["--link", "--gs-uri"], 2, "cannot be used with"),
        (&["--link", "--network", "nowhere"], 2, "no such name"),
    ] {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && text.contains(told), "{arguments:?}: {text}");
    }
    let plain = gsgate(&folder, &["tasks", "plain", "--public-url", PUBLIC, "--link"]);
    let text = String::from_utf8_lossy(&plain.stderr);
    assert!(plain.status.code() == Some(64) && text.contains("takes no links"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_told_in_one_line() {
    let rig = rig().await;
    let folder = rig.gateway.folder.path().to_owned();
    rig.revoke("subject annotator-17\n");
    for (arguments, code, told) in [
        (&["gs://test-media/a"][..], 64, "give --public-url"),
        (&["gs://elsewhere/a", "--public-url", PUBLIC], 64, "covered by no connection"),
        (&["gs://test-media/plain/", "--connection", "plain", "--public-url", PUBLIC], 64, "takes no links"),
        (&["gs://test-media/a", "--network", "nobody", "--public-url", PUBLIC], 64, "nobody is empty"),
        (&["gs://test-media/a", "--network", "10.0.0.1/8", "--public-url", PUBLIC], 2, "did you mean '10.0.0.0/8'"),
        (&["gs://test-media/a", "--subject", "annotator 17", "--public-url", PUBLIC], 2, "visible ASCII"),
        (
            &["gs://test-media/a", "--subject", "annotator-17", "--public-url", PUBLIC],
            64,
            "revocation list has its subject",
        ),
        (&["gs://test-media/a", "--expires", "0s", "--public-url", PUBLIC], 64, "never be good"),
        (&[], 2, "required"),
        (&["https://x/y"], 2, "gs://"),
    ] {
        let output = gsgate(&folder, &[&["link"], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && text.contains(told), "{arguments:?}: {:?} {text}", output.status);
        assert!(output.stdout.is_empty() && !text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_new_key_is_made_once_and_is_good() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let output = gsgate(folder.path(), &["link", "--new-key", "fresh.key"]);
    assert_eq!(printed(&output), Vec::<String>::new(), "a secret is not printed");
    let path = folder.path().join("fresh.key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = gsgate(folder.path(), &["link", "--new-key", "fresh.key"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists"));
    write_key(&folder, "other", 'a');
    let config = format!(
        "[server]\npublic_url = {PUBLIC:?}\n[links]\nkeys = [{}, {}]\n[connections.c]\nuri = \"gs://my-bucket/\"\naccess = \"link\"\n",
        key_entry(&folder, "fresh"),
        key_entry(&folder, "other")
    );
    std::fs::write(folder.path().join("gsgate.toml"), config).unwrap();
    let urls = printed(&gsgate(folder.path(), &["link", "gs://my-bucket/a"]));
    assert!(urls[0].starts_with("https://media.example.com/c/a?sig="), "{urls:?}");
}
