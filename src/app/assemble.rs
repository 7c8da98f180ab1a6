//! From a checked configuration to a gateway and what stands behind it: credentials, clients, caches.
//!
//! Reads credential files; asks nobody over the network, but for where the metadata server is.

mod identity;

use std::collections::HashMap;
use std::sync::Arc;

use super::{Serving, StartError, storage};
use crate::audit::{Audit, Output};
use crate::cache::objects::Scope;
use crate::cache::{MetadataCache, Objects, SignedUrls, SigningWindow};
use crate::check::Checker;
use crate::config::{ConfigError, Environment, Resolved, ResolvedConnection};
use crate::console::InForce;
use crate::gateway::Gateway;
use crate::gateway::budget::{Accounts, Budgets};
use crate::gateway::connection::{Connection, UpstreamSubject};
use crate::gateway::decide::Delivery;
use crate::gateway::host::Hosts;
use crate::gateway::jwt::fetched::Issuers;
use crate::gateway::links::Links;
use crate::gcs::credentials::ControlPlane;
use crate::gcs::{Client, Credential};
use crate::label_studio;
use crate::metrics::Metrics;
use crate::server::readiness::Readiness;
use crate::server::{self, PublicUrl};

/// KiB of signed URLs that are kept; one takes about two.
const SIGNED_URLS: u64 = 128 * 1024;

/// What outlives a gateway.
#[derive(Clone, Copy)]
pub(super) struct Lasting<'a> {
    pub(super) metrics: &'a Metrics,
    pub(super) readiness: &'a Readiness,
    pub(super) audit: &'a Audit,
    /// The bytes that the gateway before kept. What they are of is part of their keys, and none is served before GCS
    /// has said once more which generation is current.
    pub(super) objects: Option<&'a Objects>,
    pub(super) accounts: &'a Accounts,
    pub(super) issuers: &'a Issuers,
}

/// Builds all that answers.
pub(super) async fn assemble(
    resolved: &Resolved,
    environment: &Environment,
    lasting: Lasting<'_>,
) -> Result<Serving, StartError> {
    let config = &resolved.config;
    let stall = config.server.limits.stall_timeout;
    let label_studio = label_studio::Front::new(&config.label_studio, &config.gcs, stall)
        .map_err(|error| refused(resolved, &["label_studio"], error))?;
    let gateway = Arc::new(gateway(resolved, environment, lasting).await?);
    let storage = storage::storage(resolved, &gateway)?;
    Ok(Serving { gateway, label_studio, storage })
}

async fn gateway(resolved: &Resolved, environment: &Environment, lasting: Lasting<'_>) -> Result<Gateway, StartError> {
    let Lasting { metrics, readiness, audit, objects, .. } = lasting;
    let config = &resolved.config;
    if let Some(Err(error)) = config.audit.output.as_ref().map(Output::check) {
        return Err(refused(resolved, &["audit", "output"], error).into());
    }
    let client =
        Client::new(&config.gcs, metrics.clone()).map_err(|error| refused(resolved, &["gcs", "ca_file"], error))?;
    let control = ControlPlane::new(&config.gcs).map_err(|error| refused(resolved, &["gcs", "ca_file"], error))?;
    let credentials = load_credentials(resolved, environment, (&control, metrics)).await?;
    let mut connections = HashMap::default();
    for connection in &resolved.connections {
        let name = &connection.config.credentials;
        let credential = credentials.get(name.as_str()).ok_or_else(|| unknown(resolved, connection))?;
        let identity = identity::identity(connection, lasting.issuers, &control).await;
        let connected = Connection { identity, ..connect(resolved, connection, credential, metrics)? };
        connections.insert(connection.label.to_string(), Arc::new(connected));
    }
    if config.gcs.endpoint.is_exposed() {
        let endpoint = config.gcs.endpoint.to_string();
        tracing::warn!(endpoint, "gcs.endpoint is not https: tokens and media travel in clear text");
    }
    let links = Links::load(&config.links).map_err(|error| refused(resolved, &["links", error.key()], error))?;
    let ready = readiness.clone();
    Ok(Gateway {
        default_cors: resolved.default_cors.clone(),
        connections,
        links,
        default_access: resolved.default_access.clone(),
        // Behind the PROXY protocol the address is known already; a header could only forge it.
        trusted_proxies: if config.server.proxy_protocol { Vec::new() } else { config.server.trusted_proxies.clone() },
        hosts: hosts(&config.server),
        network: config.server.network.clone(),
        endpoint: config.gcs.endpoint.clone(),
        client,
        metadata: MetadataCache::new(config.cache.metadata_ttl, config.cache.negative_ttl),
        objects: Objects::succeeding(objects, &config.cache, metrics),
        signed_urls: SignedUrls::new(SIGNED_URLS),
        metrics: metrics.clone(),
        audit: audit.clone(),
        budgets: Budgets::new(lasting.accounts.clone(), &config.budgets),
        vendors: identity::vendors(resolved, &control)?,
        is_ready: Arc::new(move || ready.is_ready()),
    })
}

