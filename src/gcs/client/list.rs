//! Listing a bucket, page by page.
//!
//! Decides what is asked of a listing and what of its answer is believed. Names are given as GCS has them: whether one can
//! be served is not decided here. A page may be empty and still have a successor.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/list>.

use std::time::SystemTime;

use serde::Deserialize;

use super::answer::{crc32c, md5, numeral};
use crate::gcs::Error;
use crate::gcs::wire::{Escaped, RequestLine};
use crate::object::{BucketName, Crc32c, Generation, Metageneration, ObjectPrefix, ProjectId};

/// The keys asked for: the others would double the answer.
const ALL: &str = "fields=items(name,size,generation,metageneration,contentType,contentEncoding,updated,md5Hash,crc32c),\
                   prefixes,nextPageToken";
/// The same without what takes long to send and read.
const BRIEF: &str = "fields=items(name,size,generation,metageneration,contentType,updated),nextPageToken";
/// A page of 1000 names of 1024 bytes, each escaped, with long types.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;

/// What to list.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// What the names begin with.
    pub prefix: ObjectPrefix,
    /// Whether names below a further `/` are listed or folded.
    pub depth: Depth,
    /// How much is told.
    pub detail: Detail,
    /// The least name; `None` for all from the first on.
    pub start: Option<String>,
    /// The least name that is too great; `None` for all to the last.
    pub end: Option<String>,
    /// Entries on the page; `None` for GCS's own limit, 1000.
    pub page_size: Option<u16>,
    /// Where the page before ended.
    pub page_token: Option<String>,
    /// The project that pays.
    pub project: Option<ProjectId>,
}

/// How deep a listing goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Everything under the prefix.
    #[default]
    All,
    /// Objects directly under the prefix; what lies deeper is folded into prefixes.
    OneLevel,
}

/// How much a listing tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Everything that [`ListPage`] and [`Listed`] have.
    #[default]
    All,
    /// No checksums, no encoding and no folded prefixes; for millions of objects.
    Brief,
}

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The objects, in the order of their names' bytes.
    pub items: Vec<Listed>,
    /// The folded names, with the `/` at their end.
    pub prefixes: Vec<String>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}

/// An object as a listing tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name as it is, which may be one that cannot be served.
    pub name: String,
    /// Stored size in bytes.
    pub size: u64,
    /// Version of the content.
    pub generation: Generation,
    /// Version of the metadata.
    pub metageneration: Metageneration,
    /// `Content-Type`, if one is stored.
    pub content_type: Option<String>,
    /// `Content-Encoding`, if one is stored.
    pub content_encoding: Option<String>,
    /// When this version was written.
    pub updated: Option<SystemTime>,
    /// CRC32C of the stored bytes.
    pub crc32c: Option<u32>,
    /// MD5 of the stored bytes; composite objects have none.
    pub md5: Option<[u8; 16]>,
}

impl ListRequest {
    /// The first page of everything under a prefix.
    pub fn new(bucket: BucketName, prefix: ObjectPrefix) -> Self {
        let (start, end, page_size, page_token) = (None, None, None, None);
        Self {
            bucket,
            prefix,
            depth: Depth::All,
            detail: Detail::All,
            start,
            end,
            page_size,
            page_token,
            project: None,
        }
    }

