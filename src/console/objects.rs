//! `GET …/objects` and `GET …/preview`: a connection's objects, page by page, as they would be served.
//!
//! Decides how much one request may look at: a filter that hardly anything passes must not list a whole bucket for one
//! page. Then a page is short, or empty, and still has a cursor.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Serialize;

use super::answer::Refusal;
use super::preview::Preview;
use super::query::Query;
use crate::gateway::connection::Connection;
use crate::gcs::{Client, Depth, Detail, Error, ListRequest, Listed};
use crate::object::ObjectName;
use crate::tasks::format::rfc3339;
use crate::tasks::selection::{Selection, Verdict};
use crate::tasks::{Cover, DataType};

/// Objects on a page, if nobody says otherwise, and at most.
const OBJECTS: (usize, usize) = (100, 1000);
/// The same of a gallery.
const PREVIEWS: (usize, usize) = (24, 100);
/// Pages of GCS that one request looks at.
const LOOKS: usize = 8;
/// Pages of GCS that may have nothing at all on them.
const EMPTY_LOOKS: usize = 64;
/// Names of which it is told that they cannot be served.
const TOLD: usize = 20;

const PARAMETERS: [&str; 3] = ["limit", "cursor", "data_type"];

#[derive(Serialize)]
pub(super) struct Objects {
    objects: Vec<Object>,
    unservable: Vec<Unservable>,
    next: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Previews {
    objects: Vec<Preview>,
    unservable: Vec<Unservable>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Object {
    name: String,
    size: u64,
    content_type: Option<String>,
    updated: Option<String>,
    generation: String,
}

/// An object that no URL can name.
#[derive(Serialize)]
struct Unservable {
    name: String,
    why: String,
}

/// What a request wants.
struct Wanted {
    limit: usize,
    /// Only names after this one.
    after: Option<String>,
    data_type: Option<DataType>,
}

/// What was found.
#[derive(Default)]
struct Found {
    taken: Vec<(ObjectName, Listed)>,
    unservable: Vec<Unservable>,
    next: Option<String>,
}

/// A page of objects.
pub(super) async fn list(client: &Client, connection: &Connection, query: Option<&str>) -> Result<Objects, Refusal> {
    let Found { taken, unservable, next } = find(client, connection, Wanted::read(query, OBJECTS)?).await?;
    let objects = taken.into_iter().map(|(_, listed)| Object {
        updated: updated(&listed),
        name: listed.name,
        size: listed.size,
        content_type: listed.content_type,
        generation: listed.generation.to_string(),
    });
    Ok(Objects { objects: objects.collect(), unservable, next: next.as_deref().map(cursor) })
}

/// A page of objects with their URLs and how each would be delivered.
pub(super) async fn preview(
    client: &Client,
    connection: &Connection,
    (cover, query): (&Cover, Option<&str>),
) -> Result<Previews, Refusal> {
    let Found { taken, unservable, next } = find(client, connection, Wanted::read(query, PREVIEWS)?).await?;
    let objects = taken.into_iter().filter_map(|(name, listed)| Preview::of(connection, cover, (&name, &listed)));
    Ok(Previews { objects: objects.collect(), unservable, next: next.as_deref().map(cursor) })
}

/// When an object was written, as GCS writes times.
pub(super) fn updated(listed: &Listed) -> Option<String> {
    listed.updated.filter(|time| *time >= SystemTime::UNIX_EPOCH).map(rfc3339)
}

impl Wanted {
    fn read(query: Option<&str>, (usual, most): (usize, usize)) -> Result<Self, Refusal> {
        let query = Query::parse(query, &PARAMETERS)?;
        let foreign = || Refusal::Query("cursor is none that a page of this listing gave".to_owned());
        let after = match query.one("cursor")? {
            None => None,
            Some(text) => {
                let name = BASE64.decode(text).ok().and_then(|name| String::from_utf8(name).ok());
                Some(name.filter(|name| name.len() <= 1024).ok_or_else(foreign)?)
            }
        };
        Ok(Self { limit: query.number("limit", usual, most)?, after, data_type: query.word("data_type")? })
    }
}

fn cursor(after: &str) -> String {
    BASE64.encode(after)
}

async fn find(client: &Client, connection: &Connection, wanted: Wanted) -> Result<Found, Error> {
    let config = &connection.config;
    let selection = Selection { connection: config, data_type: wanted.data_type, newer_than: None };
    let picky = config.filter.is_some() || wanted.data_type.is_some();
    // One more than is wanted, since a page that goes on begins with the name before.
    let page_size = if picky { 1000 } else { u16::try_from(wanted.limit + 1).unwrap_or(1000).clamp(2, 1000) };
    let mut request = ListRequest {
        depth: if config.recursive { Depth::All } else { Depth::OneLevel },
        detail: Detail::All,
        start: wanted.after.clone(),
        page_size: Some(page_size),
        project: connection.project().cloned(),
        ..ListRequest::new(config.uri.bucket.clone(), config.uri.path.clone())
    };
    let (mut found, mut reached) = (Found::default(), wanted.after);
    let (mut looks, mut empty) = (0, 0);
    loop {
        let page = client.list(&connection.credential, request.clone()).await?;
        let last_folder = page.prefixes.last().cloned();
        let nothing = page.items.is_empty() && last_folder.is_none();
        for listed in page.items {
            if reached.as_ref().is_some_and(|reached| listed.name <= *reached) {
                continue;
            }
            if found.taken.len() >= wanted.limit {
                found.next = reached;
                return Ok(found);
            }
            reached = Some(listed.name.clone());
            found.judge(&selection, listed);
        }
        let Some(token) = page.next else { return Ok(found) };
        // The folded names were passed, too.
        reached = reached.max(last_folder);
        (looks, empty) = if nothing { (looks, empty + 1) } else { (looks + 1, empty) };
        if looks >= LOOKS || found.taken.len() >= wanted.limit {
            found.next = reached;
            return Ok(found);
        }
        if empty >= EMPTY_LOOKS {
            return Err(Error::Protocol("too many pages with nothing on them".to_owned()));
        }
        request.page_token = Some(token);
    }
}

impl Found {
    fn judge(&mut self, selection: &Selection<'_>, listed: Listed) {
        match selection.judge(&listed) {
            Verdict::Take(name) => self.taken.push((name, listed)),
            Verdict::Unservable(why) if self.unservable.len() < TOLD => {
                self.unservable.push(Unservable { name: listed.name, why: why.to_string() });
            }
            Verdict::Leave | Verdict::Unservable(_) => {}
        }
    }
}
