//! `GET /api/v1/connections`: what there is, and what the browser that asks may expect of it.

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use serde::Serialize;

use super::InForce;
use super::reach::GatewayUrl;
use super::terms;
use crate::gateway::client_addr::ClientAddr;
use crate::gateway::connection::Connection;
use crate::gateway::decide::{Audience, Signing};
use crate::server::Peer;

#[derive(Serialize)]
pub(super) struct Overview {
    version: &'static str,
    gateway: Gateway,
    /// The address that the listener was asked from.
    client: String,
    connections: Vec<Shown>,
}

#[derive(Serialize)]
struct Gateway {
    url: String,
    /// Whether `url` is `server.public_url`, and not made of the listener's address.
    configured: bool,
}

#[derive(Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "JSON for pages, which want them plain")]
struct Shown {
    name: String,
    title: Option<String>,
    description: Option<String>,
    uri: String,
    credentials: String,
    delivery: &'static str,
    /// Whether URLs can be signed.
    signing: bool,
    recursive: bool,
    /// `anyone` or `restricted`.
    access: &'static str,
    /// What it takes to be admitted: `network`, `link`, `network-and-link` or `network-or-link`.
    demand: &'static str,
    /// Whether previews and manifests may have links in their URLs.
    links: bool,
    /// Whether the address that asks would be admitted, if it came to the gateway as it came here, with a link if need be.
    admitted: bool,
    /// Whether CORS lets scripts of the page's origin read.
    readable: bool,
}

/// Lists the connections by name.
pub(super) fn overview(in_force: &InForce, gateway: GatewayUrl, head: &Parts, peer: Peer) -> Overview {
    let client = ClientAddr::from(peer.address.ip());
    let origin = page_origin(head);
    let makes_links = terms::for_preview(in_force).is_some();
    let shown = |connection: &Connection| {
        let config = &connection.config;
        let network = in_force.gateway.network.as_deref();
        let demand = connection.access.demand();
        Shown {
            name: connection.label.to_string(),
            title: config.title.clone(),
            description: config.description.clone(),
            uri: config.uri.to_string(),
            credentials: config.credentials.clone(),
            delivery: config.delivery.as_str(),
            signing: connection.signing() == Signing::Possible,
            recursive: config.recursive,
            access: if connection.audience() == Audience::Anyone { "anyone" } else { "restricted" },
            demand: demand.as_str(),
            links: demand.takes_links() && makes_links,
            admitted: if demand.takes_links() && makes_links {
                connection.access.approach(client, network).is_ok()
            } else {
                connection.access.admit(client, network).is_ok()
            },
            readable: origin.as_ref().is_some_and(|origin| may_read(connection, origin)),
        }
    };
    let mut connections: Vec<_> = in_force.gateway.connections.values().map(|connection| shown(connection)).collect();
    connections.sort_by(|a, b| a.name.cmp(&b.name));
    Overview {
        version: env!("CARGO_PKG_VERSION"),
        gateway: Gateway { url: gateway.url, configured: gateway.configured },
        client: client.ip().to_string(),
        connections,
    }
}

/// The page's own origin. The listener speaks plain HTTP; where a proxy adds TLS, the browser says so with its `Origin`.
fn page_origin(head: &Parts) -> Option<HeaderValue> {
    if let Some(origin) = head.headers.get(ORIGIN) {
        return Some(origin.clone());
    }
    let host = head.headers.get(HOST)?.to_str().ok()?;
    HeaderValue::try_from(format!("http://{host}")).ok()
}

fn may_read(connection: &Connection, origin: &HeaderValue) -> bool {
    let mut headers = HeaderMap::new();
    connection.cors.decorate(&Method::GET, Some(origin), &mut headers);
    headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
}
