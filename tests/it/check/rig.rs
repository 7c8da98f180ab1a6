//! The binary in front of an emulated GCS, with one connection, `street`.

use std::path::PathBuf;

use gsgate::emulator::{BucketHandle, Emulator, Object};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

pub(super) const BUCKET: &str = "test-media";

/// A configuration on disk, and the GCS that it leads to.
pub(super) struct Desk {
    pub(super) gcs: Emulator,
    pub(super) folder: TempDir,
    /// Keys of `[gcs]`, `[credentials.default]` and `[connections.street]`.
    pub(super) storage: String,
    pub(super) credential: String,
    pub(super) connection: String,
    pub(super) allow: String,
    pub(super) variables: Vec<(String, String)>,
}

/// What the binary said.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) complaint: String,
}

impl Desk {
    /// Everything in order: a key, and an object under the prefix.
    pub(super) async fn new() -> Self {
        Self::over(Emulator::builder().start().await.unwrap())
    }

    pub(super) fn over(gcs: Emulator) -> Self {
        gcs.bucket(BUCKET).put("data/a.png", Object::bytes("pixels"));
        let desk = Self {
            storage: format!("endpoint = {:?}\ntrusted_hosts = [\"{}\"]", gcs.endpoint(), gcs.address()),
            gcs,
            folder: tempfile::tempdir().unwrap(),
            credential: "source = \"file\"\npath = \"key.json\"".to_owned(),
            connection: "uri = \"gs://test-media/data/\"".to_owned(),
            allow: "\"anyone\"".to_owned(),
            variables: Vec::new(),
        };
        desk.key(&desk.gcs.service_account_json().unwrap());
        desk
    }

    pub(super) fn bucket(&self) -> BucketHandle {
        self.gcs.bucket(BUCKET)
    }

    pub(super) fn key_path(&self) -> PathBuf {
        self.folder.path().join("key.json")
    }

    /// Writes the credential's file.
    pub(super) fn key(&self, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(self.key_path(), text).unwrap();
        std::fs::set_permissions(self.key_path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs `gsgate check`.
    pub(super) async fn run(&self, arguments: &[&str]) -> Verdict {
        let text = format!(
            "[access]\nallow = {}\n[gcs]\nretries = 1\n{}\n[credentials.default]\n{}\n[connections.street]\n{}\n",
            self.allow, self.storage, self.credential, self.connection
        );
        std::fs::write(self.folder.path().join("gsgate.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gsgate"));
        command.arg("check").args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("HOME", self.folder.path()).envs(self.variables.iter().cloned());
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, complaint) = (text(output.stdout), text(output.stderr));
        for said in [&out, &complaint] {
            assert!(!said.contains("panicked"), "{said}");
            for secret in ["PRIVATE KEY-----", "ya29.", "Bearer ", "X-Goog-Signature=", "emulated-client-secret"] {
                assert!(!said.contains(secret), "{secret} in {said}");
            }
        }
        Verdict { code: output.status.code().unwrap(), out, complaint }
    }

    /// The check as JSON.
    pub(super) async fn check(&self) -> Verdict {
        self.run(&["--json"]).await
    }

    /// Nothing is wrong.
    pub(super) async fn assert_green(&self) {
        let verdict = self.check().await;
        let bad: Vec<Value> =
            verdict.rows().into_iter().filter(|row| row["state"] != "ok" && row["state"] != "skipped").collect();
        assert!(bad.is_empty() && verdict.code == 0, "{bad:#?}\n{}", verdict.complaint);
    }

    /// The row fails for this reason, and what it says has all these words.
    pub(super) async fn assert_fails(&self, check: &str, fault: &str, words: &[&str]) -> Verdict {
        let verdict = self.check().await;
        verdict.assert("fail", check, fault, words);
        assert_eq!(verdict.code, 1, "{}", verdict.complaint);
        verdict
    }
}

impl Verdict {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.complaint))
    }

    pub(super) fn rows(&self) -> Vec<Value> {
        self.json()["connections"][0]["rows"].as_array().unwrap().clone()
    }

    pub(super) fn row(&self, check: &str) -> Value {
        self.rows().into_iter().find(|row| row["check"] == check).unwrap()
    }

    pub(super) fn assert(&self, state: &str, check: &str, fault: &str, words: &[&str]) {
        let row = self.row(check);
        assert_eq!((&row["state"], &row["diagnosis"]["fault"]), (&state.into(), &fault.into()), "{row:#}");
        assert!(!row["diagnosis"]["remedy"].as_array().unwrap().is_empty(), "{row:#}");
        let text = row.to_string();
        for word in words {
            assert!(text.contains(word), "{word} is not in {row:#}");
        }
    }

    /// Rows that could not be asked say so.
    pub(super) fn assert_skipped(&self, checks: &[&str]) {
        for check in checks {
            let row = self.row(check);
            assert!(row["state"] == "skipped" && row["finding"] != "", "{row:#}");
        }
    }
}
