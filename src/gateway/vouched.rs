//! Requests that the annotation tool in front of which the gateway stands has vouched for.
//!
//! The tool's word names one object and one user. It comes on top of the rules of the network, and is no proof by itself:
//! as everywhere, only [`super::access::Access`] makes the proof that delivery demands.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, Response};

use super::body::Body;
use super::client_addr::ClientAddr;
use super::connection::Connection;
use super::exchange::Exchange;
use super::fetch::Fetch;
use super::reject::Rejection;
use super::{Gateway, closed, preflight};
use crate::object::{BucketName, ObjectName};

/// An object that the tool says its user may read. Whoever makes one has asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// The bucket.
    pub bucket: BucketName,
    /// The object in it.
    pub object: ObjectName,
}

impl Gateway {
    /// Whether a request may come to what stands behind the gateway, by the default rules; says whether its peer is trusted.
    pub fn come_in(&self, head: &Parts, peer: SocketAddr, exchange: &mut Exchange) -> Result<bool, Rejection> {
        let client = self.client(head, peer, exchange)?;
        let access = self.default_access.as_ref().ok_or(Rejection::NoSuchRoute)?;
        access.admit(client, self.network.as_deref())?;
        Ok(self.trusts(peer))
    }

    /// Whether a peer is believed when it speaks of others.
    pub fn trusts(&self, peer: SocketAddr) -> bool {
        let address = ClientAddr::from(peer.ip()).ip();
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }

    /// An object was changed: whatever connection leads to it, what was known of it counts no more.
    pub fn forget(&self, (bucket, object): (&BucketName, &ObjectName)) {
        for connection in self.connections.values().filter(|connection| connection.leads_to(bucket, object)) {
            self.metadata.forget(&connection.label, object);
        }
    }

    /// Lets a request come near if one of these connections lets its address. It has seen no object yet.
    pub fn come_near<'a>(
        &self,
        (head, peer): (&Parts, SocketAddr),
        connections: impl IntoIterator<Item = &'a Arc<Connection>>,
        exchange: &mut Exchange,
    ) -> Result<ClientAddr, Rejection> {
        let client = self.client(head, peer, exchange)?;
        let mut refused = Rejection::NoSuchRoute;
        for connection in connections {
            match connection.access.approach(client, self.network.as_deref()) {
                Ok(_) => return Ok(client),
                Err(denied) => refused = denied.into(),
            }
        }
        Err(refused)
    }

    /// Answers the question of a page that may then come with the tool's word.
    pub fn answer_preflight(&self, head: &Parts, connection: &Connection, exchange: Box<Exchange>) -> Response<Body> {
        debug_assert_eq!(head.method, Method::OPTIONS);
        closed(head, preflight(connection, head), &connection.cors, exchange)
    }

    /// Finishes an answer that was made elsewhere, by the cross-origin rules of a connection or by the default ones.
    pub fn close(
        &self,
        head: &Parts,
        connection: Option<&Connection>,
        response: Response<Body>,
        exchange: Box<Exchange>,
    ) -> Response<Body> {
        closed(head, Ok(response), connection.map_or(&self.default_cors, |connection| &connection.cors), exchange)
    }

    /// The answer to a request that gets nothing.
    pub fn turn_away(&self, head: &Parts, rejection: Rejection, exchange: Box<Exchange>) -> Response<Body> {
        closed(head, Err(rejection), &self.default_cors, exchange)
    }

    /// The connection that an object belongs to.
    pub fn covering(&self, wanted: &Vouched) -> Option<&Arc<Connection>> {
        let leads_to = |connection: &&Arc<Connection>| connection.leads_to(&wanted.bucket, &wanted.object);
        self.connections.values().filter(leads_to).max_by_key(|connection| connection.precedence())
    }

    /// Delivers an object that the tool vouched for, if the connection's own rules admit the client, too.
    pub async fn handle_vouched(
        &self,
        (head, peer): (&Parts, SocketAddr),
        connection: &Connection,
        vouched: &Vouched,
        mut exchange: Box<Exchange>,
    ) -> Response<Body> {
        let answer = self.answer_vouched((head, peer), connection, vouched, &mut exchange).await;
        closed(head, answer, &connection.cors, exchange)
    }

    async fn answer_vouched(
        &self,
        (head, peer): (&Parts, SocketAddr),
        connection: &Connection,
        vouched: &Vouched,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Rejection> {
        let client = self.client(head, peer, exchange)?;
        let approach = connection.access.approach(client, self.network.as_deref())?;
        exchange.admitted_to(connection);
        self.let_pay(client, exchange).await?;
        let approach = connection.identify(approach, &head.headers).await?;
        let admitted = approach.admit_vouched(vouched)?;
        self.let_in(connection, &admitted, exchange).await?;
        let fetch = Fetch::parse(&head.method, &head.headers)?.over(head.version);
        exchange.wants(&vouched.object);
        self.deliver((connection, &vouched.object), &admitted, &fetch, exchange).await
    }
}
