//! The request path: route → client address → approach → CORS preflight → admission → fetch → signed URL or proxy.
//!
//! Read [`Gateway::answer`] from top to bottom. Steps are plain calls that return proof or a [`Rejection`];
//! [`Gateway::handle`] turns a rejection into an answer, adds CORS headers to every answer and lets one access event be written.

pub mod access;
pub mod body;
pub mod budget;
pub mod client_addr;
pub mod connection;
pub mod cors;
pub mod decide;
pub mod exchange;
pub mod fetch;
pub mod headers;
pub mod host;
pub mod jwt;
pub mod links;
mod proxy;
pub mod reject;
pub mod route;
mod signed_url;
pub mod subject;
mod supply;
mod turn;
pub mod vendor;
pub mod vouched;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use ahash::RandomState;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use self::access::{Access, Admitted, Approach};
use self::body::Body;
use self::budget::Budgets;
use self::client_addr::{ClientAddr, Network};
use self::connection::Connection;
use self::cors::{Cors, Preflight};
use self::decide::{Audience, Circumstances, Decision, Reason, Verdict};
use self::exchange::Exchange;
use self::fetch::{Fetch, FetchMethod};
use self::host::Hosts;
use self::links::{LinkRefusal, Links, Shown, Verified, Wanted};
use self::proxy::Opened;
use self::reject::Rejection;
use self::route::{EncodedPath, Route};
use self::supply::Source;
use self::vendor::Vendors;
use crate::audit::Audit;
use crate::cache::{MetadataCache, Objects, SignedUrls};
use crate::gcs::{Client, Endpoint};
use crate::metrics::Metrics;
use crate::object::ObjectName;
use crate::telemetry::Causes;

const X_GSGATE_DELIVERY: HeaderName = HeaderName::from_static("x-gsgate-delivery");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CROSS_ORIGIN: HeaderValue = HeaderValue::from_static("cross-origin");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Everything that answering takes; built by the app, replaced as a whole by a reload.
pub struct Gateway {
    /// The connections by name. Only the configuration adds to them, so names of clients cannot crowd the map.
    pub connections: HashMap<String, Arc<Connection>, RandomState>,
    /// Who may learn that a connection does not exist.
    pub default_access: Option<Access>,
    /// The cross-origin rules for answers to those who are not admitted.
    pub default_cors: Cors,
    /// Verifies links.
    pub links: Links,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// The names that the gateway answers to.
    pub hosts: Hosts,
    /// The VPC network that the listener stands in.
    pub network: Option<String>,
    /// Where signed URLs lead.
    pub endpoint: Endpoint,
    /// Reads from GCS.
    pub client: Client,
    /// What is known about objects.
    pub metadata: MetadataCache,
    /// Bytes of hot objects.
    pub objects: Objects,
    /// URLs that were signed before.
    pub signed_urls: SignedUrls,
    /// Counters.
    pub metrics: Metrics,
    /// Who read what.
    pub audit: Audit,
    /// How much each may ask for.
    pub budgets: Budgets,
    /// The contracts of annotation vendors.
    pub vendors: Vendors,
    /// Whether the process wants traffic.
    pub is_ready: ReadinessProbe,
}

