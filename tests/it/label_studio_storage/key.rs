//! `gsgate label-studio key`: two files, of which only one is a secret.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn gsgate(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gsgate"));
    command.args(["label-studio", "key"]).args(arguments).current_dir(folder).env_clear().env("HOME", folder);
    command.output().unwrap()
}

#[test]
fn a_key_is_made_once_and_shown_to_nobody() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let output = gsgate(folder.path(), &["--public-url", "https://label.example.com/"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("STORAGE_EMULATOR_HOST=https://label.example.com/-/label-studio/gcs\n"), "{said}");
    assert!(said.contains("keys = [\"label-studio-key.pub\"]") && !said.contains("BEGIN"), "{said}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    let file: Value = serde_json::from_str(&read("label-studio-key.json")).unwrap();
    assert_eq!(file["type"], "service_account");
    assert_eq!(file["token_uri"], "https://label.example.com/-/label-studio/gcs/token");
    assert!(file["private_key"].as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(mode("label-studio-key.json"), 0o600);
    assert!(read("label-studio-key.pub").starts_with("-----BEGIN PUBLIC KEY-----\n"));
    let before = read("label-studio-key.json");
    let again = gsgate(folder.path(), &["--public-url", "https://label.example.com"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists"));
    assert_eq!(read("label-studio-key.json"), before);
}

#[test]
fn a_key_file_says_where_tokens_are_had_or_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[access]\nallow = \"anyone\"\n[connections.street]\nuri = \"gs://my-bucket/\"\n";
    std::fs::write(folder.path().join("gsgate.toml"), config).unwrap();
    for (arguments, code, why) in [
        (&["k.json"][..], 64, "public_url"),
        (&["k.json", "--public-url", "ftp://x"][..], 2, "--public-url"),
        (&["k.pub", "--public-url", "https://x.example"][..], 2, ".pub"),
        (&["no/such/folder/k.json", "--public-url", "https://x.example"][..], 1, "cannot write"),
    ] {
        let output = gsgate(folder.path(), arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && error.contains(why), "{arguments:?}: {error}");
    }
    std::fs::write(folder.path().join("k2.pub"), "mine").unwrap();
    assert_eq!(gsgate(folder.path(), &["k2.json", "--public-url", "https://x.example"]).status.code(), Some(1));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "no half of a key is left: {left:?}");
    std::fs::write(
        folder.path().join("gsgate.toml"),
        format!("{config}[server]\npublic_url = \"https://label.example.com\"\n"),
    )
    .unwrap();
    assert!(gsgate(folder.path(), &["k.json"]).status.success());
}
