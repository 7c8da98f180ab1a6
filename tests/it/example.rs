//! `config.example.toml` is held to the code: every key is there, and what it shows as a default is the default.

use std::collections::BTreeSet;

use gsgate::config::{Config, Environment};

const EXAMPLE: &str = include_str!("../../config.example.toml");

/// The example with every commented-out key switched on.
fn uncommented() -> String {
    let is_key = |line: &str| {
        let rest = line.strip_prefix("# ").unwrap_or_default();
        let name = rest.split([' ', '=']).next().unwrap_or_default();
        rest.starts_with('[')
            || (rest.contains(" = ")
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'))
    };
    EXAMPLE.lines().map(|line| if is_key(line) { &line[2..] } else { line }).collect::<Vec<_>>().join("\n")
}

/// `a.b.c` for every value; connection, credential and network names are all `*`.
fn keys(table: &toml::Table, path: &str, found: &mut BTreeSet<String>) {
    for (name, value) in table {
        let name = if ["connections.", "credentials.", "networks."].contains(&path) { "*" } else { name };
        match value {
            toml::Value::Table(inner) => keys(inner, &format!("{path}{name}."), found),
            _ => {
                found.insert(format!("{path}{name}"));
            }
        }
    }
}

/// The names that serde lists when it meets a key that it does not know.
fn accepted(section: &str) -> Vec<String> {
    let text = format!("{section}\nno_such_key = 1\n");
    let needed = if section.contains("connections") { "uri = \"gs://my-bucket/\"\n" } else { "" };
    let error = toml::from_str::<Config>(&format!("{text}{needed}")).expect_err("an unknown key").to_string();
    error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_example_is_a_good_configuration() {
    let environment = Environment::default();
    Config::parse("config.example.toml".as_ref(), EXAMPLE.to_owned(), &environment).unwrap();
}

#[test]
fn the_example_has_every_key_and_no_other() {
    let table: toml::Table = toml::from_str(&uncommented()).unwrap();
    let mut shown = BTreeSet::new();
    keys(&table, "", &mut shown);
    let sections = [
        ("[server]", "server."),
        ("[server.tls]", "server.tls."),
        ("[server.limits]", "server.limits."),
        ("[admin]", "admin."),
        ("[access]", "access."),
        ("[cors]", "cors."),
        ("[links]", "links."),
        ("[gcs]", "gcs."),
        ("[cache]", "cache."),
        ("[cache.disk]", "cache.disk."),
        ("[credentials.x]", "credentials.*."),
        ("[connections.x]", "connections.*."),
        ("[connections.x.jwt]", "connections.*.jwt."),
        ("[budgets.per_subject]", "budgets.per_subject."),
        ("[budgets.per_network]", "budgets.per_network."),
        ("[vendors.labelbox]", "vendors.labelbox."),
        ("[vendors.diffgram]", "vendors.diffgram."),
        ("[vendors.toloka]", "vendors.toloka."),
        ("[label_studio]", "label_studio."),
        ("[label_studio.export]", "label_studio.export."),
        ("[label_studio.storage]", "label_studio.storage."),
        ("[audit]", "audit."),
        ("[log]", "log."),
    ];
    let inner =
        ["networks.*", "connections.*.cors.origins", "connections.*.jwt.iap.audience", "connections.*.jwt.iap.jwks"];
    let mut known = BTreeSet::from(inner.map(str::to_owned));
    for (section, path) in sections {
        let names = accepted(section);
        assert!(!names.is_empty(), "{section}");
        known.extend(names.into_iter().map(|name| format!("{path}{name}")));
    }
    for table in [
        "cache.disk",
        "label_studio.export",
        "label_studio.storage",
        "server.tls",
        "server.limits",
        "connections.*.cors",
        "connections.*.jwt",
        "connections.*.jwt.iap",
    ] {
        assert!(known.remove(table), "{table}");
    }
    assert_eq!(shown, known);
}

#[test]
fn what_the_example_shows_is_the_default() {
    let parse = |text: &str| toml::from_str::<Config>(text).unwrap();
    let example = parse(EXAMPLE);
    let least = parse(
        "[access]\nallow = \"anyone\"\n[credentials.default]\n[connections.street]\nuri = \"gs://my-bucket/dataset-001/\"\n",
    );
    assert_eq!(example.server, least.server);
    assert_eq!(example.admin, least.admin);
    assert_eq!(example.access, least.access);
    assert_eq!(example.cors, least.cors);
    assert_eq!(example.links, least.links);
    assert_eq!(example.gcs, least.gcs);
    assert_eq!(example.cache, least.cache);
    assert_eq!(example.credentials, least.credentials);
    assert_eq!(example.budgets, least.budgets);
    assert_eq!(example.vendors, least.vendors);
    assert_eq!(example.label_studio, least.label_studio);
    assert_eq!(example.audit, least.audit);
    assert_eq!(example.log, least.log);
    let (shown, default) = (&example.connections, &least.connections);
    for (name, connection) in shown {
        let mut connection = connection.clone();
        assert_eq!(connection.cache_control.take().as_deref(), Some("private, no-cache"));
        assert_eq!(Some(&connection), default.get(name));
    }
}
