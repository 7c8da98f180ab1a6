//! Listings, confined to the connections: what lies outside of every prefix or filter is not there.
//!
//! A listing of a whole bucket is one of each connection in turn, so that nothing else is asked of Cloud Storage. The
//! token of a page says which connection is next, and where in it; whatever a client puts into it, each page is asked for
//! under a connection's prefix. Every page asks Cloud Storage once at most, and may be empty and have a successor.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/list>.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::places::{Fold, Piece, Place, Places};
use super::query::Query;
use super::refusal::Refusal;
use super::resource;
use crate::gcs::{Client, Depth, ListPage, ListRequest, Listed};
use crate::object::{BucketName, ObjectPrefix};

/// Cloud Storage's own limit for a page.
const PAGE: u64 = 1000;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Listing {
    prefix: String,
    fold: Fold,
    size: u16,
    start: Option<String>,
    end: Option<String>,
    cursor: Cursor,
}

/// Where a page begins: in which piece, and at which token of Cloud Storage's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cursor {
    piece: usize,
    token: Option<String>,
}

impl Listing {
    /// Reads the parameters.
    pub(super) fn parse(query: &Query) -> Result<Self, Refusal> {
        query.only(&["prefix", "delimiter", "maxResults", "pageToken", "startOffset", "endOffset", "alt"])?;
        let fold = match query.get("delimiter") {
            None => Fold::None,
            Some("/") => Fold::Slash,
            Some(_) => return Err(Refusal::Invalid("Only the delimiter / is supported here.".to_owned())),
        };
        let size = match query.number("maxResults")? {
            Some(0) => return Err(Refusal::Invalid("maxResults is at least 1.".to_owned())),
            size => size.unwrap_or(PAGE).min(PAGE),
        };
        let cursor = query.get("pageToken").map_or(Some(Cursor::default()), Cursor::read);
        let text = |name: &str| query.get(name).map(str::to_owned);
        Ok(Self {
            prefix: text("prefix").unwrap_or_default(),
            fold,
            size: u16::try_from(size).unwrap_or(u16::MAX),
            start: text("startOffset"),
            end: text("endOffset"),
            cursor: cursor.ok_or_else(|| Refusal::Invalid("Invalid page token.".to_owned()))?,
        })
    }

    /// One page.
    pub(super) async fn page(self, client: &Client, places: &Places, bucket: &BucketName) -> Result<Value, Refusal> {
        let pieces = places.pieces(bucket, &self.prefix, self.fold);
        let (mut items, mut folded) = (Vec::new(), BTreeSet::new());
        let mut next = None;
        let mut cursor = self.cursor.clone();
        for (at, piece) in pieces.iter().enumerate().skip(self.cursor.piece) {
            match piece {
                Piece::Folded(name) => {
                    folded.insert(name.clone());
                    cursor = Cursor { piece: at + 1, token: None };
                    if folded.len() >= usize::from(self.size) {
                        next = (at + 1 < pieces.len()).then_some(cursor.clone());
                        break;
                    }
                }
                Piece::Listed { prefix, place } => {
                    let token = cursor.token.take();
                    let page = self.ask(client, (place, prefix), token).await?;
                    let page = Shown::of(page, places, bucket);
                    next = match page.next {
                        Some(token) => Some(Cursor { piece: at, token: Some(token) }),
                        None => (at + 1 < pieces.len()).then_some(Cursor { piece: at + 1, token: None }),
                    };
                    items = page.items;
                    folded.extend(page.folded);
                    break;
                }
            }
        }
        Ok(document(bucket, items, folded, next))
    }

    async fn ask(
        &self,
        client: &Client,
        (place, prefix): (&Place, &str),
        token: Option<String>,
    ) -> Result<ListPage, Refusal> {
        // A prefix that no name can have has nothing under it.
        let Ok(prefix) = ObjectPrefix::new(prefix) else { return Ok(ListPage::default()) };
        let connection = &place.api;
        let request = ListRequest {
            depth: if self.fold == Fold::Slash { Depth::OneLevel } else { Depth::All },
            start: self.start.clone(),
            end: self.end.clone(),
            page_size: Some(self.size),
            page_token: token,
            project: connection.project().cloned(),
            ..ListRequest::new(connection.config.uri.bucket.clone(), prefix)
        };
        Ok(client.list(&connection.credential, request).await?)
    }
}

/// What of a page may be seen.
struct Shown {
    items: Vec<Listed>,
    folded: Vec<String>,
    next: Option<String>,
}

impl Shown {
    fn of(page: ListPage, places: &Places, bucket: &BucketName) -> Self {
        let ListPage { mut items, prefixes: mut folded, next } = page;
        items.retain(|item| places.shows(bucket, &item.name));
        folded.retain(|name| places.shows_folded(bucket, name));
        Self { items, folded, next }
    }
}

fn document(bucket: &BucketName, items: Vec<Listed>, folded: BTreeSet<String>, next: Option<Cursor>) -> Value {
    let mut document = json!({ "kind": "storage#objects" });
    if !items.is_empty() {
        document["items"] = items.into_iter().map(|item| resource::listed(bucket, item)).collect();
    }
    if !folded.is_empty() {
        document["prefixes"] = folded.into_iter().collect();
    }
    if let Some(cursor) = next {
        document["nextPageToken"] = cursor.write().into();
    }
    document
}

impl Cursor {
    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", self.piece, self.token.as_deref().unwrap_or_default()))
    }

    fn read(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (piece, token) = text.split_once(':')?;
        Some(Self { piece: piece.parse().ok()?, token: Some(token.to_owned()).filter(|token| !token.is_empty()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_token_and_nonsense_is_none() {
        for cursor in [Cursor::default(), Cursor { piece: 3, token: Some("a:b=".to_owned()) }] {
            assert_eq!(Cursor::read(&cursor.write()), Some(cursor));
        }
        for bad in ["", "x", "%", &URL_SAFE_NO_PAD.encode("x:y"), &URL_SAFE_NO_PAD.encode("7")] {
            assert_eq!(Cursor::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn parameters_are_understood_or_refused() {
        let parse = |query: &str| Query::parse(query).and_then(|query| Listing::parse(&query));
        let listing =
            parse("prefix=a%2F&delimiter=%2F&maxResults=5000&projection=noAcl&prettyPrint=false").expect("good");
        assert_eq!((listing.prefix.as_str(), listing.fold, listing.size), ("a/", Fold::Slash, 1000));
        for bad in ["delimiter=x", "maxResults=0", "maxResults=x", "pageToken=%20", "versions=true", "matchGlob=**"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
