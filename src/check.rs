//! The check of a connection: does everything that serving it needs work, and if not, why and what to do.
//!
//! Asks GCS as serving would, one question after the other, and gives each answer as a [`Row`] as soon as it is there.
//! Reads only, never changes anything, and never tells a secret. What an error means is decided in [`diagnosis`], which
//! is pure. Follows <https://cloud.google.com/storage/docs/troubleshooting>.

pub mod diagnosis;
pub mod grant;
mod objects;
mod probe;
mod row;
mod scene;
mod settings;

use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream;

pub use self::diagnosis::{Diagnosis, Fault};
use self::probe::Probe;
pub use self::row::{Check, Row, State};
use crate::config::{Environment, Resolved, ResolvedConnection};
use crate::gcs::credentials::{self, ControlPlane};
use crate::gcs::{self, Client, Credential};
use crate::metrics::Metrics;

/// What all checks of a configuration have in common. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Checker(Arc<Common>);

#[derive(Debug)]
struct Common {
    resolved: Resolved,
    client: Client,
    control: ControlPlane,
    surroundings: credentials::Environment,
    /// Whether the process is told to use a proxy.
    proxied: bool,
}

/// Why nothing can be checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `[gcs]`: `ca_file` or `connect_to`.
    #[error(transparent)]
    Gcs(#[from] gcs::ConnectorError),
    /// The same, of the client for tokens.
    #[error(transparent)]
    Control(#[from] credentials::Error),
}

impl Checker {
    /// Gets ready to check the connections of a configuration; asks nobody.
    pub fn new(resolved: Resolved, environment: &Environment, metrics: Metrics) -> Result<Self, Error> {
        let client = Client::new(&resolved.config.gcs, metrics)?;
        let control = ControlPlane::new(&resolved.config.gcs)?;
        let proxied = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"];
        let proxied = proxied.iter().any(|name| environment.var(name).is_some());
        let surroundings = environment.for_credentials();
        Ok(Self(Arc::new(Common { resolved, client, control, surroundings, proxied })))
    }

    /// The connections that there are.
    pub fn connections(&self) -> &[ResolvedConnection] {
        &self.0.resolved.connections
    }

    /// Checks a connection: one row after the other, as they come. Dropping the stream ends the check.
    pub fn run(&self, connection: &ResolvedConnection) -> impl Stream<Item = Row> + Send + use<> {
        let probe = Probe::new(Arc::clone(&self.0), connection.clone());
        stream::unfold(probe, |mut probe| async move { probe.next().await.map(|row| (row, probe)) })
    }

    /// The `gcloud` script that grants what the connections need, and nothing more.
    pub async fn grant(&self, connections: &[ResolvedConnection]) -> String {
        let mut needs = Vec::new();
        for connection in connections {
            let settings = self.0.settings(connection);
            let credential = Credential::load(&settings, &self.0.surroundings, &self.0.control).await;
            let identity = match credential {
                Ok(credential) => Ok(credential.identity().await),
                Err(error) => Err(error.to_string()),
            };
            needs.push(grant::Need::of(connection, identity));
        }
        grant::script(&needs)
    }
}

impl Common {
    /// The credential's table; [`Resolved`] has made sure that there is one.
    fn settings(&self, connection: &ResolvedConnection) -> credentials::Config {
        self.resolved.config.credentials.get(&connection.config.credentials).cloned().unwrap_or_default()
    }
}
