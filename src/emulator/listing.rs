//! Listings: what is selected and how it is cut into pages.
//!
//! Pure: objects in, one page out. Items and prefixes both count against `maxResults`.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/list>.

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use regex::Regex;
use serde_json::json;

use super::condition::number;
use super::glob;
use super::mask::Mask;
use super::query::Query;
use super::refusal::Refusal;
use super::stored::Stored;

/// The most entries a page has.
const MAX_RESULTS: usize = 1000;

/// What a listing asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    prefix: String,
    delimiter: Option<String>,
    trailing: bool,
    start: Option<String>,
    end: Option<String>,
    glob: Option<Regex>,
    max: usize,
    after: Option<After>,
}

/// Where the last page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum After {
    /// At an object.
    Item(String),
    /// At a prefix: everything under it is done.
    Prefix(String),
    /// Before the page of this token, at the same place as it: an empty page was sent.
    Empty(Option<Box<After>>),
}

/// One page.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    items: Vec<Arc<Stored>>,
    prefixes: Vec<String>,
    next: Option<String>,
}

impl Wanted {
    /// Reads the parameters.
    pub(super) fn parse(query: &Query) -> Result<Self, Refusal> {
        let text = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let bad = |name: &str| Refusal::invalid(format!("Invalid argument: {name}"));
        let max = number("maxResults", query.get("maxResults"))?.unwrap_or(MAX_RESULTS as u64);
        let glob = text("matchGlob").map(|pattern| glob::compile(&pattern).ok_or_else(|| bad("matchGlob")));
        let after = text("pageToken").map(|token| After::parse(&token).ok_or_else(|| bad("pageToken")));
        Ok(Self {
            prefix: text("prefix").unwrap_or_default(),
            delimiter: text("delimiter"),
            trailing: query.is_true("includeTrailingDelimiter"),
            start: text("startOffset"),
            end: text("endOffset"),
            glob: glob.transpose()?,
            max: usize::try_from(max).unwrap_or(MAX_RESULTS).clamp(1, MAX_RESULTS),
            after: after.transpose()?,
        })
    }

    /// The least name that can be on the page.
    pub(super) fn from(&self) -> &str {
        let after = self.after.as_ref().map_or("", After::name);
        [self.prefix.as_str(), self.start.as_deref().unwrap_or_default(), after].into_iter().max().unwrap_or_default()
    }

    /// The page that is asked for, of objects sorted by name; they are taken only as far as needed.
    pub(super) fn page<'a>(&self, objects: impl Iterator<Item = &'a Arc<Stored>>, empty_first: bool) -> Page {
        let after = match &self.after {
            Some(After::Empty(inner)) => inner.as_deref(),
            after if empty_first => {
                let token = After::Empty(after.clone().map(Box::new)).token();
                return Page { next: Some(token), ..Page::default() };
            }
            after => after.as_ref(),
        };
        let mut page = Page::default();
        let mut last = None;
        let before_end = |name: &str| self.end.as_deref().is_none_or(|end| name < end);
        let within = |name: &str| before_end(name) && (name < self.prefix.as_str() || name.starts_with(&self.prefix));
        let objects = objects.take_while(|object| within(&object.name));
        for object in objects.filter(|object| self.selects(&object.name)) {
            let folded = self.folded(&object.name);
            let entry =
                folded.map_or_else(|| After::Item(object.name.clone()), |prefix| After::Prefix(prefix.to_owned()));
            let done = after.is_some_and(|after| after.covers(&object.name));
            let again = folded.is_some() && page.prefixes.last().map(String::as_str) == folded;
            if done || (again && !self.keeps(&object.name, folded)) {
                continue;
            }
            if page.items.len() + page.prefixes.len() >= self.max {
                page.next = last.map(|entry: After| entry.token());
                break;
            }
            if let Some(prefix) = folded.filter(|_| !again) {
                page.prefixes.push(prefix.to_owned());
            }
            if folded.is_none() || self.keeps(&object.name, folded) {
                page.items.push(Arc::clone(object));
            }
            last = Some(entry);
        }
        page
    }

    fn selects(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
            && self.start.as_deref().is_none_or(|start| name >= start)
            && self.end.as_deref().is_none_or(|end| name < end)
            && self.glob.as_ref().is_none_or(|glob| glob.is_match(name))
    }

    /// The prefix that a name is folded into, if it is.
    fn folded<'a>(&self, name: &'a str) -> Option<&'a str> {
        let delimiter = self.delimiter.as_deref()?;
        let place = name[self.prefix.len()..].find(delimiter)?;
        Some(&name[..self.prefix.len() + place + delimiter.len()])
    }

    /// Whether an object that is itself a prefix is listed too.
    fn keeps(&self, name: &str, folded: Option<&str>) -> bool {
        self.trailing && folded == Some(name)
    }
}

