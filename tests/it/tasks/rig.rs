//! The binary before an emulated bucket.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use gsgate::emulator::{BucketHandle, Emulator, Object};
use tempfile::TempDir;
use tokio::process::Command;

pub(crate) const BUCKET: &str = "my-bucket";
pub(crate) const URL: &str = "https://media.example.com";

/// An emulator, a configuration in a folder, and the binary.
pub(crate) struct Rig {
    pub(crate) gcs: Emulator,
    pub(crate) folder: TempDir,
}

/// What a run said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Rig {
    /// A connection `media` to the whole bucket.
    pub(crate) async fn start() -> Self {
        Self::with("[connections.media]\nuri = \"gs://my-bucket/\"\n").await
    }

    /// These connections.
    pub(crate) async fn with(connections: &str) -> Self {
        let gcs = Emulator::builder().start().await.unwrap();
        gcs.bucket(BUCKET);
        let folder = tempfile::tempdir().unwrap();
        let mut config = format!("[server]\npublic_url = \"{URL}\"\n[access]\nallow = \"anyone\"\n");
        writeln!(config, "[gcs]\nendpoint = \"{}\"", gcs.endpoint()).unwrap();
        writeln!(config, "[credentials.default]\nsource = \"file\"\npath = \"key.json\"\n{connections}").unwrap();
        std::fs::write(folder.path().join("gsgate.toml"), config).unwrap();
        let key = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
        std::fs::write(key.path(), gcs.service_account_json().unwrap()).unwrap();
        key.persist(folder.path().join("key.json")).unwrap();
        Self { gcs, folder }
    }

    pub(crate) fn bucket(&self) -> BucketHandle {
        self.gcs.bucket(BUCKET)
    }

    /// Puts small objects with these names.
    pub(crate) fn put(&self, names: &[&str]) {
        for name in names {
            self.bucket().put(*name, Object::bytes(name.as_bytes().to_vec()));
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gsgate"));
        command.arg("tasks").args(arguments).current_dir(self.folder.path());
        command.env_clear().env("HOME", self.folder.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `gsgate tasks …`
    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        let Output { status, stdout, stderr } = self.command(arguments).output().await.unwrap();
        let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert!(!err.contains("panicked"), "{err}");
        Said { code: status.code(), out, err }
    }

    /// The same, which must go well; gives the lines of the output.
    pub(crate) async fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let said = self.run(arguments).await;
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.out.lines().map(str::to_owned).collect()
    }
}

impl Said {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }
}
