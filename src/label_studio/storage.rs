//! Cloud Storage as Label Studio's own client sees it: the gateway is its endpoint, and Label Studio holds no Google
//! credential at all.
//!
//! Read [`Storage::handle`] from top to bottom: network → token or signature → connection → what was asked for. Label
//! Studio has a key that only the gateway trusts; with it, its client gets tokens for the JSON API, and signs the URLs
//! that browsers then come with. Either is a word for one object, beside the connection's own rules and never in their
//! place; media goes through the gateway's own pipeline. Nothing is kept: any replica can answer any request.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1> and
//! <https://cloud.google.com/storage/docs/authentication/signatures>.

mod call;
mod config;
mod key;
mod listing;
mod multipart;
mod places;
mod query;
mod refusal;
mod resource;
mod route;
mod signed;
mod token;
mod upload;
mod write;

use std::time::{Duration, SystemTime};

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HOST};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tokio::time::timeout;

use self::call::{Call, Stop};
pub use self::config::Config;
pub use self::key::{KeyError, NewKey, NoKey};
use self::listing::Listing;
use self::places::{Place, Places};
use self::query::{Query, decoded};
use self::refusal::Refusal;
use self::route::{Operation, Route};
pub use self::route::{PATH, TOKEN};
use self::signed::Signed;
use self::token::{Caller, Keyring, Reach};
use crate::gateway::Gateway;
use crate::gateway::access::Access;
use crate::gateway::body::Body;
use crate::gateway::exchange::Exchange;
use crate::gateway::vouched::Vouched;
use crate::gcs::{self, DeleteRequest, StatRequest};
use crate::object::{BucketName, Generation, ObjectName};
use crate::server::Peer;

/// An assertion and the little around it.
const LONGEST_FORM: usize = 32 * 1024;
/// Longest wait for it.
const PATIENCE: Duration = Duration::from_secs(10);
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The endpoint.
#[derive(Clone, Debug)]
pub struct Storage {
    places: Places,
    keys: Keyring,
    can_delete: bool,
    max_upload: u64,
    public: Option<String>,
    /// A client that sends no byte of an upload for this long is dropped.
    upload_stall: Duration,
}

