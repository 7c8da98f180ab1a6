//! What of a request goes on to Label Studio, and what of its answer comes back.
//!
//! Pure. Everything passes untouched but what belongs to one connection alone, and what says who the client is.
//! Follows RFC 9110 sections 7.6.1 and 7.8 (<https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1>) and RFC 9113
//! section 8.2.3 for cookies (<https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3>).

use std::net::IpAddr;

use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName, HeaderValue, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Uri, Version};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Of one connection, whatever `Connection` says.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Where a client may claim to be somebody else.
const CLAIMS: [HeaderName; 7] = [
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-real-ip"),
];

/// How the request reached the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The socket's other end.
    pub(super) peer: IpAddr,
    /// Whether what the peer says of others is believed.
    pub(super) trusted: bool,
    /// Whether the connection is encrypted.
    pub(super) tls: bool,
}

/// The head that goes on.
pub(super) fn request(head: &Parts, arrival: Arrival) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = target(&head.uri);
    *request.version_mut() = Version::HTTP_11;
    let mut headers = head.headers.clone();
    strip_connection(&mut headers);
    strip_disguised(&mut headers);
    // The gateway has answered it itself by now, or will when the content is asked for.
    headers.remove(EXPECT);
    join_cookies(&mut headers);
    if let Some(host) = host(head) {
        headers.insert(HOST, host);
    }
    tell_arrival(&mut headers, arrival);
    *request.headers_mut() = headers;
    request
}

/// Takes names with an underscore away, as nginx and Django do: WSGI would take `X_Api_Key` for `X-Api-Key`, which was
/// looked at.
fn strip_disguised(headers: &mut HeaderMap) {
    let disguised: Vec<_> = headers.keys().filter(|name| name.as_str().contains('_')).cloned().collect();
    for name in disguised {
        headers.remove(name);
    }
}

/// The same, asking for the change of protocol that the client asks for; only of requests that [`upgrade_of`] allows.
pub(super) fn request_to_change(head: &Parts, arrival: Arrival, protocol: HeaderValue) -> Request<()> {
    let mut request = request(head, arrival);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(UPGRADE, protocol);
    request
}

/// The protocol that a client wants to change to, if it may ask.
pub(super) fn upgrade_of(head: &Parts) -> Option<HeaderValue> {
    let words = |value: &str| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    let wants = head.headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok()).any(words);
    if !wants || head.version != Version::HTTP_11 || head.method != Method::GET {
        return None;
    }
    let mut protocols = head.headers.get_all(UPGRADE).iter();
    let protocol = protocols.next().filter(|_| protocols.next().is_none())?;
    // These would make of the connection one with requests that nobody looks at.
    let http = |name: &str| ["http", "h2", "h3", "tls"].iter().any(|known| name.trim().starts_with(known));
    let is_other = |names: &str| !names.to_ascii_lowercase().split(',').any(http);
    protocol.to_str().is_ok_and(is_other).then(|| protocol.clone())
}

/// The same by another path, and without content.
pub(super) fn request_for(head: &Parts, arrival: Arrival, path: &str) -> Option<Request<()>> {
    let mut request = request(head, arrival);
    *request.uri_mut() = Uri::from(path.parse::<PathAndQuery>().ok()?);
    request.headers_mut().remove(CONTENT_LENGTH);
    Some(request)
}

/// A question of the gateway's own in the name of the user who sent `head`.
pub(super) fn question(head: &Parts, arrival: Arrival, path: &str) -> Option<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = Uri::from(path.parse::<PathAndQuery>().ok()?);
    let mut headers = HeaderMap::new();
    for name in [COOKIE, AUTHORIZATION, X_API_KEY].into_iter().chain(CLAIMS) {
        for value in head.headers.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    join_cookies(&mut headers);
    headers.insert(HOST, host(head)?);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    tell_arrival(&mut headers, arrival);
    *request.headers_mut() = headers;
    Some(request)
}

/// Takes out what belongs to one connection alone: of requests and of answers.
pub(super) fn strip_connection(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Nobody can have these taken away: they say whom the request is for, and who it is from.
        .filter(|name| ![HOST, COOKIE, AUTHORIZATION, X_API_KEY].contains(name))
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn target(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from)
}

fn host(head: &Parts) -> Option<HeaderValue> {
    let authority = head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    authority.or_else(|| head.headers.get(HOST).cloned())
}

