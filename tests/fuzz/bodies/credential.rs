//! A credential file: good, or an error that keeps its secrets.

use gsgate::gcs::credentials::{Config, ControlPlane, Environment, Origin};
use gsgate::gcs::{self, Credential};

/// The file's bytes. Nothing is asked over the network for loading one.
pub fn credential(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credential.json");
    std::fs::write(&path, bytes).expect("written");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = Config { source: Origin::File, path: Some(path), ..Config::default() };
    let outcome = runtime.block_on(async {
        let control = ControlPlane::new(&gcs::Config::default()).expect("a control plane");
        Credential::load(&config, &Environment::of([]), &control).await
    });
    let told = match outcome {
        Ok(credential) => format!("{credential:?}"),
        Err(error) => format!("{error:?} {error}"),
    };
    assert!(!told.contains("SECRET"), "{told}");
}
