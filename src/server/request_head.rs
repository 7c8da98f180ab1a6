//! Whether the head of a request is one that every HTTP server would read alike.
//!
//! hyper refuses most malformed heads by itself; this file refuses what it lets through.
//! It is pure, and it never repairs: a head that two servers could read in two ways is refused.
//! Follows <https://www.rfc-editor.org/rfc/rfc9112#section-3.2> and <https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1>.

use std::net::Ipv6Addr;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

/// Longest request target: a GCS name of 1024 bytes, percent-encoded, and a query that we ignore.
pub(super) const LONGEST_TARGET: usize = 8 * 1024;
/// Largest sum of all header names and values.
pub(super) const LARGEST_HEADERS: usize = 32 * 1024;

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the request target is too long")]
    TargetTooLong,
    #[error("the request header fields are too large")]
    HeadersTooLarge,
    #[error("the request target has the wrong form")]
    Target,
    #[error("the request needs exactly one valid Host")]
    Host,
    #[error("the request has a body, which this method does not take")]
    Body,
    #[error("CONNECT is not supported")]
    Connect,
}

impl Malformed {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Target | Self::Host | Self::Body => StatusCode::BAD_REQUEST,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The stable code in the answer and in the log.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::TargetTooLong => "target_too_long",
            Self::HeadersTooLarge => "headers_too_large",
            Self::Target => "malformed_target",
            Self::Host => "malformed_host",
            Self::Body => "unexpected_body",
            Self::Connect => "method_not_allowed",
        }
    }
}

/// What a good head asks for beside an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    /// Another protocol on the connection.
    Upgrade,
}

/// What the head wishes, or what is wrong.
pub(super) fn check(head: &Parts) -> Result<Wish, Malformed> {
    if head.method == Method::CONNECT {
        return Err(Malformed::Connect);
    }
    if head.uri.path_and_query().is_some_and(|target| target.as_str().len() > LONGEST_TARGET) {
        return Err(Malformed::TargetTooLong);
    }
    let fields = Fields::of(&head.headers);
    if fields.size > LARGEST_HEADERS {
        return Err(Malformed::HeadersTooLarge);
    }
    check_target(head)?;
    check_host(head, &fields)?;
    check_body(head, &fields)?;
    Ok(if fields.upgrade.is_some() { Wish::Upgrade } else { Wish::Nothing })
}

/// What is asked of the fields, found in one walk over them.
#[derive(Clone, Copy, Debug, Default)]
struct Fields<'h> {
    /// Of all names and values.
    size: usize,
    host: Option<&'h HeaderValue>,
    further_host: Option<&'h HeaderValue>,
    /// What says that there is content.
    content: Option<&'h HeaderValue>,
    upgrade: Option<&'h HeaderValue>,
}

impl<'h> Fields<'h> {
    fn of(headers: &'h HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            fields.size += name.as_str().len() + value.len();
            // Known names are numbers, which are compared faster than texts.
            if *name == HOST {
                let host = if fields.host.is_none() { &mut fields.host } else { &mut fields.further_host };
                *host = Some(value);
            } else if (*name == CONTENT_LENGTH && value.as_bytes() != b"0") || *name == TRANSFER_ENCODING {
                fields.content = Some(value);
            } else if *name == UPGRADE {
                fields.upgrade = Some(value);
            }
        }
        fields
    }
}

fn check_target(head: &Parts) -> Result<(), Malformed> {
    let uri = &head.uri;
    let path = uri.path();
    let origin = path.starts_with('/') || (path == "*" && head.method == Method::OPTIONS);
    let scheme = match (uri.scheme_str(), uri.authority()) {
        (None, None) => head.version < Version::HTTP_2,
        (Some("http" | "https"), Some(_)) => true,
        // HTTP/2 may name the host in `host` alone.
        (Some("http" | "https"), None) => head.version == Version::HTTP_2,
        _ => false,
    };
    if origin && scheme { Ok(()) } else { Err(Malformed::Target) }
}

fn check_host(head: &Parts, fields: &Fields<'_>) -> Result<(), Malformed> {
    let host = fields.host;
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let needed = match head.version {
        Version::HTTP_09 | Version::HTTP_10 => false,
        Version::HTTP_11 => host.is_none(),
        _ => host.is_none() && authority.is_none(),
    };
    if needed || fields.further_host.is_some() || authority.is_some_and(|text| !is_host(text.as_bytes())) {
        return Err(Malformed::Host);
    }
    match (host, authority) {
        // A server in front may have routed by the one of the two that we do not look at.
        (Some(host), Some(authority)) if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {
            Err(Malformed::Host)
        }
        (Some(host), _) if !is_host(host.as_bytes()) => Err(Malformed::Host),
        _ => Ok(()),
    }
}

/// Which bytes a host's name may have.
const IN_NAMES: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~!$&'()*+,;=";
    let mut next = 0;
    while next < bytes.len() {
        table[bytes[next] as usize] = true;
        next += 1;
    }
    table
};

