//! `GET …/tasks`: a manifest, written as it is listed.
//!
//! Memory does not grow with the bucket: the listing waits until the client has taken what there is. A manifest that
//! cannot be finished breaks the connection, so that nobody takes a part for the whole; what fails before the first piece
//! is an error like any other. A client that goes away ends the listing.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_DISPOSITION;
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;

use super::InForce;
use super::answer::{Body, JSON, JSON_LINES, Refusal, full, streamed};
use super::query::Query;
use super::slots::Slots;
use super::terms::{self, Asked};
use crate::gateway::connection::Connection;
use crate::gcs::Depth;
use crate::server::{BoxError, PublicUrl};
use crate::tasks::format::Format;
use crate::tasks::selection::Selection;
use crate::tasks::{
    self, Counts, Cover, IN_FLIGHT, Import, Links, Manifest, Patience, Place, Recipe, Since, Take, Troubles,
};
use crate::telemetry::Causes;

/// Pieces that may wait for the client; each is a page of the listing.
const WAITING: usize = 2;
/// The part of `gcs.max_in_flight` that one manifest may take.
const SHARE: usize = 4;

const PARAMETERS: [&str; 13] = [
    "format",
    "data_key",
    "import",
    "data_type",
    "gs_uri",
    "since",
    "start_after",
    "public_url",
    "link",
    "expires",
    "not_before",
    "network",
    "subject",
];

/// Gives pieces to a body, as fast as that takes them.
struct Pieces(Sender<Bytes>);

impl Take for Pieces {
    async fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        self.0.send(Bytes::copy_from_slice(piece)).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The making of a manifest; it ends when this is dropped.
struct Making {
    pieces: Receiver<Bytes>,
    task: JoinHandle<Result<(), tasks::Error>>,
}

impl Drop for Making {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Begins a manifest.
pub(super) async fn stream(
    in_force: &InForce,
    connection: Arc<Connection>,
    head: &Parts,
    slots: &Slots,
) -> Result<Response<Body>, Refusal> {
    let order = Order::read(in_force, connection, head.uri.query())?;
    let (format, name) = (order.recipe.format, order.connection.label.to_string());
    if head.method == Method::HEAD {
        return Ok(named(full(content_type(format), ""), &name, format));
    }
    let permit = slots.manifest()?;
    let (sender, pieces) = mpsc::channel(WAITING);
    let task = tokio::spawn(async move {
        let made = order.make(Pieces(sender)).await;
        drop(permit);
        made
    });
    let mut making = Making { pieces, task };
    // Only the first piece shows whether there is anything to list.
    let Some(first) = making.pieces.recv().await else {
        making.done().await?;
        return Ok(named(full(content_type(format), ""), &name, format));
    };
    let pieces = stream::unfold((Some(first), Some(making)), |(first, making)| async move {
        let mut making = making?;
        if let Some(piece) = first {
            return Some((Ok(piece), (None, Some(making))));
        }
        if let Some(piece) = making.pieces.recv().await {
            return Some((Ok(piece), (None, Some(making))));
        }
        let error = making.done().await.err()?;
        Some((Err(BoxError::from(error)), (None, None)))
    });
    Ok(named(streamed(content_type(format), pieces), &name, format))
}

impl Making {
    /// How it ended.
    async fn done(&mut self) -> Result<(), Refusal> {
        (&mut self.task).await.map_err(|_| Refusal::Lost)?.map_err(Refusal::Manifest)
    }
}

/// What was asked for, with all that making it takes.
struct Order {
    connection: Arc<Connection>,
    place: Place,
    cover: Arc<Cover>,
    recipe: Recipe,
    since: Option<std::time::SystemTime>,
    start_after: Option<String>,
}

impl Order {
    fn read(in_force: &InForce, connection: Arc<Connection>, query: Option<&str>) -> Result<Self, Refusal> {
        let query = Query::parse(query, &PARAMETERS)?;
        let recipe = Recipe {
            format: query.word("format")?.unwrap_or(Format::LabelStudio),
            data_keys: query.all("data_key").filter(|key| !key.is_empty()).map(str::to_owned).collect(),
            import: query.word("import")?.unwrap_or(Import::Files),
            data_type: query.word("data_type")?,
        };
        recipe.check().map_err(|conflict| Refusal::Query(conflict.to_string()))?;
        let since =
            match query.one("since")? {
                None => None,
                Some(text) => Some(Since::time(text).ok_or_else(|| {
                    Refusal::Query("since is a time such as 2026-01-31T12:00:00Z, or a date".to_owned())
                })?),
            };
        let start_after = query.one("start_after")?.map(str::to_owned);
        let cover = linked(cover(in_force, &query)?, in_force, &connection, &query)?;
        let place = place(in_force, &connection);
        Ok(Self { connection, place, cover: Arc::new(cover), recipe, since, start_after })
    }