/// What the admin listener shows of it.
pub(super) fn shown(
    resolved: &Arc<Resolved>,
    environment: &Environment,
    metrics: &Metrics,
    gateway: &Arc<Gateway>,
) -> Result<InForce, ConfigError> {
    let checker = Checker::new(Resolved::clone(resolved), environment, metrics.clone());
    let checker = checker.map_err(|error| refused(resolved, &["gcs"], error))?;
    Ok(InForce::new(Arc::clone(resolved), Arc::clone(gateway), checker))
}

/// The names that the gateway answers to; where nobody wrote one down, any.
fn hosts(config: &server::Config) -> Hosts {
    let public = config.public_url.as_ref().map(PublicUrl::host);
    Hosts::new(public.into_iter().chain(config.hosts.iter().map(String::as_str)))
}

/// The credentials that connections use, by name.
async fn load_credentials<'a>(
    resolved: &'a Resolved,
    environment: &Environment,
    (control, metrics): (&ControlPlane, &Metrics),
) -> Result<HashMap<&'a str, Credential>, ConfigError> {
    let metrics = metrics.clone();
    let surroundings =
        environment.for_credentials().with_observer(move |outcome| metrics.token_refresh(outcome.as_str()));
    let mut loaded = HashMap::new();
    for (name, settings) in resolved.used_credentials() {
        let credential = Credential::load(settings, &surroundings, control).await;
        let credential = credential.map_err(|error| refused(resolved, &["credentials", name], error))?;
        loaded.insert(name, credential);
    }
    Ok(loaded)
}

/// A connection with its credential; checks what only the credential can tell.
fn connect(
    resolved: &Resolved,
    connection: &ResolvedConnection,
    credential: &Credential,
    metrics: &Metrics,
) -> Result<Connection, ConfigError> {
    let at = |key: &str, message: String| {
        resolved.origin.error(["connections", &connection.label, key].map(str::to_owned).to_vec(), message)
    };
    match credential.signer() {
        Some(signer) => {
            SigningWindow::new(connection.config.signed_url_expiry, signer.longest_life())
                .map_err(|error| at("signed_url_expiry", error.to_string()))?;
        }
        None if connection.config.delivery == Delivery::SignedUrl => {
            let cure = "its credential cannot sign; use a service account's key, or add sign_as to the credential, \
                        or set delivery to \"auto\" or \"proxy\"";
            return Err(at("delivery", cure.to_owned()));
        }
        None => {}
    }
    if connection.config.delivery == Delivery::SignedUrl && !connection.access.is_anyone() {
        let connection = &*connection.label;
        tracing::warn!(
            connection,
            "delivery = \"signed-url\": who is admitted gets URLs that work from any address; \"auto\" and \"proxy\" keep to the allow-list"
        );
    }
    Ok(Connection {
        label: Arc::clone(&connection.label),
        scope: Scope::new(&connection.label, &resolved.config.gcs.endpoint, &connection.config.uri.bucket),
        config: connection.config.clone(),
        access: connection.access.clone(),
        cors: connection.cors.clone(),
        credential: credential.clone(),
        cache_control: connection.cache_control.clone(),
        identity: None,
        upstream_subject: if resolved.config.audit.upstream { UpstreamSubject::Told } else { UpstreamSubject::Hidden },
        requests: Arc::new(metrics.requests_to(&connection.label)),
    })
}

fn unknown(resolved: &Resolved, connection: &ResolvedConnection) -> ConfigError {
    let key = ["connections", &connection.label, "credentials"].map(str::to_owned).to_vec();
    resolved.origin.error(key, format!("there is no [credentials.{}]", connection.config.credentials))
}

fn refused(resolved: &Resolved, key: &[&str], error: impl std::error::Error + Send + Sync + 'static) -> ConfigError {
    let key = key.iter().map(|&segment| segment.to_owned()).collect();
    resolved.origin.error(key, format!("{:#}", anyhow::Error::new(error)))
}
