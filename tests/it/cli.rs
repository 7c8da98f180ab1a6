//! The binary as people meet it: bad input is one line that says what, where and how to mend it.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const GOOD: &str = "[access]\nallow = \"anyone\"\n[credentials.default]\nsource = \"anonymous\"\n\
                    [connections.street]\nuri = \"gs://my-bucket/data/\"\n";

fn gsgate(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gsgate"));
    command.args(arguments).current_dir(folder).env_clear().env("HOME", folder);
    command.output().unwrap()
}

fn folder_with(name: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, name, text);
    folder
}

fn write(folder: &TempDir, name: &str, text: &str) {
    std::fs::File::create(folder.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
}

/// The only line on standard error; nothing may look like a panic.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!text.contains("panicked") && !text.contains("stack backtrace"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}

#[test]
fn bad_configurations_are_told_with_line_key_and_cure() {
    for (text, place, cure) in [
        ("[server]\nlisten = 1\n", "gsgate.toml:2: server.listen", "expected an address"),
        ("[server]\nlisen = \"x\"\n", "gsgate.toml:2: server.lisen", "expected one of"),
        ("[serve]\n", "gsgate.toml:1: serve", "expected one of"),
        ("[server\n", "gsgate.toml:1:", "table"),
        (&GOOD.replace("\"anyone\"", "[]"), "gsgate.toml:2: access.allow", "the list is empty"),
        (&GOOD.replace("allow = \"anyone\"", ""), "connections.street.allow", "nothing says who is admitted"),
        (&GOOD.replace("\"anyone\"", "[\"10.0.0.0/33\"]"), "gsgate.toml:2: access.allow", "10.0.0.0/33"),
        (&GOOD.replace("\"anyone\"", "[\"10.0.0.1/8\"]"), "gsgate.toml:2: access.allow", "did you mean '10.0.0.0/8'"),
        (&GOOD.replace("\"anyone\"", "\"all\""), "gsgate.toml:2: access.allow", "\"anyone\" or a list"),
        (&format!("[networks]\noffice = [\"nonsense\"]\n{GOOD}"), "gsgate.toml:2: networks.office", "CIDR"),
        (&format!("{GOOD}delivery = \"fast\"\n"), "gsgate.toml:7: connections.street.delivery", "signed-url"),
        (&format!("{GOOD}filter = \"(\"\n"), "gsgate.toml:7: connections.street.filter", "unclosed group"),
        (
            &format!("{GOOD}credentials = \"vendor\"\n"),
            "gsgate.toml:7: connections.street.credentials",
            "there is default",
        ),
        (&format!("{GOOD}signed_url_expiry = \"8days\"\n"), "connections.street.signed_url_expiry", "7days"),
        (&GOOD.replace("gs://", "s3://"), "gsgate.toml:6: connections.street.uri", "gs://bucket"),
        (&GOOD.replace("street", "Street"), "gsgate.toml:5: connections", "lower-case"),
        (&format!("{GOOD}[cors]\norigins = [\"label.example.com\"]\n"), "gsgate.toml:7: cors", "write the scheme"),
        (&format!("{GOOD}[cors]\norigins = [\"*\"]\ncredentials = true\n"), "gsgate.toml:7: cors", "list the origins"),
        (&format!("{GOOD}[cors]\nfile = \"nix.json\"\n"), "gsgate.toml:8: cors.file", "nix.json"),
        (&GOOD.replace("\"anonymous\"", "\"file\""), "gsgate.toml:3: credentials.default", "path"),
        ("[access]\nallow = \"anyone\"\n", "gsgate.toml", "add [connections.NAME]"),
    ] {
        let folder = folder_with("gsgate.toml", text);
        let output = gsgate(folder.path(), &["check", "--config-only"]);
        let complaint = complaint(&output);
        assert!(
            complaint.contains(place) && complaint.contains(cure),
            "{text}\n{complaint}\nexpected {place} … {cure}"
        );
        assert_eq!(output.status.code(), Some(64), "{complaint}");
    }
}

#[test]
fn bad_key_files_are_told_with_their_cure() {
    let config = GOOD.replace("\"anonymous\"", "\"file\"\npath = \"key.json\"");
    for (key, cure) in [
        ("not json", "key.json is not JSON"),
        ("", "key.json is not JSON"),
        ("{\"type\":\"martian\"}", "martian"),
        ("{\"type\":\"service_account\"}", "client_email"),
        ("{}", "type"),
    ] {
        let folder = folder_with("gsgate.toml", &config);
        write(&folder, "key.json", key);
        let output = gsgate(folder.path(), &["serve"]);
        let text = String::from_utf8(output.stderr.clone()).unwrap();
        let last = text.lines().last().unwrap();
        assert!(
            last.starts_with("gsgate: gsgate.toml:3: credentials.default: ") && last.contains(cure),
            "{key}\n{text}"
        );
        assert!(!text.contains("panicked"), "{text}");
        assert_eq!(output.status.code(), Some(64), "{text}");
        let output = gsgate(folder.path(), &["sign", "gs://my-bucket/a", "--credentials", "key.json"]);
        let text = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(text.lines().last().unwrap().contains(cure), "{text}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{text}");
    }
    let folder = folder_with("gsgate.toml", &config);
    let output = gsgate(folder.path(), &["serve"]);
    assert!(complaint(&output).contains("cannot read the credential file"), "{output:?}");
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn a_port_in_use_is_told_with_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = folder_with("gsgate.toml", &format!("[log]\nlevel = \"error\"\n{GOOD}"));
    for (flags, section) in [
        (["--listen", &address, "--admin-listen", "127.0.0.1:0"], "server.listen"),
        (["--listen", "127.0.0.1:0", "--admin-listen", &address], "admin.listen"),
    ] {
        let output = gsgate(folder.path(), &[&["serve"][..], &flags[..]].concat());
        let complaint = complaint(&output);
        assert!(
            complaint.contains(section) && complaint.contains(&address) && complaint.contains("in use"),
            "{complaint}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn usage_errors_are_two_and_help_is_zero() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["sign", "--help"], 0),
        (&["serve", "--help"], 0),
        (&[], 2),
        (&["fly"], 2),
        (&["sign"], 2),
        (&["sign", "https://x/y"], 2),
        (&["sign", "gs://my-bucket/a", "--method", "BREW"], 2),
        (&["sign", "gs://my-bucket/a", "--expires", "soon"], 2),
        (&["serve", "--config", "nix.toml"], 64),
        (&["health", "--url", "http://127.0.0.1:1/healthz"], 1),
    ] {
        let output = gsgate(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    }
}

#[test]
fn signing_without_anything_to_sign_with_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, cure) in [
        (&["sign", "gs://my-bucket", "--credentials", "key.json"][..], "names no object"),
        (&["sign", "gs://my-bucket/a", "--credentials", "key.json"], "cannot read the credential file"),
    ] {
        let output = gsgate(folder.path(), arguments);
        assert!(complaint(&output).contains(cure), "{output:?}");
        assert_eq!(output.status.code(), Some(64));
    }
}