/// HTTP/2 may send each cookie in a line of its own.
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// Says who asks, by which name and how; what the client itself claims counts only from a trusted proxy.
fn tell_arrival(headers: &mut HeaderMap, arrival: Arrival) {
    if !arrival.trusted {
        for name in CLAIMS {
            headers.remove(name);
        }
    }
    let peer = arrival.peer.to_canonical().to_string();
    let before = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let chain: Vec<&str> = before.chain([peer.as_str()]).collect();
    if let Ok(chain) = HeaderValue::from_str(&chain.join(", ")) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
    let protocol = if arrival.tls { "https" } else { "http" };
    headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(protocol));
    if let Some(host) = headers.get(HOST).cloned() {
        headers.entry(X_FORWARDED_HOST).or_insert(host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECT: Arrival =
        Arrival { peer: IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9)), trusted: false, tls: true };

    fn head(version: Version, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().version(version).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("legal").into_parts().0
    }

    fn shown(request: &Request<()>) -> Vec<String> {
        let mut shown: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        shown.sort_unstable();
        shown
    }

    #[test]
    fn names_that_wsgi_would_take_for_others_stay_behind() {
        let sent =
            head(Version::HTTP_11, "/api/tasks/7/", &[("x_api_key", "k"), ("script_name", "/x"), ("x-api-key", "k")]);
        let names: Vec<_> = request(&sent, DIRECT).headers().keys().map(ToString::to_string).collect();
        assert!(names.contains(&"x-api-key".to_owned()) && !names.iter().any(|name| name.contains('_')), "{names:?}");
    }

    #[test]
    fn what_belongs_to_one_connection_stays_behind() {
        let sent = head(
            Version::HTTP_11,
            "http://ls.example:8080/a?b=c",
            &[
                ("host", "ls.example:8080"),
                ("connection", "keep-alive, X-Mine, cookie"),
                ("keep-alive", "timeout=5"),
                ("x-mine", "1"),
                ("te", "trailers"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "websocket"),
                ("expect", "100-continue"),
                ("cookie", "a=b"),
                ("accept", "*/*"),
            ],
        );
        let request = request(&sent, DIRECT);
        assert_eq!(request.uri(), "/a?b=c");
        let expected = [
            "accept: */*",
            "cookie: a=b",
            "host: ls.example:8080",
            "x-forwarded-for: 203.0.113.9",
            "x-forwarded-host: ls.example:8080",
            "x-forwarded-proto: https",
        ];
        assert_eq!(shown(&request), expected);
    }

    #[test]
    fn claims_count_only_from_trusted_proxies() {
        let sent = head(
            Version::HTTP_2,
            "https://ls.example/a",
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-proto", "gopher"),
                ("x-forwarded-host", "evil.example"),
                ("x-real-ip", "1.2.3.4"),
                ("forwarded", "for=1.2.3.4"),
                ("cookie", "a=b"),
                ("cookie", "c=d"),
            ],
        );
        let expected = [
            "cookie: a=b; c=d",
            "host: ls.example",
            "x-forwarded-for: 203.0.113.9",
            "x-forwarded-host: ls.example",
            "x-forwarded-proto: https",
        ];
        assert_eq!(shown(&request(&sent, DIRECT)), expected);
        let trusted = request(&sent, Arrival { trusted: true, ..DIRECT });
        assert_eq!(trusted.headers()[X_FORWARDED_FOR], "1.2.3.4, 203.0.113.9");
        assert_eq!(trusted.headers()[X_FORWARDED_HOST], "evil.example");
        assert_eq!(trusted.headers()[FORWARDED], "for=1.2.3.4");
    }

    #[test]
    fn a_connection_may_change_to_anything_but_http() {
        let asks = |version, connection, protocol| {
            upgrade_of(&head(version, "/ws", &[("host", "a"), ("connection", connection), ("upgrade", protocol)]))
        };
        for (version, connection, protocol, may) in [
            (Version::HTTP_11, "keep-alive, Upgrade", "websocket", true),
            (Version::HTTP_11, "upgrade", "spdy-like, other", true),
            (Version::HTTP_11, "upgrade", "h2c", false),
            (Version::HTTP_11, "upgrade", "websocket, H2C", false),
            (Version::HTTP_11, "upgrade", "TLS/1.0", false),
            (Version::HTTP_11, "upgrade", "HTTP/2.0", false),
            (Version::HTTP_11, "keep-alive", "websocket", false),
            (Version::HTTP_10, "upgrade", "websocket", false),
            (Version::HTTP_2, "upgrade", "websocket", false),
        ] {
            assert_eq!(asks(version, connection, protocol).is_some(), may, "{version:?} {connection} {protocol}");
        }
        let mut post = head(Version::HTTP_11, "/ws", &[("connection", "upgrade"), ("upgrade", "websocket")]);
        post.method = Method::POST;
        assert_eq!(upgrade_of(&post), None);
    }

    #[test]
    fn a_question_carries_the_user_and_nothing_else() {
        let sent = head(
            Version::HTTP_11,
            "/tasks/1/resolve/",
            &[
                ("host", "a:1"),
                ("cookie", "a=b"),
                ("range", "bytes=0-"),
                ("referer", "x"),
                ("authorization", "Token t"),
            ],
        );
        let question = question(&sent, DIRECT, "/api/tasks/1/?resolve_uri=false").expect("legal");
        let names: Vec<_> =
            shown(&question).iter().map(|line| line.split(':').next().expect("some").to_owned()).collect();
        let expected =
            ["accept", "authorization", "cookie", "host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
        assert_eq!(names, expected);
    }
}
