//! In front of Label Studio: what the gateway answers in its place, and what it passes on.
//!
//! Read [`Front::handle`] from top to bottom: network → route → who may → the object; all else passes untouched.
//! Label Studio's word stands beside the connection's own rules, never in their place.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use super::body::{Body, Progress, Watched};
use super::config::{Config, Uncovered};
use super::forward::{self, Arrival};
use super::permits::{Permits, Said};
use super::resolve::{Ask, Asked, Holder};
use super::tunnel::{self, Tunnels};
use super::upstream::{Upload, Upstream, UpstreamError};
use super::{page, redirect};
use crate::gateway::Gateway;
use crate::gateway::exchange::Exchange;
use crate::gateway::reject::Rejection;
use crate::gateway::route::Route;
use crate::gateway::vouched::Vouched;
use crate::gcs;
use crate::object::GsUri;
use crate::server::Peer;
use crate::telemetry::Causes;

/// Why the front cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// TLS or a CA file.
    #[error(transparent)]
    Connector(#[from] gcs::ConnectorError),
}

/// The reverse proxy before Label Studio.
#[derive(Clone, Debug)]
pub struct Front {
    upstream: Upstream,
    /// The storage host, for what no connection covers.
    storage: Upstream,
    permits: Permits,
    tunnels: Tunnels,
    config: Config,
    /// A client that sends no byte of an upload for this long is dropped.
    upload_stall: Duration,
}

/// One request on its way.
struct Call {
    head: Parts,
    peer: Peer,
    arrival: Arrival,
    exchange: Box<Exchange>,
}

impl Front {
    /// `None` where the configuration puts no Label Studio behind the gateway.
    pub fn new(config: &Config, storage: &gcs::Config, upload_stall: Duration) -> Result<Option<Self>, FrontError> {
        let Some(endpoint) = &config.upstream else { return Ok(None) };
        let way = gcs::Config {
            endpoint: endpoint.clone(),
            ca_file: config.ca_file.clone(),
            connect_timeout: config.connect_timeout,
            ..gcs::Config::default()
        };
        Ok(Some(Self {
            upstream: Upstream::new(&way, config.answer_timeout)?,
            storage: Upstream::new(storage, storage.stall_timeout.max(storage.first_byte_timeout))?,
            permits: Permits::new(config.decision_ttl),
            tunnels: Tunnels::new(),
            config: config.clone(),
            upload_stall,
        }))
    }

    /// Answers one request, whatever it is.
    pub async fn handle(&self, gateway: &Arc<Gateway>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        if self.is_gateways(gateway, request.uri().path()) {
            return Arc::clone(gateway).handle(request, peer.address).await.map(Body::from);
        }
        let (head, body) = request.into_parts();
        let mut exchange = Exchange::begin(&head, &gateway.metrics, &gateway.audit);
        let trusted = match gateway.come_in(&head, peer.address, &mut exchange) {
            Ok(trusted) => trusted,
            Err(rejection) => return gateway.turn_away(&head, rejection, exchange).map(Body::from),
        };
        let arrival = Arrival { peer: peer.address.ip(), trusted, tls: peer.tls };
        let call = Call { head, peer, arrival, exchange };
        match Asked::parse(&call.head.uri) {
            // Label Studio takes no other method there.
            Asked::Media(ask) if matches!(call.head.method, Method::GET | Method::HEAD) => {
                self.resolve(gateway, call, ask).await
            }
            Asked::Media(Ask { holder, .. }) | Asked::Nothing(holder) => self.relay(call, &holder.bare_path()).await,
            Asked::Other => self.pass(call, body).await,
        }
    }

    /// Whether the gateway's own rules hold for a path: its pages, and media where that was switched on.
    fn is_gateways(&self, gateway: &Gateway, path: &str) -> bool {
        let of_connection = || match Route::parse(path) {
            Route::Media { connection, .. } => gateway.connections.contains_key(connection),
            _ => false,
        };
        path.starts_with("/-/") || (self.config.media_paths && of_connection())
    }

    /// Answers for an object in Label Studio's place.
    async fn resolve(&self, gateway: &Gateway, mut call: Call, ask: Ask) -> Response<Body> {
        let vouched = gs_object(&ask);
        let covered = vouched.as_ref().and_then(|vouched| gateway.covering(vouched).zip(Some(vouched)));
        call.exchange.asks_for_media(covered.map(|(connection, _)| &connection.label));
        let said = self.permits.ask(&self.upstream, (&call.head, call.arrival), &ask).await;
        let names = match said {
            Ok(Said::Names(names)) => names,
            Ok(Said::Refused) => return self.refused(gateway, call, ask.holder).await,
            Err(error) => return away(call, &error),
        };
        if self.config.require_in_task && !names.contains(ask.uri.trim()) {
            return gateway.turn_away(&call.head, Rejection::NotInTask, call.exchange).map(Body::from);
        }
        match covered {
            Some((connection, vouched)) => {
                let Call { head, peer, exchange, .. } = call;
                gateway.handle_vouched((&head, peer.address), connection, vouched, exchange).await.map(Body::from)
            }
            None => self.uncovered(call, &ask).await,
        }
    }