/// `uri-host [":" port]` with a host that is not empty; percent-encoded names do not occur in practice.
fn is_host(text: &[u8]) -> bool {
    let place = |byte| text.iter().position(|b| *b == byte);
    let (good, rest) = if text.starts_with(b"[") {
        let Some(end) = place(b']') else { return false };
        let address = std::str::from_utf8(&text[1..end]).ok();
        (address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()), &text[end + 1..])
    } else {
        let (name, rest) = text.split_at(place(b':').unwrap_or(text.len()));
        (!name.is_empty() && name.iter().all(|byte| IN_NAMES[usize::from(*byte)]), rest)
    };
    good && match rest {
        [] | [b':'] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    }
}

fn is_port(text: &[u8]) -> bool {
    let digits = text.len() <= 5 && text.iter().all(u8::is_ascii_digit);
    digits && std::str::from_utf8(text).is_ok_and(|text| text.parse::<u16>().is_ok())
}

/// The methods that deliver media have no use for content, and disagreement over its length is how requests are smuggled.
fn check_body(head: &Parts, fields: &Fields<'_>) -> Result<(), Malformed> {
    let bodiless = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    if bodiless && fields.content.is_some() { Err(Malformed::Body) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(method: &str, target: &str, version: Version, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn hosts_are_names_or_addresses_with_perhaps_a_port() {
        for good in ["a", "a.example", "a:80", "a:", "127.0.0.1:8080", "[::1]", "[2001:db8::1]:443", "my_host"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in
            ["", ":80", "a b", "a/b", "u@a", "a:x", "a:99999", "a:1:2", "[::1", "[x]", "[::1]x", "a%2f", "ä", "a,b c"]
        {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
        assert!(is_host(b"[::1]:") && !is_host(b"a\xff") && !is_host(b"[\xff]") && !is_host(b"[::1]:\xff"));
    }

    #[test]
    fn heads_that_two_servers_could_read_in_two_ways_are_refused() {
        let (v10, v11, v2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
        let long = format!("/{}", "a".repeat(LONGEST_TARGET));
        let large = "a".repeat(LARGEST_HEADERS);
        for (verdict, method, target, version, headers) in [
            (Ok(Wish::Nothing), "GET", "/c/o", v11, &[("host", "a")][..]),
            (Ok(Wish::Nothing), "GET", "/c/o", v10, &[]),
            (Ok(Wish::Nothing), "OPTIONS", "*", v11, &[("host", "a")]),
            (Ok(Wish::Nothing), "GET", "http://a/c/o", v11, &[("host", "a")]),
            (Ok(Wish::Nothing), "GET", "https://a/c/o", v2, &[]),
            (Ok(Wish::Nothing), "GET", "/c/o", v11, &[("host", "a"), ("content-length", "0")]),
            (Ok(Wish::Nothing), "POST", "/-/x", v11, &[("host", "a"), ("content-length", "5")]),
            (Err(Malformed::Host), "GET", "/c/o", v11, &[]),
            (Err(Malformed::Host), "GET", "/c/o", v11, &[("host", "a"), ("host", "a")]),
            (Err(Malformed::Host), "GET", "/c/o", v10, &[("host", "a b")]),
            (Err(Malformed::Host), "GET", "http://a/c/o", v11, &[("host", "b")]),
            (Err(Malformed::Host), "GET", "http://u@a/c/o", v11, &[("host", "u@a")]),
            (Err(Malformed::Host), "GET", "https://a/c/o", v2, &[("host", "b")]),
            (Err(Malformed::Target), "GET", "*", v11, &[("host", "a")]),
            (Err(Malformed::Target), "GET", "ftp://a/c/o", v11, &[("host", "a")]),
            (Err(Malformed::Target), "GET", "a:80", v11, &[("host", "a")]),
            (Err(Malformed::Connect), "CONNECT", "a:80", v11, &[("host", "a")]),
            (Err(Malformed::Body), "GET", "/c/o", v11, &[("host", "a"), ("content-length", "5")]),
            (
                Err(Malformed::Body),
                "GET",
                "/c/o",
                v11,
                &[("host", "a"), ("content-length", "0"), ("content-length", "5")],
            ),
            (Err(Malformed::Body), "GET", "/c/o", v11, &[("host", "a"), ("transfer-encoding", "chunked")]),
            (Ok(Wish::Nothing), "GET", "/c/o", v11, &[("host", "a"), ("content-length", "0"), ("content-length", "0")]),
            (Ok(Wish::Upgrade), "GET", "/c/o", v11, &[("host", "a"), ("upgrade", "websocket")]),
            (Err(Malformed::TargetTooLong), "GET", &long, v11, &[("host", "a")]),
            (Err(Malformed::HeadersTooLarge), "GET", "/c/o", v11, &[("host", "a"), ("x", &large)]),
        ] {
            assert_eq!(check(&head(method, target, version, headers)), verdict, "{method} {target:.20} {headers:?}");
        }
    }
}
