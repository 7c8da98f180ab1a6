//! What may stand in the dependency tree: one crypto provider, known licences, the registry and nothing else.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// Licences that may be passed on with the binary.
const LICENCES: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Other TLS stacks and crypto providers, and clients that would bring them.
const UNWANTED: [&str; 9] = [
    "ring",
    "openssl",
    "openssl-sys",
    "native-tls",
    "mbedtls",
    "boring",
    "rsa",
    "google-cloud-storage",
    "google-cloud-auth",
];

#[test]
fn there_is_one_crypto_provider() {
    let tree = cargo(&["tree", "--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}"]);
    let names: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("aws-lc-rs"), "aws-lc-rs is the provider");
    let found: Vec<_> = UNWANTED.iter().filter(|name| names.contains(**name)).collect();
    assert!(found.is_empty(), "{found:?}: see who brings it with cargo tree --invert NAME");
}

#[test]
fn there_is_one_version_of_rustls() {
    let tree = cargo(&["tree", "--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}"]);
    let versions: BTreeSet<_> = tree.lines().filter(|line| line.starts_with("rustls v")).map(first_two_words).collect();
    assert_eq!(versions.len(), 1, "{versions:?}");
}

#[test]
fn every_licence_is_on_the_list_and_every_crate_is_from_the_registry() {
    let version = printed(Command::new(env!("CARGO")).arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
    // Crates of other platforms are not on this machine.
    let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let (name, version) = (&package["name"], &package["version"]);
        let licence = package["license"].as_str().unwrap_or("none");
        if !may_be_used(licence) {
            faults.push(format!("{name} {version}: licence {licence}"));
        }
        let from_registry = package["source"].as_str().is_none_or(|source| source.starts_with("registry+"));
        let is_ours = package["name"] == env!("CARGO_PKG_NAME");
        if !from_registry || (package["source"].is_null() && !is_ours) {
            faults.push(format!("{name} {version}: not from the registry"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    for good in
        ["MIT OR GPL-3.0", "MIT/Apache-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0", "ISC AND (Apache-2.0 OR ISC)"]
    {
        assert!(may_be_used(good), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "none", "", "(MIT OR Apache-2.0) AND GPL-3.0"] {
        assert!(!may_be_used(bad), "{bad}");
    }
}

/// Of `AND` every part must be allowed, of `OR` (or the old `/`) one.
fn may_be_used(expression: &str) -> bool {
    let expression = expression.trim();
    if let Some(inner) = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
        && balanced(inner)
    {
        return may_be_used(inner);
    }
    // OR binds more weakly than AND: https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/
    let choices = split_outside_brackets(&expression.replace('/', " OR "), " OR ");
    if choices.len() > 1 {
        return choices.iter().any(|choice| may_be_used(choice));
    }
    let parts = split_outside_brackets(expression, " AND ");
    if parts.len() > 1 {
        return parts.iter().all(|part| may_be_used(part));
    }
    LICENCES.contains(&expression)
}

fn balanced(text: &str) -> bool {
    let mut depth = 0_i32;
    text.chars().all(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        depth >= 0
    })
}

fn split_outside_brackets(text: &str, mark: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for piece in text.split(mark) {
        match parts.last_mut() {
            Some(last) if last.matches('(').count() > last.matches(')').count() => {
                last.push_str(mark);
                last.push_str(piece);
            }
            _ => parts.push(piece.to_owned()),
        }
    }
    parts
}

fn first_two_words(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Asks cargo about this crate; the lock file holds, and nothing is downloaded.
fn cargo(arguments: &[&str]) -> String {
    printed(Command::new(env!("CARGO")).args(arguments).args([
        "--offline",
        "--locked",
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]))
}

fn printed(command: &mut Command) -> String {
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}