impl After {
    fn token(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.text())
    }

    fn text(&self) -> String {
        match self {
            Self::Item(name) => format!("i{name}"),
            Self::Prefix(prefix) => format!("p{prefix}"),
            Self::Empty(inner) => format!("e{}", inner.as_ref().map(|inner| inner.text()).unwrap_or_default()),
        }
    }

    fn parse(token: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        Self::read(std::str::from_utf8(&bytes).ok()?)
    }

    fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_at_checked(1)?;
        match kind {
            "i" => Some(Self::Item(rest.to_owned())),
            "p" => Some(Self::Prefix(rest.to_owned())),
            "e" if rest.is_empty() => Some(Self::Empty(None)),
            "e" if !rest.starts_with('e') => Some(Self::Empty(Some(Box::new(Self::read(rest)?)))),
            _ => None,
        }
    }

    /// The name or prefix that the last page ended with.
    fn name(&self) -> &str {
        match self {
            Self::Item(name) | Self::Prefix(name) => name,
            Self::Empty(inner) => inner.as_ref().map_or("", |inner| inner.name()),
        }
    }

    /// Whether a name was on an earlier page.
    fn covers(&self, name: &str) -> bool {
        match self {
            Self::Item(last) => name <= last.as_str(),
            Self::Prefix(prefix) => name <= prefix.as_str() || name.starts_with(prefix.as_str()),
            Self::Empty(inner) => inner.as_ref().is_some_and(|inner| inner.covers(name)),
        }
    }
}

impl Page {
    /// The page's JSON resource, as far as the mask keeps it; empty lists are absent. Written straight out: pages are
    /// what listings are measured by.
    pub(super) fn json(&self, bucket: &str, mask: &Mask) -> String {
        let mut fields = Vec::new();
        if mask.below("kind").is_some() {
            fields.push("\"kind\":\"storage#objects\"".to_owned());
        }
        if let (Some(token), Some(_)) = (&self.next, mask.below("nextPageToken")) {
            fields.push(format!("\"nextPageToken\":{}", json!(token)));
        }
        if !self.prefixes.is_empty() && mask.below("prefixes").is_some() {
            fields.push(format!("\"prefixes\":{}", json!(self.prefixes)));
        }
        if let (false, Some(mask)) = (self.items.is_empty(), mask.below("items")) {
            let mut items = String::with_capacity(self.items.len() * 512);
            for object in &self.items {
                items.push(if items.is_empty() { '[' } else { ',' });
                object.write(bucket, mask, &mut items);
            }
            fields.push(format!("\"items\":{items}]"));
        }
        format!("{{{}}}", fields.join(","))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::stored::Object;
    use super::*;

    fn objects(names: &[&str]) -> Vec<Arc<Stored>> {
        let stored =
            |name: &&str| Arc::new(Stored::new((*name).to_owned(), Object::bytes(""), 1, SystemTime::UNIX_EPOCH));
        names.iter().map(stored).collect()
    }

    /// All pages of a listing: items and prefixes in their order, `|` between pages.
    fn listed(query: &str, names: &[&str], empty_pages: bool) -> String {
        let objects = objects(names);
        let mut wanted = Wanted::parse(&Query::form(query).expect("a query")).expect("legal");
        let mut pages = Vec::new();
        loop {
            let from = wanted.from().to_owned();
            let page = wanted.page(objects.iter().filter(|object| object.name >= from), empty_pages);
            let items = page.items.iter().map(|object| object.name.clone());
            pages.push(
                items.chain(page.prefixes.iter().map(|prefix| format!("{prefix}*"))).collect::<Vec<_>>().join(" "),
            );
            let Some(token) = page.next else { return pages.join("|") };
            wanted.after = After::parse(&token);
            assert!(wanted.after.is_some() && pages.len() < 50);
        }
    }

    #[test]
    fn listings_are_selected_folded_and_cut() {
        let names = ["a", "b/1", "b/2", "b/c/3", "d", "d/", "d/x", "e"];
        for (query, expected) in [
            ("", "a b/1 b/2 b/c/3 d d/ d/x e"),
            ("prefix=b/", "b/1 b/2 b/c/3"),
            ("delimiter=/", "a d e b/* d/*"),
            ("delimiter=/&prefix=b/", "b/1 b/2 b/c/*"),
            ("delimiter=/&includeTrailingDelimiter=true", "a d d/ e b/* d/*"),
            ("maxResults=3", "a b/1 b/2|b/c/3 d d/|d/x e"),
            ("delimiter=/&maxResults=2", "a b/*|d d/*|e"),
            ("delimiter=/&maxResults=1", "a|b/*|d|d/*|e"),
            ("startOffset=b/2&endOffset=d/", "b/2 b/c/3 d"),
            ("matchGlob=b/*", "b/1 b/2"),
            ("matchGlob=b/**", "b/1 b/2 b/c/3"),
            ("prefix=zz", ""),
            ("maxResults=8", "a b/1 b/2 b/c/3 d d/ d/x e"),
        ] {
            assert_eq!(listed(query, &names, false), expected, "{query}");
        }
        assert_eq!(listed("maxResults=4", &names, true), "|a b/1 b/2 b/c/3||d d/ d/x e");
        for bad in ["pageToken=!", "pageToken=enp6", "maxResults=x", "matchGlob=["] {
            assert!(Wanted::parse(&Query::form(bad).expect("a query")).is_err(), "{bad}");
        }
    }
}
