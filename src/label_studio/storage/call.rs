//! One request to the endpoint on its way, and how it ends: with an answer, Cloud Storage's refusal, or the gateway's.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

use super::refusal::Refusal;
use crate::gateway::Gateway;
use crate::gateway::body::Body;
use crate::gateway::client_addr::ClientAddr;
use crate::gateway::connection::Connection;
use crate::gateway::exchange::Exchange;
use crate::gateway::reject::Rejection;
use crate::gcs;
use crate::server::Peer;
use crate::telemetry::Causes;

/// A request.
pub(super) struct Call<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) head: Parts,
    pub(super) peer: Peer,
    pub(super) exchange: Box<Exchange>,
}

/// Why it gets nothing.
#[derive(Debug)]
pub(super) enum Stop {
    /// As any request to the gateway: the network, the host, a budget.
    Gateway(Rejection),
    /// As a client of Cloud Storage.
    Storage(Refusal),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Gateway(rejection)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Storage(refusal)
    }
}

impl Call<'_> {
    fn address(&self) -> SocketAddr {
        self.peer.address
    }

    /// The scheme by which the client came, as far as a trusted proxy or the connection itself says so.
    pub(super) fn scheme(&self) -> &'static str {
        let told = self.head.headers.get("x-forwarded-proto").filter(|_| self.gateway.trusts(self.address()));
        let https = told.map_or(self.peer.tls, |scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
        if https { "https" } else { "http" }
    }

    /// Lets the request come near one of these connections.
    pub(super) fn come_near<'a>(
        &mut self,
        connections: impl IntoIterator<Item = &'a Arc<Connection>>,
    ) -> Result<ClientAddr, Rejection> {
        let address = self.address();
        self.gateway.come_near((&self.head, address), connections, &mut self.exchange)
    }

    /// The same for what goes no way of media, so that it is paid for here.
    pub(super) async fn near<'a>(
        &mut self,
        connections: impl IntoIterator<Item = &'a Arc<Connection>>,
    ) -> Result<(), Stop> {
        let client = self.come_near(connections)?;
        Ok(self.gateway.let_pay(client, &mut self.exchange).await?)
    }

    /// Notes for the log why a client is refused; what is wrong with the gateway's own side is told to the operator.
    pub(super) fn note_refusal(&mut self, refusal: &Refusal) {
        self.exchange.asked_of_storage(refusal.reason());
        let request_id = self.exchange.request_id();
        match refusal {
            Refusal::Upstream(gcs::Error::NotFound { .. } | gcs::Error::Changed) => {}
            Refusal::Upstream(error) => {
                let connection = self.exchange.connection();
                tracing::warn!(request_id = request_id.as_str(), connection, error = %Causes(error), "GCS did not do it");
            }
            other => tracing::debug!(request_id = request_id.as_str(), reason = %other, "refused"),
        }
    }

    /// Ends it.
    pub(super) fn close(mut self, answer: Result<Response<Body>, Stop>) -> Response<Body> {
        match answer {
            Ok(response) => self.gateway.close(&self.head, None, response, self.exchange),
            Err(Stop::Gateway(rejection)) => self.turn_away(rejection),
            Err(Stop::Storage(refusal)) => {
                self.note_refusal(&refusal);
                self.gateway.close(&self.head, None, refusal.json(), self.exchange)
            }
        }
    }

    /// Ends it as any request that is not let near.
    pub(super) fn turn_away(self, rejection: Rejection) -> Response<Body> {
        self.gateway.turn_away(&self.head, rejection, self.exchange)
    }

    /// Ends what came with a signed URL, by the cross-origin rules of the connection.
    pub(super) fn close_xml(mut self, connection: Option<&Connection>, refusal: &Refusal) -> Response<Body> {
        self.note_refusal(refusal);
        self.gateway.close(&self.head, connection, refusal.xml(), self.exchange)
    }
}

/// JSON for nobody's cache.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string().into_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A status alone.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
