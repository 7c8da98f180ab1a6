//! Preconditions: whether a request goes on, is answered by 304, or fails with 412, and whether its range still counts.
//!
//! Follows RFC 9110 section 13.2.2's order (<https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2>).
//! GCS documents no If-Range, so everything is decided here, against the gateway's own tags.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};

use super::etag::Validator;

/// The preconditions of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<TagList>,
    if_none_match: Option<TagList>,
    if_modified_since: Option<SystemTime>,
    if_unmodified_since: Option<SystemTime>,
    if_range: Option<IfRange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TagList {
    Any,
    Tags(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum IfRange {
    Tag(String),
    Date(SystemTime),
    Unreadable,
}

/// What the preconditions make of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Go on.
    Proceed,
    /// 304
    NotModified,
    /// 412
    Failed,
}

/// What `If-Range` makes of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeValidity {
    /// The range counts.
    Current,
    /// The representation is another one: send the whole.
    Outdated,
}

impl Conditions {
    /// Reads the headers. A malformed date counts as absent, as RFC 9110 has it; a malformed `If-Range` never matches.
    pub fn parse(headers: &HeaderMap) -> Self {
        Self {
            if_match: tags(headers, &IF_MATCH),
            if_none_match: tags(headers, &IF_NONE_MATCH),
            if_modified_since: date(headers, &IF_MODIFIED_SINCE),
            if_unmodified_since: date(headers, &IF_UNMODIFIED_SINCE),
            if_range: if_range(headers),
        }
    }

    /// Whether there are none, so that nothing needs to be known about the object beforehand.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Decides, against the representation that would be sent.
    pub fn evaluate(&self, current: &Validator) -> Outcome {
        let modified_after = |date: SystemTime| current.last_modified().is_none_or(|modified| modified > date);
        let failed = match &self.if_match {
            Some(list) => !list.matches_strongly(current.tag()),
            None => self.if_unmodified_since.is_some_and(modified_after),
        };
        if failed {
            return Outcome::Failed;
        }
        let unmodified = match &self.if_none_match {
            Some(list) => list.matches_weakly(current.tag()),
            None => self.if_modified_since.is_some_and(|date| !modified_after(date)),
        };
        if unmodified { Outcome::NotModified } else { Outcome::Proceed }
    }

    /// Whether a range may be served, against the representation that would be sent.
    pub fn range_validity(&self, current: &Validator) -> RangeValidity {
        let is_current = match &self.if_range {
            None => true,
            Some(IfRange::Tag(tag)) => tag == current.tag(),
            Some(IfRange::Date(date)) => current.last_modified() == Some(*date),
            Some(IfRange::Unreadable) => false,
        };
        if is_current { RangeValidity::Current } else { RangeValidity::Outdated }
    }
}

impl TagList {
    fn matches_strongly(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|candidate| candidate == tag),
        }
    }

    fn matches_weakly(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|candidate| candidate.strip_prefix("W/").unwrap_or(candidate) == tag),
        }
    }
}

/// The tags of all lines of a header; what is not a tag matches nothing.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<TagList> {
    let mut found = None;
    for value in headers.get_all(name) {
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Some(TagList::Any);
        }
        found.get_or_insert_with(Vec::new).extend(split_tags(text));
    }
    found.map(TagList::Tags)
}

