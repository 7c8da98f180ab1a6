//! From a configured connection to something that can be listed.

use crate::cli::Failure;
use crate::config::{Environment, Resolved, ResolvedConnection};
use crate::gcs::credentials::{self, ControlPlane};
use crate::gcs::{Client, Credential, Depth};
use crate::metrics::Metrics;

use super::{Place, told};
use crate::tasks::{IN_FLIGHT, Patience};

/// Loads the connection's credential; asks nobody yet.
pub(in crate::cli) async fn open(
    resolved: &Resolved,
    connection: &ResolvedConnection,
    environment: &Environment,
) -> Result<Place, Failure> {
    let refused = |key: &[&str], message: String| {
        resolved.origin.error(key.iter().map(|&part| part.to_owned()).collect(), message)
    };
    let gcs = &resolved.config.gcs;
    let client = Client::new(gcs, Metrics::new()).map_err(|error| refused(&["gcs", "ca_file"], told(error)))?;
    let control = ControlPlane::new(gcs).map_err(|error| refused(&["gcs", "ca_file"], told(error)))?;
    let variables = environment.clone();
    let surroundings = credentials::Environment::new(move |name| variables.var(name).map(str::to_owned));
    let name = connection.config.credentials.as_str();
    let settings = resolved.used_credentials().remove(name).cloned().unwrap_or_default();
    let credential = Credential::load(&settings, &surroundings, &control).await;
    let credential = credential.map_err(|error| refused(&["credentials", name], told(error)))?;
    let config = &connection.config;
    Ok(Place {
        client,
        credential,
        bucket: config.uri.bucket.clone(),
        prefix: config.uri.path.clone(),
        depth: if config.recursive { Depth::All } else { Depth::OneLevel },
        project: config.project_id.clone(),
        page_size: None,
        in_flight: gcs.max_in_flight.min(IN_FLIGHT),
        patience: Patience::default(),
    })
}
