//! The real application on free ports, in front of an emulated GCS.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;

use gsgate::app::{App, ReloadHandle, Source, StartError};
use gsgate::config::Environment;
use gsgate::emulator::{BucketHandle, Emulator, Object};
use gsgate::server::Drained;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Client;

/// The bucket of the connection `media`.
pub const BUCKET: &str = "test-media";

/// A running gateway with its GCS.
pub struct TestGateway {
    pub gcs: Emulator,
    pub client: Client,
    pub admin: Client,
    pub reload: ReloadHandle,
    /// Holds `gsgate.toml` and the key.
    pub folder: TempDir,
    shutdown: CancellationToken,
    running: Option<JoinHandle<Drained>>,
}

/// A configuration in the making.
pub struct Builder {
    gcs: Emulator,
    sections: String,
    connection: String,
    access: String,
    threads: bool,
}

impl TestGateway {
    /// One connection, `media`, open to anyone and proxied, over an empty bucket.
    pub async fn start() -> Self {
        Self::builder().await.start().await
    }

    /// The same, to be changed.
    pub async fn builder() -> Builder {
        Builder::over(Emulator::builder().start().await.unwrap())
    }

    /// The bucket of the connection `media`.
    pub fn bucket(&self) -> BucketHandle {
        self.gcs.bucket(BUCKET)
    }

    /// Puts an object into it.
    pub fn put(&self, name: &str, object: Object) -> u64 {
        self.bucket().put(name, object)
    }

    /// Writes another configuration, without asking for a reload.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let path = self.folder.path().join("gsgate.toml");
        let text = change(std::fs::read_to_string(&path).unwrap());
        std::fs::write(path, text).unwrap();
    }

    /// Begins to drain.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Drains and tells how it went.
    pub async fn drained(mut self) -> Drained {
        self.shutdown.cancel();
        self.running.take().unwrap().await.unwrap()
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Builder {
    /// In front of this GCS.
    pub fn over(gcs: Emulator) -> Self {
        gcs.bucket(BUCKET);
        Self {
            gcs,
            sections: String::new(),
            connection: "delivery = \"proxy\"\n".to_owned(),
            access: "allow = \"anyone\"\n".to_owned(),
            threads: false,
        }
    }

    /// The keys of `[connections.media]` besides `uri`, in place of `delivery = "proxy"`.
    pub fn connection(mut self, keys: &str) -> Self {
        self.connection = format!("{keys}\n");
        self
    }

    /// The keys of `[access]`, in place of `allow = "anyone"`.
    pub fn access(mut self, keys: &str) -> Self {
        self.access = format!("{keys}\n");
        self
    }

    /// Further sections; `[server]`, `[admin]`, `[access]`, `[gcs]`'s endpoint, `[cache]` switched off, `[credentials.default]` and `[connections.media]` are there.
    pub fn sections(mut self, toml: &str) -> Self {
        writeln!(self.sections, "{toml}").unwrap();
        self
    }

    /// Serves on a thread for each core, as the binary does; its events are then not those of the test's thread.
    pub fn on_all_cores(mut self) -> Self {
        self.threads = true;
        self
    }

    /// Builds and serves it.
    pub async fn start(self) -> TestGateway {
        self.try_start().await.unwrap_or_else(|error| panic!("the gateway does not start: {error}"))
    }

    /// Builds and serves it, if it can.
    pub async fn try_start(self) -> Result<TestGateway, StartError> {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.json");
        let mut file = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
        file.write_all(self.gcs.service_account_json().unwrap().as_bytes()).unwrap();
        file.persist(&key).unwrap();
        let key = key.to_str().unwrap();
        let path = folder.path().join("gsgate.toml");
        let Self { gcs, sections, connection, access, threads } = self;
        let server = section(&sections, "[server]", "listen = \"127.0.0.1:0\"\n");
        let admin = section(&sections, "[admin]", "listen = \"127.0.0.1:0\"\n");
        let storage = section(&sections, "[gcs]", "");
        // Most tests put one object after another under the same name, and count what GCS is asked for.
        let cache = section(&sections, "[cache]", "memory = 0\n");
        let text = format!(
            "{server}{admin}[access]\n{access}{storage}{cache}[credentials.default]\nsource = \"file\"\npath = {key:?}\n\
             [connections.media]\nuri = \"gs://{BUCKET}/\"\n{connection}{sections}"
        );
        std::fs::write(&path, text).unwrap();
        let endpoint = gcs.endpoint();
        let environment = Environment::default().with_flag("test", "gcs.endpoint", endpoint);
        let app = App::build(Source::file(&path, environment)).await?;
        let app = if threads { app.on_all_cores()? } else { app };
        let at = |addresses: Vec<SocketAddr>| Client { address: addresses[0] };
        let (client, admin, reload) = (at(app.public_addrs()), at(app.admin_addrs()), app.reload_handle());
        let shutdown = CancellationToken::new();
        let running = Some(tokio::spawn(app.run(shutdown.clone())));
        Ok(TestGateway { gcs, client, admin, reload, folder, shutdown, running })
    }
}

/// A section's beginning, unless the test brings its own.
fn section(given: &str, name: &str, keys: &str) -> String {
    if given.lines().any(|line| line.trim() == name) { String::new() } else { format!("{name}\n{keys}") }
}
