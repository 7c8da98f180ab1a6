//! What a media request asks for: method, range, conditions, encodings. Pure.
//!
//! Reads only what changes the answer; nothing of the client's request travels upstream.
//! Follows RFC 9110 sections 12.5.3, 13 and 14 (<https://www.rfc-editor.org/rfc/rfc9110>) and the Fetch standard's metadata headers.

mod conditions;
mod etag;
mod range;

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue, Method, Version};

pub use self::conditions::{Conditions, Outcome, RangeValidity};
pub use self::etag::{Encoding, Validator};
use super::decide::RequestMode;
use crate::object::ByteRange;

/// A media request, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// GET or HEAD.
    pub method: FetchMethod,
    /// The one range asked for; `None` also for several ranges, other units and nonsense, as RFC 9110 allows.
    pub range: Option<ByteRange>,
    /// The preconditions.
    pub conditions: Conditions,
    /// Whether gzip may be sent.
    pub encoding: AcceptedEncoding,
    /// Whether it is a CORS request.
    pub mode: RequestMode,
    /// How the end of a body of unknown length would show.
    pub framing: Framing,
}

/// How a client learns where a body of unknown length ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By a mark of its own, which a body that breaks does not have.
    Marked,
    /// By the connection's close (HTTP/1.0), which looks the same when a body breaks.
    Close,
}

/// The methods that media has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchMethod {
    /// Head and body.
    Get,
    /// The head that GET would have.
    Head,
}

/// What `Accept-Encoding` says of gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedEncoding {
    /// gzip may be sent.
    Gzip,
    /// Only what needs no decoding.
    Identity,
}

/// Why a request is none for media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Neither GET nor HEAD.
    #[error("the method is not served")]
    Method,
    /// `Service-Worker: script`: an uploaded file must not become a service worker of this origin.
    #[error("a service worker script was asked for")]
    ServiceWorker,
}

impl Fetch {
    /// Reads method and headers.
    pub fn parse(method: &Method, headers: &HeaderMap) -> Result<Self, FetchError> {
        let method = match *method {
            Method::GET => FetchMethod::Get,
            Method::HEAD => FetchMethod::Head,
            _ => return Err(FetchError::Method),
        };
        let fields = Fields::of(headers);
        if fields.service_worker.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"script")) {
            return Err(FetchError::ServiceWorker);
        }
        Ok(Self {
            method,
            range: fields.range.filter(|_| method == FetchMethod::Get).and_then(|_| range::parse(headers)),
            conditions: fields.condition.map(|_| Conditions::parse(headers)).unwrap_or_default(),
            encoding: fields.encoding.map_or(AcceptedEncoding::Identity, |_| accepted_encoding(headers)),
            mode: fields.mode(),
            framing: Framing::Marked,
        })
    }

    /// The same over this version of HTTP.
    pub fn over(self, version: Version) -> Self {
        let framing = if version < Version::HTTP_11 { Framing::Close } else { Framing::Marked };
        Self { framing, ..self }
    }
}

/// The fields that matter, each by the first of its name. Most requests have hardly any: one walk over what is there costs
/// less than a look for each.
#[derive(Clone, Copy, Debug, Default)]
struct Fields<'h> {
    service_worker: Option<&'h HeaderValue>,
    range: Option<&'h HeaderValue>,
    /// Any of the preconditions.
    condition: Option<&'h HeaderValue>,
    encoding: Option<&'h HeaderValue>,
    fetch_mode: Option<&'h HeaderValue>,
    origin: Option<&'h HeaderValue>,
}

impl<'h> Fields<'h> {
    fn of(headers: &'h HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let field = match name.as_str() {
                "service-worker" => &mut fields.service_worker,
                "range" => &mut fields.range,
                "if-match" | "if-none-match" | "if-modified-since" | "if-unmodified-since" | "if-range" => {
                    &mut fields.condition
                }
                "accept-encoding" => &mut fields.encoding,
                "sec-fetch-mode" => &mut fields.fetch_mode,
                "origin" => &mut fields.origin,
                _ => continue,
            };
            field.get_or_insert(value);
        }
        fields
    }

    fn mode(&self) -> RequestMode {
        let cors = self.fetch_mode.is_some_and(|mode| mode == "cors") || self.origin.is_some();
        if cors { RequestMode::Cors } else { RequestMode::Other }
    }
}

