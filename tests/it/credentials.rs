//! Credentials against a counter that plays Google's token endpoints, STS, IAM and metadata servers.

mod desk;
mod emulated;
mod kinds;
mod life;
mod signing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use gsgate::gcs;
use gsgate::gcs::credentials::{Config, ControlPlane, Credential, Environment, Error};
use serde_json::{Value, json};

use desk::Desk;

const KEY_FILE: &str = include_str!("../vectors/test_service_account.not-a-test.json");
const ACCOUNT: &str = "media@project.iam.gserviceaccount.com";

/// A desk, a folder for credential files and a clock that the test turns.
struct Scene {
    desk: Desk,
    folder: tempfile::TempDir,
    opened: SystemTime,
    passed: Arc<AtomicU64>,
    variables: Vec<(String, String)>,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (desk, opened) = (Desk::open().await, SystemTime::now());
        Self { desk, folder, opened, passed: Arc::default(), variables: Vec::new() }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn pass(&self, time: Duration) {
        self.passed.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    fn environment(&self) -> Environment {
        let (opened, passed, variables) = (self.opened, self.passed.clone(), self.variables.clone());
        let lookup = move |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        Environment::new(lookup)
            .with_clock(move || opened + Duration::from_secs(passed.load(Ordering::SeqCst)))
            .with_iam_endpoint(self.desk.url("").parse().expect("an endpoint"))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("can be written");
        path
    }

    async fn load(&self, config: &str) -> Result<Credential, Error> {
        let config: Config = toml::from_str(config).expect("a good table");
        let gcs = gcs::Config { trusted_hosts: vec!["127.0.0.1".to_owned()], ..gcs::Config::default() };
        Credential::load(&config, &self.environment(), &ControlPlane::new(&gcs).expect("clients")).await
    }

    /// The credential in a file with this content.
    async fn file(&self, content: &Value, more: &str) -> Credential {
        let path = self.write("credential.json", content.to_string());
        self.load(&from(&path, more)).await.expect("a good file")
    }

    fn user(&self) -> Value {
        json!({
            "type": "authorized_user", "client_id": "client", "client_secret": "hidden-secret",
            "refresh_token": "hidden-refresh", "token_uri": self.desk.url("/token"),
        })
    }

    fn key(&self) -> Value {
        let mut key: Value = serde_json::from_str(KEY_FILE).expect("JSON");
        key["token_uri"] = self.desk.url("/token").into();
        key
    }

    fn impersonation_url(&self) -> String {
        self.desk.url(&format!("/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"))
    }

    fn impersonated(&self, source: &Value) -> Value {
        json!({
            "type": "impersonated_service_account", "source_credentials": source,
            "service_account_impersonation_url": self.impersonation_url(),
            "delegates": ["between@project.iam.gserviceaccount.com"],
        })
    }

    fn external(&self, source: Value) -> Value {
        json!({
            "type": "external_account", "audience": "//iam.googleapis.com/pool", "credential_source": source,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": self.desk.url("/sts"),
        })
    }
}

fn from(path: &Path, more: &str) -> String {
    format!("source = \"file\"\npath = {:?}\n{more}", path.display().to_string())
}

/// The token as it would be sent.
async fn sent(credential: &Credential) -> Result<String, String> {
    let token = credential.token().await.map_err(|error| chain(&error))?;
    let authorization = token.expect("not anonymous").authorization();
    assert!(authorization.is_sensitive());
    Ok(authorization.to_str().expect("text").to_owned())
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
