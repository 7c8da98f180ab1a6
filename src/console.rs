//! The operator's room: the HTTP API and the page on the admin listener.
//!
//! Decides who may ask here, see [`guard`], and how much at once, see [`slots`]. What is true of a connection, a bucket or
//! an object is decided by the rooms that do it: the check, the manifests, the gateway. Never changes anything in GCS, and
//! never shows a secret. Read [`Console::answer`] from top to bottom.

mod answer;
mod check;
mod connections;
mod guard;
mod links;
mod manifest;
mod objects;
mod page;
mod preview;
mod query;
mod reach;
mod route;
mod slots;
mod terms;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

pub use self::answer::Body;
use self::answer::{JSON, Refusal, full, json, seal};
use self::guard::Guard;
use self::reach::GatewayUrl;
pub use self::reach::Reach;
pub use self::route::ROUTES;
use self::route::Route;
use self::slots::Slots;
use crate::check::Checker;
use crate::config::Resolved;
use crate::gateway::Gateway;
use crate::gateway::connection::Connection;
use crate::gateway::decide::{Delivery, Signing};
use crate::server::admin::Admin;
use crate::server::{Peer, Service};
use crate::tasks::{Cover, Links};
use crate::telemetry::Sender;

const TEXT: &str = "text/plain; charset=utf-8";
const OPENAPI: &str = include_str!("console/openapi.json");

/// What is shown: the configuration in force and what was built of it. A reload replaces it as a whole.
#[derive(Debug)]
pub struct InForce {
    resolved: Arc<Resolved>,
    gateway: Arc<Gateway>,
    checker: Checker,
    guard: Guard,
}

/// Answers on the admin listener.
#[derive(Clone, Debug)]
pub struct Console {
    admin: Admin,
    in_force: Arc<ArcSwap<InForce>>,
    reach: Reach,
    slots: Slots,
}

impl InForce {
    /// All three are of the same configuration.
    pub fn new(resolved: Arc<Resolved>, gateway: Arc<Gateway>, checker: Checker) -> Self {
        let guard = Guard::new(resolved.admin_token.clone(), &resolved.config.admin.hosts);
        Self { resolved, gateway, checker, guard }
    }

    fn connection(&self, name: &str) -> Result<&Arc<Connection>, Refusal> {
        self.gateway.connections.get(name).ok_or(Refusal::NoSuchConnection)
    }

    /// Where signed URLs lead, if any connection makes some.
    fn storage_origin(&self) -> Option<String> {
        let redirects = |connection: &Arc<Connection>| {
            connection.config.delivery != Delivery::Proxy && connection.signing() == Signing::Possible
        };
        let any = self.gateway.connections.values().any(redirects);
        any.then(|| reach::storage_origin(&self.gateway.endpoint))
    }
}

impl Console {
    /// `admin` answers for health and figures; `reach` says where the public listener stands.
    pub fn new(admin: Admin, in_force: Arc<ArcSwap<InForce>>, reach: Reach) -> Self {
        Self { admin, in_force, reach, slots: Slots::new() }
    }

    async fn answer(&self, head: &Parts, content: Incoming, peer: Peer) -> Result<Response<Body>, Refusal> {
        let in_force = self.in_force.load_full();
        let path = head.uri.path();
        let route = Route::of(path)?;
        in_force.guard.check(head, route.audience())?;
        route.takes(&head.method)?;
        if route == Route::Links {
            return Ok(json(&links::make(&in_force, head, content).await?));
        }
        if !content.is_end_stream() {
            return Err(Refusal::UnexpectedContent);
        }
        match route {
            Route::Admin => {
                let answer = self.admin.answer(&head.method, path);
                Ok(answer.map(|body| body.map_err(|never| match never {}).boxed_unsync()))
            }
            Route::Config => Ok(full(TEXT, in_force.resolved.redacted.clone())),
            Route::Page(file) => {
                Ok(file.answer(self.gateway_url(&in_force, head).origin(), in_force.storage_origin().as_deref()))
            }
            Route::OpenApi => Ok(full(JSON, OPENAPI)),
            Route::Connections => {
                let gateway = self.gateway_url(&in_force, head);
                Ok(json(&connections::overview(&in_force, gateway, head, peer)))
            }
            Route::Objects(name) => {
                let (connection, _place) = (in_force.connection(name)?, self.slots.page()?);
                Ok(json(&objects::list(&in_force.gateway.client, connection, head.uri.query()).await?))
            }
            Route::Preview(name) => {
                let (connection, _place) = (in_force.connection(name)?, self.slots.page()?);
                let gateway = self.gateway_url(&in_force, head);
                let cover = Cover::new(Links::Gateway, &gateway.url, [(&connection.label, &connection.config)]);
                let cover = terms::for_preview(&in_force).into_iter().fold(cover, Cover::signed);
                let client = &in_force.gateway.client;
                Ok(json(&objects::preview(client, connection, (&cover, head.uri.query())).await?))
            }
            Route::Tasks(name) => {
                manifest::stream(&in_force, Arc::clone(in_force.connection(name)?), head, &self.slots).await
            }
            Route::Check(name) => check::run(&in_force, name, head, &self.slots).await,
            Route::Links => Err(Refusal::NotFound),
        }
    }

    fn gateway_url(&self, in_force: &InForce, head: &Parts) -> GatewayUrl {
        self.reach.url(in_force.resolved.config.server.public_url.as_ref(), head)
    }
}

impl Service for Console {
    type Body = Body;

    fn handle(&self, request: Request<Incoming>, peer: Peer) -> impl Future<Output = Response<Body>> + Send + use<> {
        let console = self.clone();
        async move { console.respond(request, peer).await }
    }
}

impl Console {
    async fn respond(&self, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let (head, content) = request.into_parts();
        let id = Sender::of(&head.headers).request_id();
        let mut response = match self.answer(&head, content, peer).await {
            Ok(response) => response,
            Err(refusal) => {
                if matches!(refusal, Refusal::Unauthorized | Refusal::ForeignHost | Refusal::CrossSite) {
                    let (client, path) = (peer.address.ip().to_canonical(), head.uri.path());
                    tracing::warn!(%client, path, reason = %refusal, "refused on the admin listener");
                }
                refusal.into_response(&id)
            }
        };
        seal(response.headers_mut(), &id);
        response
    }
}