/// RFC 9110 section 12.5.3: gzip is acceptable if it is listed, or `*` is, with a weight above 0.
fn accepted_encoding(headers: &HeaderMap) -> AcceptedEncoding {
    let mut star = None;
    for value in headers.get_all(ACCEPT_ENCODING) {
        for element in value.to_str().unwrap_or_default().as_bytes().split(|byte| *byte == b',') {
            let mut parts = element.splitn(2, |byte| *byte == b';').map(<[u8]>::trim_ascii);
            let (coding, weight) = (parts.next().unwrap_or_default(), parts.next());
            let acceptable = || weight.is_none_or(is_acceptable);
            if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
                return if acceptable() { AcceptedEncoding::Gzip } else { AcceptedEncoding::Identity };
            }
            if coding == b"*" {
                star = Some(acceptable());
            }
        }
    }
    if star == Some(true) { AcceptedEncoding::Gzip } else { AcceptedEncoding::Identity }
}

/// Whether a weight such as `q=0.5` is above 0; none at all is 1, an unreadable one is 0.
fn is_acceptable(parameter: &[u8]) -> bool {
    let parameter = std::str::from_utf8(parameter).unwrap_or_default();
    let Some((name, weight)) = parameter.split_once('=') else { return parameter.is_empty() };
    name.trim().eq_ignore_ascii_case("q") && weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn fetch(headers: &[(&'static str, &'static str)]) -> Result<Fetch, FetchError> {
        let map = headers.iter().map(|&(name, value)| (name.parse().expect("legal"), HeaderValue::from_static(value)));
        Fetch::parse(&Method::GET, &map.collect())
    }

    #[test]
    fn gzip_is_acceptable_only_when_said_so() {
        for (value, expected) in [
            ("gzip", AcceptedEncoding::Gzip),
            ("gzip, deflate, br", AcceptedEncoding::Gzip),
            ("br;q=1, GZIP;q=0.5", AcceptedEncoding::Gzip),
            ("*", AcceptedEncoding::Gzip),
            ("gzip;q=0", AcceptedEncoding::Identity),
            ("*;q=0.5, gzip;q=0", AcceptedEncoding::Identity),
            ("gzip;q=0.000", AcceptedEncoding::Identity),
            ("identity", AcceptedEncoding::Identity),
            ("identity;q=1, *;q=0", AcceptedEncoding::Identity),
            ("gzipped", AcceptedEncoding::Identity),
            ("br, x-GZIP ;\tQ = 0.1", AcceptedEncoding::Gzip),
            ("gzip;", AcceptedEncoding::Gzip),
            ("gzip;level=9", AcceptedEncoding::Identity),
            ("gzip;q=0.5;level=9", AcceptedEncoding::Identity),
            ("", AcceptedEncoding::Identity),
        ] {
            assert_eq!(fetch(&[("accept-encoding", value)]).map(|fetch| fetch.encoding), Ok(expected), "{value}");
        }
    }

    #[test]
    fn cors_requests_show_by_mode_or_origin() {
        let mode = |headers: &[(&'static str, &'static str)]| fetch(headers).expect("legal").mode;
        assert_eq!(mode(&[]), RequestMode::Other);
        assert_eq!(mode(&[("sec-fetch-mode", "no-cors")]), RequestMode::Other);
        assert_eq!(mode(&[("sec-fetch-mode", "cors")]), RequestMode::Cors);
        assert_eq!(mode(&[("origin", "https://x.example")]), RequestMode::Cors);
    }

    #[test]
    fn other_methods_and_service_workers_are_refused() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::TRACE, Method::CONNECT, Method::PATCH] {
            assert_eq!(Fetch::parse(&method, &HeaderMap::new()), Err(FetchError::Method));
        }
        assert_eq!(fetch(&[("service-worker", "script")]), Err(FetchError::ServiceWorker));
    }
}