    async fn make(self, mut pieces: Pieces) -> Result<(), tasks::Error> {
        let Self { connection, place, cover, recipe, since, start_after } = self;
        let manifest = Manifest {
            place,
            label: &connection.label,
            selection: Selection { connection: &connection.config, data_type: recipe.data_type(), newer_than: since },
            cover,
            format: recipe.format,
            keys: recipe.keys(),
            import: recipe.import,
            known: None,
            start_after,
        };
        let (counts, mut troubles) = (Counts::default(), Troubles::default());
        let made = manifest.write(&mut pieces, &counts, &mut troubles).await;
        tell(&connection.label, &counts, &troubles, made.as_ref().err());
        made
    }
}

/// What a manifest left out is told in the log: its body has no room for it.
fn tell(connection: &str, counts: &Counts, troubles: &Troubles, error: Option<&tasks::Error>) {
    let (listed, tasks) = (counts.listed(), counts.tasks());
    let (unservable, unreadable) = (troubles.unservable.count, troubles.bad.count);
    let first = troubles.unservable.first.iter().chain(&troubles.bad.first).next().map(String::as_str);
    match error {
        Some(error) => {
            let error = Causes(error);
            tracing::warn!(connection, listed, tasks, %error, "a manifest was broken off");
        }
        None if unservable + unreadable > 0 => {
            tracing::warn!(connection, listed, tasks, unservable, unreadable, first, "a manifest leaves objects out");
        }
        None => tracing::info!(connection, listed, tasks, "a manifest was made"),
    }
}

/// The same with a link in each URL, if that is asked for. A manifest whose URLs should have links, and have none, would
/// be found out by the annotators.
fn linked(cover: Cover, in_force: &InForce, connection: &Connection, query: &Query) -> Result<Cover, Refusal> {
    let terms = Asked::read(query)?;
    if !query.flag("link")? {
        let stray = terms::PARAMETERS.iter().find(|name| query.all(name).next().is_some());
        return match stray {
            Some(name) => Err(Refusal::Query(format!("{name} is about links; add link=true"))),
            None => Ok(cover),
        };
    }
    if query.flag("gs_uri")? {
        return Err(Refusal::Query("gs:// URIs carry no links; leave gs_uri or link out".to_owned()));
    }
    if !connection.config.access.takes_links() {
        let cure =
            "this connection takes no links; set its access to \"link\", \"network-and-link\" or \"network-or-link\"";
        return Err(Refusal::NoLinks(cure.to_owned()));
    }
    Ok(cover.signed(terms.signer(in_force)?))
}

/// All connections behind the public URL, which `gs://` links do without.
fn cover(in_force: &InForce, query: &Query) -> Result<Cover, Refusal> {
    let links = if query.flag("gs_uri")? { Links::GsUri } else { Links::Gateway };
    let given = query.one("public_url")?.map(|url| PublicUrl::try_from(url.to_owned()));
    let given = given.transpose().map_err(|error| Refusal::Query(format!("public_url: {error}")))?;
    let url = match (given.as_ref().or(in_force.resolved.config.server.public_url.as_ref()), links) {
        (Some(url), _) => url.as_str(),
        (None, Links::GsUri) => "",
        (None, Links::Gateway) => return Err(Refusal::NoPublicUrl),
    };
    let connections = in_force.resolved.connections.iter();
    Ok(Cover::new(links, url, connections.map(|connection| (&connection.label, &connection.config))))
}

fn place(in_force: &InForce, connection: &Connection) -> Place {
    let config = &connection.config;
    Place {
        client: in_force.gateway.client.clone(),
        credential: connection.credential.clone(),
        bucket: config.uri.bucket.clone(),
        prefix: config.uri.path.clone(),
        depth: if config.recursive { Depth::All } else { Depth::OneLevel },
        project: connection.project().cloned(),
        page_size: None,
        in_flight: (in_force.resolved.config.gcs.max_in_flight / SHARE).clamp(1, IN_FLIGHT),
        patience: Patience::default(),
    }
}

fn content_type(format: Format) -> &'static str {
    match format {
        Format::LabelStudio | Format::Labelbox => JSON,
        Format::Jsonl | Format::Cvat => JSON_LINES,
        Format::Csv => "text/csv; charset=utf-8",
        Format::Txt => "text/plain; charset=utf-8",
    }
}

/// Browsers save it under this name.
fn named(mut response: Response<Body>, connection: &str, format: Format) -> Response<Body> {
    let extension = match format {
        Format::LabelStudio | Format::Labelbox => "json",
        Format::Jsonl | Format::Cvat => "jsonl",
        Format::Csv => "csv",
        Format::Txt => "txt",
    };
    // Names of connections are letters, digits and hyphens.
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{connection}.{extension}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    response
}