/// Asks whether the process wants traffic.
pub type ReadinessProbe = Arc<dyn Fn() -> bool + Send + Sync>;

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("connections", &self.connections.keys()).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Answers one request, whatever it is. `peer` is the other end of the socket, or whom the PROXY protocol names.
    pub fn handle<B>(
        self: Arc<Self>,
        request: Request<B>,
        peer: std::net::SocketAddr,
    ) -> impl Future<Output = Response<Body>> {
        let (head, body) = request.into_parts();
        let mut exchange = Exchange::begin(&head, &self.metrics, &self.audit);
        async move {
            let _body = body;
            let mut scope = Scope { cors: &self.default_cors };
            let route = Route::parse(head.uri.path());
            let shown = Shown::of(route.token(), head.uri.query());
            // Nobody who follows a reference from the answer may learn a link that was shown.
            let keeps_link = matches!(route, Route::Vendor(_)) || shown != Shown::Nothing;
            let answer = self.answer((&head, route, shown), peer, &mut scope, &mut exchange).await;
            let mut response = closed(&head, answer, scope.cors, exchange);
            if keeps_link {
                response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            }
            if response.body().waited_for().is_some_and(|bytes| bytes <= turn::SMALL) {
                turn::give_way().await;
            }
            response
        }
    }

    async fn answer<'a>(
        &'a self,
        (head, route, shown): (&Parts, Route<'_>, Shown<'_>),
        peer: std::net::SocketAddr,
        scope: &mut Scope<'a>,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Rejection> {
        let (name, path) = match route {
            Route::Health => return Ok(page(&head.method, StatusCode::OK, "ok\n")),
            Route::Readiness => return Ok(self.readiness(&head.method)),
            Route::Vendor(route) => {
                return Box::pin(self.answer_vendor(route, (head, peer), scope, exchange)).await;
            }
            Route::Nowhere => ("", EncodedPath::EMPTY),
            Route::Media { connection, object, .. } => (connection, object),
        };
        let connection = self.connections.get(name);
        exchange.asks_for_media(connection.map(|connection| &connection.label));
        let client = self.client(head, peer, exchange)?;
        let (connection, approach) = self.approach(client, connection)?;
        exchange.admitted_to(connection);
        scope.cors = &connection.cors;
        if head.method == Method::OPTIONS {
            return preflight(connection, head);
        }
        self.let_pay(client, exchange).await?;
        let approach = connection.identify(approach, &head.headers).await?;
        let object = connection.name(path);
        let admitted = approach.admit(|| self.verify(shown, client, (connection, object.as_ref().ok())))?;
        self.let_in(connection, &admitted, exchange).await?;
        let fetch = Fetch::parse(&head.method, &head.headers)?.over(head.version);
        let object = object?;
        if !connection.contains(&object) {
            return Err(Rejection::Outside);
        }
        exchange.wants(&object);
        self.deliver((connection, &object), &admitted, &fetch, exchange).await
    }

    /// Who asks, of a host that is ours.
    fn client(
        &self,
        head: &Parts,
        peer: std::net::SocketAddr,
        exchange: &mut Exchange,
    ) -> Result<ClientAddr, Rejection> {
        self.hosts.check(head)?;
        let client = ClientAddr::derive(peer, &head.headers, &self.trusted_proxies)?;
        exchange.asked_by(client);
        Ok(client)
    }

    /// Lets the client's network pay.
    pub async fn let_pay(&self, client: ClientAddr, exchange: &mut Exchange) -> Result<(), Rejection> {
        // Where no network has a budget, this is nothing, and so shall it cost.
        if self.budgets.limit_networks() {
            exchange.paid_by(Box::pin(self.budgets.network(client, SystemTime::now())).await?);
        }
        Ok(())
    }

    /// Notes who was admitted, and lets them pay.
    async fn let_in(&self, connection: &Connection, who: &Admitted, exchange: &mut Exchange) -> Result<(), Rejection> {
        exchange.let_in(who);
        if let Some(subject) = who.subject()
            && self.budgets.limit_subjects()
        {
            let paid = Box::pin(self.budgets.subject(connection.issuer(), subject, SystemTime::now())).await?;
            exchange.paid_by(paid);
        }
        Ok(())
    }

    /// The connection, if there is one and the client's address may come near it. Whose may not learns nothing about
    /// which exist.
    fn approach<'a>(
        &'a self,
        client: ClientAddr,
        connection: Option<&'a Arc<Connection>>,
    ) -> Result<(&'a Connection, Approach<'a>), Rejection> {
        let Some(connection) = connection else {
            if let Some(access) = &self.default_access {
                access.approach(client, self.network.as_deref())?;
            }
            return Err(Rejection::NoSuchRoute);
        };
        let approach = connection.access.approach(client, self.network.as_deref())?;
        Ok((connection, approach))
    }

    /// What the link that a request shows proves, if it covers the object.
    fn verify(
        &self,
        shown: Shown<'_>,
        client: ClientAddr,
        (connection, object): (&Connection, Option<&ObjectName>),
    ) -> Result<Verified, LinkRefusal> {
        let wanted = Wanted { connection: &connection.label, bucket: &connection.config.uri.bucket, object };
        self.links.verify(shown, wanted, client, SystemTime::now())
    }

    /// Decides between redirect and proxy, and carries it out.
    async fn deliver(
        &self,
        (connection, object): (&Connection, &ObjectName),
        admitted: &Admitted,
        fetch: &Fetch,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Rejection> {
        let verdict = decide::decide(Circumstances {
            delivery: connection.config.delivery,
            signing: connection.signing(),
            mode: fetch.mode,
            // A signed URL would go round the one who vouched.
            audience: if admitted.is_vouched_for() { Audience::Restricted } else { connection.audience() },
        });
        let decision_for = |size| {
            let decision = match verdict {
                Verdict::Final(decision) => decision,
                Verdict::DependsOnSize => decide::by_size(size, connection.config.redirect_above.as_u64()),
            };
            match (fetch.method, decision) {
                (FetchMethod::Head, Decision::SignedUrl(_)) => Decision::Proxy(Reason::Head),
                _ => decision,
            }
        };
        if let Verdict::Final(_) = verdict {
            exchange.decided(decision_for(0));
        }
        let decided = match decision_for(0) {
            redirect @ Decision::SignedUrl(_) => redirect,
            Decision::Proxy(_) => {
                let source = Source {
                    client: &self.client,
                    cache: &self.metadata,
                    objects: &self.objects,
                    connection,
                    object,
                    subject: connection.tells(admitted),
                };
                // A redirect is not to carry all that this takes: three KiB, which are copied unless their room is there first.
                let room = Box::new_uninit();
                let delivered = Box::write(room, proxy::deliver(source, admitted, fetch, exchange, decision_for));
                match Box::into_pin(delivered).await? {
                    Opened::Answer(response, decision) => {
                        exchange.decided(decision);
                        return Ok(response);
                    }
                    Opened::Redirect(decision) => decision,
                }
            }
        };
        exchange.decided(decided);
        signed_url::redirect(&self.signed_urls, &self.endpoint, connection, (object, SystemTime::now()), admitted).await
    }

    fn readiness(&self, method: &Method) -> Response<Body> {
        if (self.is_ready)() {
            page(method, StatusCode::OK, "ready\n")
        } else {
            page(method, StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    }
}

/// Whose cross-origin rules apply: the connection's once the client is admitted to it.
struct Scope<'a> {
    cors: &'a Cors,
}

/// The answer as it leaves; the exchange ends with its body.
fn closed(
    head: &Parts,
    answer: Result<Response<Body>, Rejection>,
    cors: &Cors,
    mut exchange: Box<Exchange>,
) -> Response<Body> {
    let mut response = answer.unwrap_or_else(|rejection| refuse(rejection, &mut exchange));
    cors.decorate(&head.method, head.headers.get(ORIGIN), response.headers_mut());
    finish(response.headers_mut(), &exchange);
    exchange.answered(&response);
    response.map(|body| body.watched(exchange))
}

fn refuse(rejection: Rejection, exchange: &mut Exchange) -> Response<Body> {
    exchange.rejected(&rejection);
    let request_id = exchange.request_id();
    match &rejection {
        Rejection::Upstream(crate::gcs::Error::NotFound { .. }) => {}
        Rejection::Upstream(error) => {
            let (connection, cure) = (exchange.connection(), rejection.cure());
            let error = Causes(error);
            tracing::warn!(request_id = request_id.as_str(), connection, %error, cure, "GCS did not deliver");
        }
        other => tracing::debug!(request_id = request_id.as_str(), reason = %other, "refused"),
    }
    rejection.into_response(request_id.as_str())
}

fn preflight(connection: &Connection, head: &Parts) -> Result<Response<Body>, Rejection> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    match connection.cors.preflight(&head.headers) {
        Preflight::Answer(headers) => *response.headers_mut() = headers,
        Preflight::None => {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        }
        Preflight::OriginNotAllowed => return Err(Rejection::OriginNotAllowed),
    }
    Ok(response)
}

/// One of the gateway's own pages for load balancers.
fn page(method: &Method, status: StatusCode, text: &'static str) -> Response<Body> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut response = Response::new(Body::from(text.as_bytes().to_vec()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What every answer carries.
fn finish(headers: &mut http::HeaderMap, exchange: &Exchange) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, CROSS_ORIGIN);
    if let Some(decision) = exchange.decision() {
        headers.insert(X_GSGATE_DELIVERY, decision.header());
    }
    headers.insert(X_REQUEST_ID, exchange.request_id().header_value());
}
