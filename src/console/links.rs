//! `POST /api/v1/links`: links in a batch, for tools. All or none of them, so that no tool takes a part for the whole.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::InForce;
use super::answer::{JSON, Refusal};
use super::terms::Asked;
use crate::object::GsUri;
use crate::server::PublicUrl;
use crate::tasks::Linker;
use crate::tasks::format::rfc3339;

/// Bytes of a request.
const LONGEST: usize = 2 * 1024 * 1024;
/// Links of a request.
const MOST: usize = 1000;
/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    /// Objects as `gs://bucket/name`, or everything under a prefix as `gs://bucket/prefix/`.
    uris: Vec<GsUri>,
    /// The connection to lead through, where several cover a URI.
    #[serde(default)]
    connection: Option<String>,
    /// How browsers reach the gateway, in place of `server.public_url`.
    #[serde(default)]
    public_url: Option<PublicUrl>,
    #[serde(default)]
    terms: Asked,
}

#[derive(Serialize)]
pub(super) struct Made {
    /// When all of them end.
    expires: String,
    links: Vec<Link>,
}

#[derive(Serialize)]
struct Link {
    uri: String,
    /// A secret: whoever has it may read.
    url: String,
    /// What it is known by in the audit log, and in the list of what is revoked.
    id: String,
    connection: String,
}

/// Makes the links that are asked for.
pub(super) async fn make(in_force: &InForce, head: &Parts, content: Incoming) -> Result<Made, Refusal> {
    let Batch { uris, connection, public_url, terms } = read(head, content).await?;
    if !(1..=MOST).contains(&uris.len()) {
        return Err(Refusal::Content(format!("uris has 1 to {MOST} entries")));
    }
    let public_url = public_url.as_ref().or(in_force.resolved.config.server.public_url.as_ref());
    let public_url = public_url.ok_or(Refusal::NoPublicUrl)?;
    let signer = terms.signer(in_force)?;
    let expires = rfc3339(signer.expires());
    let connections = in_force.resolved.connections.iter();
    let connections = connections.map(|connection| (&connection.label, &connection.config));
    let linker = Linker::new(public_url.as_str(), connections, signer);
    let made = uris.iter().map(|uri| {
        let link = linker.link(uri, connection.as_deref()).map_err(|error| Refusal::NoLinks(error.to_string()))?;
        let (id, connection) = (link.id.to_string(), link.connection.to_string());
        Ok(Link { uri: uri.to_string(), url: link.url, id, connection })
    });
    Ok(Made { expires, links: made.collect::<Result<_, Refusal>>()? })
}

/// A page of another origin cannot send this type without asking first, and is then refused.
async fn read(head: &Parts, content: Incoming) -> Result<Batch, Refusal> {
    let named = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if named.split(';').next().unwrap_or_default().trim() != JSON {
        return Err(Refusal::Content(format!("send it as Content-Type: {JSON}")));
    }
    let whole = timeout(PATIENCE, Limited::new(content, LONGEST).collect()).await;
    let bytes = match whole {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(_)) => return Err(Refusal::Content(format!("it is longer than {LONGEST} bytes, or broke off"))),
        Err(_) => return Err(Refusal::Content(format!("it did not arrive within {} s", PATIENCE.as_secs()))),
    };
    serde_json::from_slice(&bytes).map_err(|error| Refusal::Content(error.to_string()))
}