    /// Label Studio's own words to somebody who may not. If it has none, the object is simply not there.
    async fn refused(&self, gateway: &Gateway, call: Call, holder: Holder) -> Response<Body> {
        let Some(probe) = forward::question(&call.head, call.arrival, &holder.probe_path()) else {
            return gateway.turn_away(&call.head, Rejection::NotInTask, call.exchange).map(Body::from);
        };
        match self.upstream.ask(probe).await {
            Ok(answer) if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                self.passed(call, answer).await
            }
            Ok(_) => gateway.turn_away(&call.head, Rejection::NotInTask, call.exchange).map(Body::from),
            Err(error) => away(call, &error),
        }
    }

    /// An object of a bucket that only Label Studio knows.
    async fn uncovered(&self, call: Call, ask: &Ask) -> Response<Body> {
        let Some(mut request) = forward::request_for(&call.head, call.arrival, &ask.path()) else {
            return away(call, &UpstreamError::Late);
        };
        // Label Studio refuses HEAD here, and answers most ranges wrongly.
        *request.method_mut() = Method::GET;
        redirect::without_range(request.headers_mut());
        let answer = match self.upstream.ask(request).await {
            Ok(answer) => answer,
            Err(error) => return away(call, &error),
        };
        let target =
            redirect::leads_home(&answer, &self.storage).filter(|_| self.config.uncovered == Uncovered::Stream);
        let fetch = target.and_then(|target| redirect::fetch(&call.head, &target, &self.storage));
        let Some(fetch) = fetch else { return self.passed(call, answer).await };
        match self.storage.ask(fetch).await {
            Ok(fetched) => {
                let (head, body) = fetched.into_parts();
                let body = self.storage.watched(body);
                finish(call, redirect::answer(&head).map(|()| body))
            }
            Err(error) => away(call, &error),
        }
    }

    /// Hands a request on without its content, and by another path.
    async fn relay(&self, call: Call, path: &str) -> Response<Body> {
        let Some(request) = forward::request_for(&call.head, call.arrival, path) else {
            return away(call, &UpstreamError::Late);
        };
        match self.upstream.ask(request).await {
            Ok(answer) => self.passed(call, answer).await,
            Err(error) => away(call, &error),
        }
    }

    /// Hands a request on to Label Studio, and its answer back.
    async fn pass(&self, call: Call, body: Incoming) -> Response<Body> {
        if let Some((protocol, place)) = forward::upgrade_of(&call.head).zip(self.tunnels.place()) {
            return self.change_protocol(call, protocol, place).await;
        }
        let request = forward::request(&call.head, call.arrival);
        let progress = Progress::now();
        let upload: Upload = Watched::new(body, self.upload_stall, progress.clone()).boxed_unsync();
        match self.upstream.send(request.map(|()| upload), &progress).await {
            Ok(answer) => self.passed(call, answer).await,
            Err(error) => away(call, &error),
        }
    }

    /// Hands on that a client wants another protocol than HTTP; where Label Studio wants so, too, bytes pass both ways.
    async fn change_protocol(&self, call: Call, protocol: HeaderValue, place: OwnedSemaphorePermit) -> Response<Body> {
        let request = forward::request_to_change(&call.head, call.arrival, protocol);
        let mut answer = match self.upstream.ask(request).await {
            Ok(answer) => answer,
            Err(error) => return away(call, &error),
        };
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return self.passed(call, answer).await;
        }
        let protocol = answer.headers().get(UPGRADE).cloned();
        let takeover = tunnel::to(hyper::upgrade::on(&mut answer), place);
        let mut response = self.handed_back(call, answer).await;
        if let Some(protocol) = protocol {
            response.headers_mut().insert(UPGRADE, protocol);
        }
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.extensions_mut().insert(takeover);
        response
    }

    async fn passed(&self, call: Call, answer: Response<Incoming>) -> Response<Body> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for it.
            return away(call, &UpstreamError::Unexpected(answer.status()));
        }
        self.handed_back(call, answer).await
    }

    async fn handed_back(&self, call: Call, answer: Response<Incoming>) -> Response<Body> {
        let (mut head, body) = answer.into_parts();
        if call.head.method == Method::GET && changes_nobody(call.head.uri.path()) {
            self.permits.answered(&call.head.headers, &head.headers).await;
        }
        let ear = self.permits.listen(&call.head, &head);
        forward::strip_connection(&mut head.headers);
        let body = self.upstream.watched(body).heard_by(ear);
        finish(call, Response::from_parts(head, body))
    }
}

/// Whether a question there leaves whoever asks signed in as they were: the API, and the files that pages are made of.
fn changes_nobody(path: &str) -> bool {
    ["/api/", "/react-app/", "/static/"].iter().any(|start| path.starts_with(start))
}

/// The object that a request asks for, if it is one of Cloud Storage's.
fn gs_object(ask: &Ask) -> Option<Vouched> {
    let uri: GsUri = ask.uri.trim().parse().ok()?;
    let object = uri.object().ok()?;
    Some(Vouched { bucket: uri.bucket, object })
}

fn finish(call: Call, response: Response<Watched>) -> Response<Body> {
    let mut exchange = call.exchange;
    exchange.passed_on("label-studio");
    exchange.answered(&response);
    response.map(|body| Body::passing(body, exchange))
}

fn away(call: Call, error: &UpstreamError) -> Response<Body> {
    let Call { head, mut exchange, .. } = call;
    let request_id = exchange.request_id().as_str().to_owned();
    tracing::warn!(request_id, error = %Causes(error), "Label Studio did not answer");
    exchange.passed_on("label-studio-away");
    let response = page::away(&head, &request_id, error);
    exchange.answered(&response);
    response.map(|body| body.watched(exchange)).map(Body::from)
}