/// Tags may contain commas inside their quotes, so splitting at commas is not enough.
fn split_tags(mut text: &str) -> Vec<String> {
    let mut tags = Vec::new();
    while let Some(open) = text.find('"') {
        let weak = if text[..open].ends_with("W/") { "W/" } else { "" };
        let Some(length) = text[open + 1..].find('"') else { break };
        tags.push(format!("{weak}{}", &text[open..=open + 1 + length]));
        text = &text[open + length + 2..];
    }
    tags
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

fn if_range(headers: &HeaderMap) -> Option<IfRange> {
    let text = headers.get(IF_RANGE)?.to_str().unwrap_or_default().trim();
    if text.starts_with('"') {
        return Some(IfRange::Tag(text.to_owned()));
    }
    // A weak tag is no date either, and so never matches, as section 13.1.5 demands.
    Some(httpdate::parse_http_date(text).map_or(IfRange::Unreadable, IfRange::Date))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::super::etag::Encoding;
    use super::*;
    use crate::object::{Generation, Metadata, Metageneration, Moment, Texts, Told};

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn current() -> Validator {
        let modified = httpdate::parse_http_date(DATE).expect("legal") + Duration::from_millis(500);
        let metadata = Metadata {
            generation: Generation(7),
            metageneration: Metageneration(2),
            size: 1,
            texts: Texts::new(Told::default()),
            last_modified: Moment::of(modified),
            crc32c: None,
            md5: None,
        };
        Validator::new(&metadata, Encoding::Identity)
    }

    fn conditions(headers: &[(HeaderName, &'static str)]) -> Conditions {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        Conditions::parse(&map)
    }

    #[test]
    fn preconditions_follow_rfc_9110() {
        use Outcome::{Failed, NotModified, Proceed};
        for (headers, expected) in [
            (&[][..], Proceed),
            (&[(IF_NONE_MATCH, "\"7-2\"")], NotModified),
            (&[(IF_NONE_MATCH, "W/\"7-2\"")], NotModified),
            (&[(IF_NONE_MATCH, "\"a,b\", \"7-2\"")], NotModified),
            (&[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "\"7-2\"")], NotModified),
            (&[(IF_NONE_MATCH, "*")], NotModified),
            (&[(IF_NONE_MATCH, "\"7-2-gz\"")], Proceed),
            (&[(IF_NONE_MATCH, "7-2")], Proceed),
            (&[(IF_NONE_MATCH, "\"7-1\""), (IF_MODIFIED_SINCE, AFTER)], Proceed),
            (&[(IF_MODIFIED_SINCE, DATE)], NotModified),
            (&[(IF_MODIFIED_SINCE, AFTER)], NotModified),
            (&[(IF_MODIFIED_SINCE, BEFORE)], Proceed),
            (&[(IF_MODIFIED_SINCE, "yesterday")], Proceed),
            (&[(IF_MATCH, "\"7-2\"")], Proceed),
            (&[(IF_MATCH, "*")], Proceed),
            (&[(IF_MATCH, "W/\"7-2\"")], Failed),
            (&[(IF_MATCH, "\"7-1\"")], Failed),
            (&[(IF_MATCH, "\"7-1\""), (IF_NONE_MATCH, "\"7-2\"")], Failed),
            (&[(IF_MATCH, "\"7-2\""), (IF_UNMODIFIED_SINCE, BEFORE)], Proceed),
            (&[(IF_MATCH, "\"7-2\""), (IF_NONE_MATCH, "\"7-2\"")], NotModified),
            (&[(IF_UNMODIFIED_SINCE, DATE)], Proceed),
            (&[(IF_UNMODIFIED_SINCE, BEFORE)], Failed),
        ] {
            assert_eq!(conditions(headers).evaluate(&current()), expected, "{headers:?}");
        }
    }

    #[test]
    fn if_range_wants_exactly_this_representation() {
        for (value, expected) in [
            ("\"7-2\"", RangeValidity::Current),
            ("\"7-1\"", RangeValidity::Outdated),
            ("\"7-2-gz\"", RangeValidity::Outdated),
            ("W/\"7-2\"", RangeValidity::Outdated),
            (DATE, RangeValidity::Current),
            (AFTER, RangeValidity::Outdated),
            (BEFORE, RangeValidity::Outdated),
            ("garbage", RangeValidity::Outdated),
        ] {
            assert_eq!(conditions(&[(IF_RANGE, value)]).range_validity(&current()), expected, "{value}");
        }
        assert_eq!(Conditions::default().range_validity(&current()), RangeValidity::Current);
    }
}