    /// Adds the query, percent-encoded.
    pub(super) fn query(&self, line: RequestLine) -> RequestLine {
        let line = line.with(match self.detail {
            Detail::All => ALL,
            Detail::Brief => BRIEF,
        });
        let prefix = Some(self.prefix.as_str()).filter(|prefix| !prefix.is_empty());
        let delimiter = (self.depth == Depth::OneLevel).then_some("/");
        let texts = [
            ("&prefix=", prefix),
            ("&delimiter=", delimiter),
            ("&startOffset=", self.start.as_deref()),
            ("&endOffset=", self.end.as_deref()),
            ("&pageToken=", self.page_token.as_deref()),
        ];
        let add = |line: RequestLine, (name, value): (&'static str, Option<&str>)| match value {
            Some(value) => line.with(name).with(Escaped(value)),
            None => line,
        };
        let line = texts.into_iter().fold(line, add);
        match self.page_size {
            Some(size) => line.with("&maxResults=").with(u64::from(size)),
            None => line,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    #[serde(default)]
    items: Vec<Item>,
    #[serde(default)]
    prefixes: Vec<String>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    name: String,
    size: String,
    generation: String,
    metageneration: String,
    content_type: Option<String>,
    content_encoding: Option<String>,
    updated: Option<String>,
    crc32c: Option<String>,
    md5_hash: Option<String>,
}

/// Reads a page.
pub(super) fn read(json: &[u8]) -> Result<ListPage, Error> {
    let resource: Resource = serde_json::from_slice(json).map_err(|error| {
        // A page that stops in the middle is one that broke: it can be had again.
        if error.is_eof() {
            Error::Broken(error.into())
        } else {
            Error::Protocol(format!("unreadable listing: {error}"))
        }
    })?;
    let items = resource.items.into_iter().map(Item::listed).collect::<Result<_, _>>()?;
    let next = resource.next_page_token.filter(|token| !token.is_empty());
    Ok(ListPage { items, prefixes: resource.prefixes, next })
}

impl Item {
    fn listed(self) -> Result<Listed, Error> {
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        if self.name.is_empty() {
            return Err(Error::Protocol("an object without a name".to_owned()));
        }
        Ok(Listed {
            size: numeral(&self.size, "size")?,
            generation: Generation(numeral(&self.generation, "generation")?),
            metageneration: Metageneration(numeral(&self.metageneration, "metageneration")?),
            content_type: present(self.content_type),
            content_encoding: present(self.content_encoding),
            updated: self.updated.as_deref().and_then(time),
            crc32c: self.crc32c.as_deref().map(crc32c).transpose()?.map(Crc32c::value),
            md5: self.md5_hash.as_deref().map(md5).transpose()?,
            name: self.name,
        })
    }
}

/// An RFC 3339 time, fraction included.
fn time(text: &str) -> Option<SystemTime> {
    text.is_ascii().then(|| humantime::parse_rfc3339(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ListRequest {
        let bucket = BucketName::new("my-bucket").expect("a legal bucket");
        ListRequest::new(bucket, ObjectPrefix::new("a&b/").expect("a legal prefix"))
    }

    fn query(request: ListRequest) -> String {
        let line = request.query(RequestLine::new(http::Method::GET));
        String::from_utf8(line.target().to_vec()).expect("plain text")
    }

    #[test]
    fn every_part_of_a_query_is_encoded() {
        let all = query(request());
        assert!(all.starts_with("fields=items(name,size,") && all.ends_with("&prefix=a%26b%2F"), "{all}");
        let brief = query(ListRequest { detail: Detail::Brief, ..request() });
        assert!(brief.starts_with("fields=items(name,size,") && !brief.contains("md5"), "{brief}");
        let full = ListRequest {
            depth: Depth::OneLevel,
            start: Some("ü #".to_owned()),
            end: Some("\u{10ffff}".to_owned()),
            page_size: Some(7),
            page_token: Some("a+/=".to_owned()),
            ..request()
        };
        let expected =
            "&delimiter=%2F&startOffset=%C3%BC%20%23&endOffset=%F4%8F%BF%BF&pageToken=a%2B%2F%3D&maxResults=7";
        let full = query(full);
        assert!(full.ends_with(expected), "{full}");
    }

    #[test]
    fn a_page_is_read_and_may_be_empty() {
        let page = read(
            br#"{"items":[{"name":"a\n\u00fc","size":"5","generation":"7","metageneration":"1","contentType":"",
                "updated":"2026-01-02T03:04:05.678Z","crc32c":"AAAAAQ==","surprise":{}}],"prefixes":["p/"],
                "nextPageToken":"t","kind":"storage#objects"}"#,
        )
        .expect("a good page");
        let item = &page.items[0];
        assert_eq!((item.name.as_str(), item.size, item.generation), ("a\n\u{fc}", 5, Generation(7)));
        assert_eq!((item.content_type.as_ref(), item.crc32c, item.md5), (None, Some(1), None));
        let since = item.updated.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        assert_eq!(since.map(|since| since.as_millis()), Some(1_767_323_045_678));
        assert_eq!((page.prefixes.as_slice(), page.next.as_deref()), (&["p/".to_owned()][..], Some("t")));
        assert_eq!(read(b"{}").expect("an empty page"), ListPage::default());
        assert_eq!(read(br#"{"nextPageToken":"t"}"#).expect("an empty page").next.as_deref(), Some("t"));
    }

    #[test]
    fn nonsense_is_not_believed() {
        for bad in [
            &b"[]"[..],
            br#"{"items":{}}"#,
            br#"{"items":[{"name":"a"}]}"#,
            br#"{"items":[{"name":"","size":"1","generation":"1","metageneration":"1"}]}"#,
            br#"{"items":[{"name":"a","size":1,"generation":"1","metageneration":"1"}]}"#,
            br#"{"items":[{"name":"a","size":"-1","generation":"1","metageneration":"1"}]}"#,
            br#"{"items":[{"name":"a","size":"1","generation":"1","metageneration":"1","md5Hash":"AA=="}]}"#,
        ] {
            assert!(matches!(read(bad), Err(Error::Protocol(_))), "{}", String::from_utf8_lossy(bad));
        }
        assert!(matches!(read(br#"{"items":["#), Err(Error::Broken(_))));
    }
}
