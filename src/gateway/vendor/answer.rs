//! The vendors' requests, carried out: from a proof to a connection, and then as every other request.

use std::net::SocketAddr;
use std::time::SystemTime;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use serde::Serialize;

use super::diffgram::Diffgram;
use super::labelbox::Labelbox;
use super::toloka::Toloka;
use super::{VendorProof, VendorRefusal, VendorRoute, parameter};
use crate::gateway::access::{Admitted, Approach};
use crate::gateway::body::Body;
use crate::gateway::client_addr::ClientAddr;
use crate::gateway::connection::Connection;
use crate::gateway::decide::Delivery;
use crate::gateway::exchange::Exchange;
use crate::gateway::fetch::{Fetch, FetchError};
use crate::gateway::links::{Expiry, Scope as LinkScope, Target, Terms};
use crate::gateway::reject::Rejection;
use crate::gateway::route::EncodedPath;
use crate::gateway::{Gateway, Scope, preflight, signed_url};
use crate::object::ObjectName;

/// A connection that the client's address may come near.
type Near<'a> = (&'a Connection, Approach<'a>);

/// What Diffgram gets.
#[derive(Serialize)]
struct Signed {
    url: String,
}

impl Gateway {
    /// Answers a request of a vendor's contract.
    pub(in crate::gateway) async fn answer_vendor<'a>(
        &'a self,
        route: VendorRoute<'_>,
        (head, peer): (&Parts, SocketAddr),
        scope: &mut Scope<'a>,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Rejection> {
        exchange.asks_for_media(None);
        let client = self.client(head, peer, exchange)?;
        let vendors = &self.vendors;
        let request = (head, client);
        match (route, &vendors.labelbox, &vendors.diffgram, &vendors.toloka) {
            (VendorRoute::Labelbox, Some(labelbox), _, _) => self.labelbox(labelbox, request, scope, exchange).await,
            (VendorRoute::Diffgram { bucket }, _, Some(diffgram), _) => {
                self.diffgram((diffgram, bucket), request, scope, exchange).await
            }
            (VendorRoute::Toloka { key }, _, _, Some(toloka)) => {
                self.toloka((toloka, key), request, scope, exchange).await
            }
            // As any path that leads nowhere.
            _ => Err(self.approach(client, None).err().unwrap_or(Rejection::NoSuchRoute)),
        }
    }

    async fn labelbox<'a>(
        &'a self,
        labelbox: &'a Labelbox,
        (head, client): (&Parts, ClientAddr),
        scope: &mut Scope<'a>,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Rejection> {
        let near = self.near(client, &labelbox.connections, scope)?;
        let token = parameter(head.uri.query(), "token").ok_or(VendorRefusal::Token)?;
        let named = labelbox.read(&token, SystemTime::now())?;
        let object = ObjectName::new(named.key).map_err(Rejection::Name)?;
        let found = covering(near, &named.bucket, &object)?;
        self.serve(found, (head, client), (VendorProof::of(None), &object), (scope, exchange)).await
    }

    async fn toloka<'a>(
        &'a self,
        (toloka, key): (&'a Toloka, EncodedPath<'_>),
        (head, client): (&Parts, ClientAddr),
        scope: &mut Scope<'a>,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Rejection> {
        let (connection, approach) = self.near_one(client, &toloka.connection, scope, exchange)?;
        if head.method == Method::OPTIONS {
            return preflight(connection, head);
        }
        // Paid for before Toloka is asked: whoever asks for nonsense shall not make us ask for it without end.
        self.let_pay(client, exchange).await?;
        let fetch = Fetch::parse(&head.method, &head.headers)?.over(head.version);
        let object = connection.name(key)?;
        if !connection.contains(&object) {
            return Err(Rejection::Outside);
        }
        let assignment = parameter(head.uri.query(), "assignmentId").ok_or(VendorRefusal::AssignmentId)?;
        let key = connection.config.uri.path.strip(&object).unwrap_or_default();
        toloka.admits(key, &assignment).await?;
        let admitted = approach.admit_by_vendor(VendorProof::of(format!("toloka:{assignment}").parse().ok()))?;
        self.let_in(connection, &admitted, exchange).await?;
        exchange.wants(&object);
        self.deliver((connection, &object), &admitted, &fetch, exchange).await
    }

    async fn diffgram<'a>(
        &'a self,
        (diffgram, bucket): (&'a Diffgram, EncodedPath<'_>),
        (head, client): (&Parts, ClientAddr),
        scope: &mut Scope<'a>,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Rejection> {
        let near = self.near(client, &diffgram.connections, scope)?;
        if head.method != Method::GET {
            return Err(FetchError::Method.into());
        }
        self.let_pay(client, exchange).await?;
        let key = diffgram.read(&head.headers, head.uri.query())?;
        let bucket = bucket.decode().map_err(Rejection::Encoding)?;
        let object = ObjectName::new(key).map_err(Rejection::Name)?;
        let (connection, approach) = covering(near, &String::from_utf8_lossy(&bucket), &object)?;
        exchange.asks_for_media(Some(&connection.label));
        exchange.admitted_to(connection);
        scope.cors = &connection.cors;
        let admitted = approach.admit_by_vendor(VendorProof::of(None))?;
        self.let_in(connection, &admitted, exchange).await?;
        exchange.wants(&object);
        let url = self.url_for((diffgram, connection), &object, &admitted).await?;
        let mut response = Response::new(Body::from(serde_json::to_vec(&Signed { url }).unwrap_or_default()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// A URL that a browser can follow for as long as signed URLs live: GCS's own, or the gateway's with a link.
    async fn url_for(
        &self,
        (diffgram, connection): (&Diffgram, &Connection),
        object: &ObjectName,
        admitted: &Admitted,
    ) -> Result<String, Rejection> {
        let now = SystemTime::now();
        if connection.config.delivery == Delivery::SignedUrl {
            let url = signed_url::url(&self.signed_urls, &self.endpoint, connection, (object, now), admitted).await?;
            return Ok(url.location().to_str().map_err(|_| Rejection::CannotSign)?.to_owned());
        }
        let rest = connection.config.uri.path.strip(object).unwrap_or_default();
        let rest = ObjectName::new(rest).map_err(Rejection::Name)?;
        let plain = format!("{}/{}/{}", diffgram.public_url, connection.label, rest.as_path());
        if !connection.access.demand().takes_links() {
            return Ok(plain);
        }
        let expires = Expiry::In(connection.config.signed_url_expiry);
        let terms = Terms { expires, not_before: None, networks: Vec::new(), subject: None };
        let signer = self.links.signer(&terms, now).map_err(|error| {
            let connection = &*connection.label;
            tracing::error!(connection, %error, "no link can be made for Diffgram");
            Rejection::CannotSign
        })?;
        let bucket = &connection.config.uri.bucket;
        let link = signer.sign(LinkScope { connection: &connection.label, bucket, target: Target::Object(object) });
        Ok(format!("{plain}?sig={}", link.token()))
    }

    /// Serves an object with a proof in the place of a link.
    async fn serve<'a>(
        &'a self,
        (connection, approach): Near<'a>,
        (head, client): (&Parts, ClientAddr),
        (proof, object): (VendorProof, &ObjectName),
        (scope, exchange): (&mut Scope<'a>, &mut Exchange),
    ) -> Result<Response<Body>, Rejection> {
        exchange.asks_for_media(Some(&connection.label));
        exchange.admitted_to(connection);
        scope.cors = &connection.cors;
        if head.method == Method::OPTIONS {
            return preflight(connection, head);
        }
        self.let_pay(client, exchange).await?;
        let admitted = approach.admit_by_vendor(proof)?;
        self.let_in(connection, &admitted, exchange).await?;
        let fetch = Fetch::parse(&head.method, &head.headers)?.over(head.version);
        exchange.wants(object);
        self.deliver((connection, object), &admitted, &fetch, exchange).await
    }

    /// The connections of an adapter that the address may come near; who may come near none learns nothing.
    fn near<'a>(
        &'a self,
        client: ClientAddr,
        names: &'a [String],
        scope: &mut Scope<'a>,
    ) -> Result<Vec<Near<'a>>, Rejection> {
        let (mut near, mut refusal) = (Vec::new(), Rejection::NoSuchRoute);
        for name in names {
            match self.approach(client, self.connections.get(name)) {
                Ok(found) => near.push(found),
                Err(denied) => refusal = denied,
            }
        }
        let (first, _) = near.first().ok_or(refusal)?;
        scope.cors = &first.cors;
        Ok(near)
    }

    fn near_one<'a>(
        &'a self,
        client: ClientAddr,
        name: &'a str,
        scope: &mut Scope<'a>,
        exchange: &mut Exchange,
    ) -> Result<Near<'a>, Rejection> {
        let (connection, approach) = self.approach(client, self.connections.get(name))?;
        exchange.asks_for_media(Some(&connection.label));
        exchange.admitted_to(connection);
        scope.cors = &connection.cors;
        Ok((connection, approach))
    }
}

/// The first connection that has the object.
fn covering<'a>(near: Vec<Near<'a>>, bucket: &str, object: &ObjectName) -> Result<Near<'a>, Rejection> {
    let has = |connection: &Connection| connection.config.uri.bucket.as_str() == bucket && connection.contains(object);
    near.into_iter().find(|(connection, _)| has(connection)).ok_or(Rejection::Outside)
}
