//! One range of the name space while it is listed.
//!
//! Pure: decides what to ask for next and what a page says about the rest of the range.

use std::collections::VecDeque;

use super::Place;
use super::split::{Alphabet, cuts};
use crate::gcs::{Detail, ListPage, ListRequest, Listed};

/// Pages of one part that may wait.
const PAGES: usize = 2;

/// How far a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is a page to ask for.
    Open,
    /// A page was asked for.
    UnderWay,
    /// All pages are here.
    Done,
}

/// The names from `start` on and before `end`.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) id: u64,
    pub(super) start: Option<String>,
    pub(super) end: Option<String>,
    /// Names up to this one are not wanted: it was the last of an earlier page.
    pub(super) after: Option<String>,
    pub(super) token: Option<String>,
    pub(super) pages: VecDeque<Vec<Listed>>,
    pub(super) state: State,
}

impl Part {
    pub(super) fn new(id: u64) -> Self {
        Self { id, start: None, end: None, after: None, token: None, pages: VecDeque::new(), state: State::Open }
    }

    /// Whether a page should be asked for now.
    pub(super) fn wants_a_page(&self) -> bool {
        self.state == State::Open && self.pages.len() < PAGES
    }

    /// What to ask for.
    pub(super) fn request(&self, place: &Place) -> ListRequest {
        ListRequest {
            depth: place.depth,
            detail: Detail::Brief,
            start: self.start.clone(),
            end: self.end.clone(),
            page_token: self.token.clone(),
            page_size: place.page_size,
            project: place.project.clone(),
            ..ListRequest::new(place.bucket.clone(), place.prefix.clone())
        }
    }

    /// Whether a page can be an answer to the request: a wrong order would lose names or double them.
    pub(super) fn holds(&self, page: &ListPage) -> bool {
        let names = || page.items.iter().map(|object| object.name.as_str());
        let least = self.pages.back().and_then(|page| page.last()).map(|object| object.name.as_str());
        names().is_sorted_by(|a, b| a < b)
            && names().next().is_none_or(|name| self.start.as_deref().is_none_or(|start| name >= start))
            && names().next().is_none_or(|name| least.is_none_or(|least| name > least))
            && names().next_back().is_none_or(|name| self.end.as_deref().is_none_or(|end| name < end))
    }

    /// Takes a page in; gives the parts that the rest of this one becomes, if it is worth cutting.
    pub(super) fn land(&mut self, page: ListPage, alphabet: &Alphabet) -> Vec<Self> {
        let ListPage { mut items, next, .. } = page;
        let count = items.len();
        if let Some(after) = &self.after {
            items.retain(|object| object.name > *after);
        }
        let cuts = match (&next, items.first(), items.last()) {
            (Some(_), Some(first), Some(last)) => cuts(&first.name, &last.name, count, self.end.as_deref(), alphabet),
            _ => Vec::new(),
        };
        let last = items.last().map(|object| object.name.clone());
        self.pages.push_back(items);
        self.state = if next.is_some() && cuts.is_empty() { State::Open } else { State::Done };
        self.token = next;
        if cuts.is_empty() { Vec::new() } else { rest(last, cuts, self.end.clone()) }
    }
}

/// The parts after `last`, at the cuts.
fn rest(last: Option<String>, cuts: Vec<String>, end: Option<String>) -> Vec<Part> {
    let mut starts = vec![last.clone()];
    starts.extend(cuts.into_iter().map(Some));
    let ends: Vec<Option<String>> = starts.iter().skip(1).cloned().chain([end]).collect();
    let mut parts: Vec<Part> =
        starts.into_iter().zip(ends).map(|(start, end)| Part { start, end, ..Part::new(0) }).collect();
    if let Some(first) = parts.first_mut() {
        first.after = last;
    }
    parts
}

/// The same range in one part.
pub(super) fn whole(mut parts: Vec<Part>) -> Vec<Part> {
    let end = parts.last().and_then(|part| part.end.clone());
    parts.truncate(1);
    if let Some(part) = parts.first_mut() {
        part.end = end;
    }
    parts
}