/// Why there can be no endpoint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The text of one of the keys, by its place in the list.
    #[error("{1}")]
    Key(usize, #[source] KeyError),
    /// One that is named is not there.
    #[error("there is no [connections.{1}]")]
    Connection(&'static str, String),
}

impl Storage {
    /// An endpoint over the gateway's connections. `pems` are the keys, `access` is what `allow` has become, and
    /// `public` is its own URL, where the gateway knows under which it is reached.
    pub fn new(
        config: &Config,
        gateway: &Gateway,
        (pems, access, public): (&[String], Option<&Access>, Option<String>),
        upload_stall: Duration,
    ) -> Result<Self, StorageError> {
        let audiences: Vec<String> = public.iter().map(|url| format!("{url}{TOKEN}")).collect();
        let keys = Keyring::new(pems, &audiences).map_err(|(at, error)| StorageError::Key(at, error))?;
        let mut places: Vec<Place> = Vec::new();
        for (list, name) in config.named() {
            let connection = gateway.connections.get(name);
            let connection = connection.ok_or_else(|| StorageError::Connection(list, name.clone()))?;
            let writable = config.export.contains(name);
            if places.iter().all(|place| place.api.label != connection.label) {
                places.push(Place::new(connection, access, writable));
            }
        }
        let max_upload = config.max_upload.as_u64();
        Ok(Self { places: Places::new(places), keys, can_delete: config.can_delete, max_upload, public, upload_stall })
    }

    /// Whether a path is the endpoint's.
    pub fn is_asked(path: &str) -> bool {
        path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers one request below [`PATH`].
    pub async fn handle(&self, gateway: &Gateway, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let (head, body) = request.into_parts();
        let exchange = Exchange::begin(&head, &gateway.metrics, &gateway.audit);
        let mut call = Call { gateway, head, peer, exchange };
        let path = call.head.uri.path().strip_prefix(PATH).unwrap_or_default().to_owned();
        match Route::parse(&call.head.method, &path, &call.head.uri) {
            Ok(Route::Signed) => self.signed(call, &path).await,
            Ok(Route::Token) => {
                let answer = self.token(&mut call, body).await;
                call.close(answer)
            }
            Ok(Route::Api(operation, query)) => Box::pin(self.api(call, (&operation, &query), body)).await,
            Err(refusal) => {
                // Who is not let near learns nothing about paths, either.
                let near = call.near(self.places.all().map(|place| &place.api)).await;
                call.close(near.and(Err(refusal.into())))
            }
        }
    }

    /// Gives a token for an assertion: the assertion itself.
    async fn token(&self, call: &mut Call<'_>, body: Incoming) -> Result<Response<Body>, Stop> {
        call.exchange.asked_of_storage("token");
        call.near(self.places.all().map(|place| &place.api)).await?;
        let form = timeout(PATIENCE, Limited::new(body, LONGEST_FORM).collect()).await;
        let form = form.ok().and_then(Result::ok).ok_or(Refusal::Broken)?.to_bytes();
        let form = Query::parse(std::str::from_utf8(&form).unwrap_or("%"))?;
        let refused = |error: &str, why: &str| {
            call::json(StatusCode::BAD_REQUEST, &json!({ "error": error, "error_description": why }))
        };
        if form.get("grant_type") != Some(GRANT) {
            return Ok(refused("unsupported_grant_type", "Only assertions of a service account's key are taken."));
        }
        let assertion = form.get("assertion").unwrap_or_default();
        match self.keys.check(assertion, SystemTime::now()) {
            Ok(caller) => Ok(call::json(
                StatusCode::OK,
                &json!({ "access_token": assertion, "expires_in": caller.left.as_secs(), "token_type": "Bearer" }),
            )),
            Err(error) => {
                call.note_refusal(&Refusal::Token(error));
                Ok(refused("invalid_grant", "Invalid JWT Signature, or not for here and now."))
            }
        }
    }

    /// Serves an object to whoever comes with a URL that Label Studio has signed.
    async fn signed(&self, mut call: Call<'_>, path: &str) -> Response<Body> {
        let target = route::signed_object(path);
        let place = target.as_ref().and_then(|(bucket, object)| self.places.covering((bucket, object), |_| true));
        let connection = place.map(|place| &place.browsers);
        call.exchange.asks_for_media(connection.map(|connection| &connection.label));
        let near = match connection {
            Some(connection) => call.come_near([connection]),
            None => call.come_near(self.places.all().map(|place| &place.browsers)),
        };
        if let Err(rejection) = near {
            return call.turn_away(rejection);
        }
        let verified = self.verify(&call.head, path);
        let Call { gateway, ref head, .. } = call;
        let asks_first = head.method == Method::OPTIONS;
        match (verified, connection.zip(target)) {
            // That it is too late, the page shall learn by the request itself.
            (Ok(()) | Err(Refusal::Expired), Some((connection, _))) if asks_first => {
                gateway.answer_preflight(head, connection, call.exchange)
            }
            (Ok(()), Some((connection, (bucket, object)))) => {
                let vouched = Vouched { bucket, object };
                gateway.handle_vouched((head, call.peer.address), connection, &vouched, call.exchange).await
            }
            (Ok(()), None) => {
                let (email, permission) = ("The key".to_owned(), "storage.objects.get");
                call.close_xml(None, &Refusal::Denied { email, permission })
            }
            (Err(refusal @ Refusal::Expired), _) => call.close_xml(connection.map(|place| &**place), &refusal),
            // Who has no signature learns by no header which objects there are.
            (Err(refusal), _) => call.close_xml(None, &refusal),
        }
    }

    /// Whether Label Studio has signed a request; of a page that asks first, the one that it asks for.
    fn verify(&self, head: &Parts, path: &str) -> Result<(), Refusal> {
        let method = match head.method {
            Method::OPTIONS => upload::text(&head.headers, ACCESS_CONTROL_REQUEST_METHOD.as_str()).unwrap_or_default(),
            _ => head.method.as_str(),
        };
        let query = head.uri.query().unwrap_or_default();
        let signed = Signed { method, path, query, headers: &head.headers, host: host(head) };
        signed.verify(&self.keys, SystemTime::now())
    }

    /// Answers for the JSON API.
    async fn api(
        &self,
        mut call: Call<'_>,
        (operation, query): (&Operation, &Query),
        body: Incoming,
    ) -> Response<Body> {
        call.exchange.asked_of_storage(operation.word());
        let granted = self.grant(&mut call, operation).await;
        let answer = match (granted, operation) {
            (Err(stop), _) => Err(stop),
            (Ok((_, Some(place))), Operation::Media(bucket, object)) => {
                let wanted = Vouched { bucket: bucket.clone(), object: object.clone() };
                return media(call, (place, &wanted), query).await;
            }
            (Ok(granted), _) => self.carry_out(&mut call, (operation, query), granted, body).await,
        };
        call.close(answer)
    }

    /// Who asks, and the connection that the object belongs to, if one stands in the path.
    async fn grant(&self, call: &mut Call<'_>, operation: &Operation) -> Result<(Caller, Option<&Place>), Stop> {
        let here = self.places.of(operation.bucket());
        let place =
            operation.object().and_then(|object| self.covering((operation.bucket(), object), operation.writes()));
        if operation.object().is_some() {
            call.exchange.asks_for_media(place.map(|place| &place.api.label));
        }
        match place {
            Some(place) if matches!(operation, Operation::Media(..)) => call.come_near([&place.api]).map(drop)?,
            Some(place) => call.near([&place.api]).await?,
            None if here.is_empty() => call.near(self.places.all().map(|place| &place.api)).await?,
            None => call.near(here.iter().map(|place| &place.api)).await?,
        }
        let caller = self.keys.caller(&call.head.headers, SystemTime::now()).map_err(Refusal::Token)?;
        let denied = || Refusal::Denied { email: caller.email.clone(), permission: operation.permission() };
        let needed = if operation.writes() { Reach::Write } else { Reach::Read };
        let hidden = here.is_empty() || (operation.object().is_some() && place.is_none());
        let forbidden = matches!(operation, Operation::Delete(..)) && !self.can_delete;
        let unwritable = operation.writes() && here.iter().all(|place| !place.writable);
        if caller.reach < needed || hidden || forbidden || unwritable {
            return Err(denied().into());
        }
        if let Some(object) = operation.object() {
            call.exchange.wants(object);
        }
        if let Some(place) = place {
            call.exchange.admitted_to(&place.api);
        }
        Ok((caller, place))
    }

    fn covering(&self, (bucket, object): (&BucketName, &ObjectName), writing: bool) -> Option<&Place> {
        self.places.covering((bucket, object), |place| place.writable || !writing)
    }

    async fn carry_out(
        &self,
        call: &mut Call<'_>,
        (operation, query): (&Operation, &Query),
        (caller, place): (Caller, Option<&Place>),
        body: Incoming,
    ) -> Result<Response<Body>, Stop> {
        let client = &call.gateway.client;
        let told = |value| Ok(call::json(StatusCode::OK, &resource::masked(value, query.get("fields"))));
        match (operation, place) {
            (Operation::Bucket(bucket), _) => {
                query.only(&["alt"])?;
                told(resource::bucket(bucket))
            }
            (Operation::Permissions(_), _) => Ok(call::json(StatusCode::OK, &self.permissions(call, operation))),
            (Operation::List(bucket), _) => {
                // What may not come near a connection sees nothing of what it serves.
                let mut here: Vec<Place> = self.places.of(bucket).into_iter().cloned().collect();
                here.retain(|place| call.come_near([&place.api]).is_ok());
                told(Listing::parse(query)?.page(client, &Places::new(here), bucket).await?)
            }
            (Operation::Stat(bucket, object), Some(place)) => {
                query.only(&["generation", "alt"])?;
                let (bucket_name, connection) = (bucket.clone(), &place.api);
                let request =
                    StatRequest { bucket: bucket_name, object: object.clone(), project: connection.project().cloned() };
                let metadata = client.stat(&connection.credential, request).await.map_err(Refusal::from)?;
                same_version(query, metadata.generation)?;
                call.exchange.found(metadata.generation);
                told(resource::object(bucket, object.as_str(), &metadata))
            }
            (Operation::Delete(bucket, object), Some(place)) => {
                query.only(&["ifGenerationMatch", "generation", "alt"])?;
                let version = query.number("generation")?;
                if version == Some(0) {
                    return Err(Refusal::NoVersion.into());
                }
                let matching = query.number("ifGenerationMatch")?;
                if version.is_some() && matching.is_some_and(|matching| Some(matching) != version) {
                    return Err(Refusal::NoVersion.into());
                }
                let expected = upload::expected(matching.or(version));
                let project = place.api.project().cloned();
                let request = DeleteRequest { bucket: bucket.clone(), object: object.clone(), expected, project };
                let deleted = client.delete(&place.api.credential, request).await;
                deleted.map_err(|error| match error {
                    // Of a version that is asked for by its number, a newer one is no change but another object.
                    gcs::Error::Changed if version.is_some() => Refusal::NoVersion,
                    error => Refusal::from(error),
                })?;
                call.gateway.forget((bucket, object));
                Ok(call::empty(StatusCode::NO_CONTENT))
            }
            (Operation::Upload(bucket), _) => self.upload(call, (bucket, query), &caller, body).await,
            (Operation::Continue(bucket), _) => self.resume(call, (bucket, query), &caller, body).await,
            (Operation::Stat(..) | Operation::Delete(..) | Operation::Media(..), _) => Err(Refusal::Nowhere.into()),
        }
    }

    /// Of the permissions that are asked about, those that there are.
    fn permissions(&self, call: &Call<'_>, operation: &Operation) -> serde_json::Value {
        let writable = self.places.of(operation.bucket()).iter().any(|place| place.writable);
        let asked = call.head.uri.query().unwrap_or_default().split('&');
        let asked = asked.filter_map(|pair| pair.strip_prefix("permissions=").and_then(decoded));
        let held = asked.filter_map(|name| String::from_utf8(name).ok()).filter(|name| match name.as_str() {
            "storage.buckets.get" | "storage.objects.get" | "storage.objects.list" => true,
            "storage.objects.create" => writable,
            "storage.objects.delete" => writable && self.can_delete,
            _ => false,
        });
        json!({ "kind": "storage#testIamPermissionsResponse", "permissions": held.collect::<Vec<_>>() })
    }
}

/// Media for Label Studio's client, through the pipeline that browsers get it through.
async fn media(call: Call<'_>, (place, wanted): (&Place, &Vouched), query: &Query) -> Response<Body> {
    let asked = query.only(&["alt", "generation"]).and_then(|()| query.number("generation"));
    let asked = match asked {
        Ok(asked) => asked,
        Err(refusal) => return call.close(Err(refusal.into())),
    };
    let Call { gateway, head, peer, exchange } = call;
    let answer = gateway.handle_vouched((&head, peer.address), &place.api, wanted, exchange).await;
    let Some(asked) = asked else { return answer };
    // A reader that goes on where it was cut off must not get another version's bytes.
    let found = upload::text(answer.headers(), "x-goog-generation").and_then(|text| text.parse().ok());
    if found.is_none_or(|found: u64| found == asked) { answer } else { Refusal::NoVersion.json() }
}

fn same_version(query: &Query, found: Generation) -> Result<(), Refusal> {
    match query.number("generation")? {
        Some(asked) if asked != found.0 => Err(Refusal::NoVersion),
        _ => Ok(()),
    }
}

/// Whom a request is for, as the client has it.
fn host(head: &Parts) -> &str {
    let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    head.uri.authority().map(http::uri::Authority::as_str).or(named).unwrap_or_default()
}
