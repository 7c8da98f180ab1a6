//! Preconditions: generations, metagenerations, entity tags and dates.
//!
//! Decides between serving, 304 and 412; a condition that asks for a match fails with 412, one that asks for a change
//! with 304 on reads.
//! Follows <https://cloud.google.com/storage/docs/request-preconditions>.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};

use super::query::Query;
use super::refusal::Refusal;
use super::stored::Stored;

/// How a read goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Serve.
    Serve,
    /// 304.
    NotModified,
}

/// The JSON API's conditions: query parameters and entity tags.
pub(super) fn json(query: &Query, headers: &HeaderMap, object: &Stored) -> Result<Verdict, Refusal> {
    let asked = |name: &str| number(name, query.get(name));
    let conditions = [
        (asked("ifGenerationMatch")?, asked("ifGenerationNotMatch")?, object.generation),
        (asked("ifMetagenerationMatch")?, asked("ifMetagenerationNotMatch")?, object.metageneration),
    ];
    numbers(&conditions)?;
    let tags = etags(headers, &object.etag())?;
    let same = conditions.iter().any(|(_, other, actual)| *other == Some(*actual));
    Ok(if same || tags == Verdict::NotModified { Verdict::NotModified } else { Verdict::Serve })
}

/// The XML API's conditions: headers only.
pub(super) fn xml(headers: &HeaderMap, object: &Stored) -> Result<Verdict, Refusal> {
    let asked = |name: &str| number(name, headers.get(name).and_then(|value| value.to_str().ok()));
    numbers(&[
        (asked("x-goog-if-generation-match")?, None, object.generation),
        (asked("x-goog-if-metageneration-match")?, None, object.metageneration),
    ])?;
    let verdict = etags(headers, &object.xml_etag())?;
    let date = |name: http::HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).and_then(|text| httpdate::parse_http_date(text).ok())
    };
    let updated = whole_seconds(object.updated);
    if !headers.contains_key(IF_MATCH) && date(IF_UNMODIFIED_SINCE).is_some_and(|limit| updated > limit) {
        return Err(Refusal::precondition());
    }
    if !headers.contains_key(IF_NONE_MATCH) && date(IF_MODIFIED_SINCE).is_some_and(|since| updated <= since) {
        return Ok(Verdict::NotModified);
    }
    Ok(verdict)
}

fn numbers(conditions: &[(Option<u64>, Option<u64>, u64)]) -> Result<(), Refusal> {
    let failed = conditions.iter().any(|(wanted, _, actual)| wanted.is_some_and(|wanted| wanted != *actual));
    if failed { Err(Refusal::precondition()) } else { Ok(()) }
}

fn etags(headers: &HeaderMap, etag: &str) -> Result<Verdict, Refusal> {
    if let Some(listed) = headers.get(IF_MATCH)
        && !lists(listed, etag)
    {
        return Err(Refusal::precondition());
    }
    let same = headers.get(IF_NONE_MATCH).is_some_and(|listed| lists(listed, etag));
    Ok(if same { Verdict::NotModified } else { Verdict::Serve })
}

/// Whether a list of entity tags, quoted or not, has this one.
fn lists(header: &http::HeaderValue, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    let text = header.to_str().unwrap_or_default();
    text.trim() == "*" || text.split(',').any(|tag| bare(tag) == bare(etag))
}

/// An int64 parameter.
pub(super) fn number(name: &str, text: Option<&str>) -> Result<Option<u64>, Refusal> {
    let parse = |text: &str| text.parse().map_err(|_| Refusal::invalid(format!("Invalid value for {name}: {text}")));
    text.map(parse).transpose()
}

/// A time without its fraction, as HTTP dates have none.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::super::stored::Object;
    use super::*;

    fn object() -> Stored {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_500);
        Stored::new("a".to_owned(), Object::bytes("x").metageneration(2), 7, time)
    }

    #[test]
    fn json_conditions_tell_304_from_412() {
        let etag = object().etag();
        for (query, header, expected) in [
            ("ifGenerationMatch=7", None, Ok(Verdict::Serve)),
            ("ifGenerationMatch=8", None, Err(Refusal::precondition())),
            ("ifGenerationMatch=0", None, Err(Refusal::precondition())),
            ("ifGenerationNotMatch=7", None, Ok(Verdict::NotModified)),
            ("ifGenerationNotMatch=8", None, Ok(Verdict::Serve)),
            ("ifMetagenerationMatch=2", None, Ok(Verdict::Serve)),
            ("ifMetagenerationMatch=1", None, Err(Refusal::precondition())),
            ("ifMetagenerationNotMatch=2", None, Ok(Verdict::NotModified)),
            ("ifGenerationMatch=8&ifMetagenerationNotMatch=2", None, Err(Refusal::precondition())),
            ("", Some((IF_NONE_MATCH, etag.clone())), Ok(Verdict::NotModified)),
            ("", Some((IF_NONE_MATCH, format!("\"x\", \"{etag}\""))), Ok(Verdict::NotModified)),
            ("", Some((IF_NONE_MATCH, "x".to_owned())), Ok(Verdict::Serve)),
            ("", Some((IF_MATCH, etag.clone())), Ok(Verdict::Serve)),
            ("", Some((IF_MATCH, "x".to_owned())), Err(Refusal::precondition())),
        ] {
            let mut headers = HeaderMap::new();
            if let Some((name, value)) = header {
                headers.insert(name, value.parse().expect("a header value"));
            }
            let parsed = Query::form(query).expect("a query");
            assert_eq!(json(&parsed, &headers, &object()), expected, "{query} {headers:?}");
        }
        assert!(json(&Query::form("ifGenerationMatch=x").expect("a query"), &HeaderMap::new(), &object()).is_err());
    }

    #[test]
    fn xml_conditions_know_dates() {
        let at = |seconds| httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (name, value, expected) in [
            (IF_MODIFIED_SINCE, at(1000), Ok(Verdict::NotModified)),
            (IF_MODIFIED_SINCE, at(999), Ok(Verdict::Serve)),
            (IF_UNMODIFIED_SINCE, at(1000), Ok(Verdict::Serve)),
            (IF_UNMODIFIED_SINCE, at(999), Err(Refusal::precondition())),
        ] {
            let headers = HeaderMap::from_iter([(name, value.parse().expect("a header value"))]);
            assert_eq!(xml(&headers, &object()), expected, "{headers:?}");
        }
    }
}
