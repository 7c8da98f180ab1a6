//! Heads that two servers could read in two ways: refused before the service sees them, or legal and listed here as such.

use super::rig::serve;

const SECTION: &str = "[limits]\nheader_timeout = \"300ms\"\nidle_timeout = \"300ms\"";

/// Requests that RFC 9112 says must be refused, or that we refuse since it lets us.
const REFUSED: &[&str] = &[
    // Host: missing, repeated, invalid.
    "GET /ok HTTP/1.1\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost:\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a,b c\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a:80:80\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a:port\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET /ok HTTP/1.1\r\n Host: a\r\n\r\n",
    "GET /ok HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    // Content-Length: conflicting, repeated, not a number.
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 4\r\n\r\nbody",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 4\r\n\r\nbody",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 0x0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 00\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 0 \u{b}\r\n\r\n",
    // Transfer-Encoding in every disguise, alone and beside Content-Length.
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\ntransfer-encoding:chunked\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\u{b}chunked\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\u{0}\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "GET /ok HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    // Lines: folding, lone CR, NUL, other control characters, spaces.
    "GET /ok HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nX: y\u{0}z\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nX\u{0}: y\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nX: \u{1b}[31m\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n",
    "GET /o\u{0}k HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /o\u{7f}k HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /o k HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET  /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /ok  HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET\t/ok HTTP/1.1\r\nHost: a\r\n\r\n",
    " GET /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /ok\r\n\r\n",
    "GET /ok HTTP/0.9\r\nHost: a\r\n\r\n",
    "GET /ok HTTP/1.2\r\nHost: a\r\n\r\n",
    "GET /ok HTTP/2.0\r\nHost: a\r\n\r\n",
    "GET /ok HTTP/1.1x\r\nHost: a\r\n\r\n",
    "GET /ok http/1.1\r\nHost: a\r\n\r\n",
    "G(T /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    // Targets: authority form, asterisk, absolute form of another host or scheme, nothing.
    "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "CONNECT /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://b/ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://u@a/ok HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "GET http:///ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET ftp://a/ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET ?q HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET  HTTP/1.1\r\nHost: a\r\n\r\n",
    // Not HTTP at all.
    "\u{16}\u{3}\u{1}\u{2}",
    "PRI * HTTP/2.0\r\n\r\nnot HTTP/2",
];

/// Requests that look odd and are legal: one call, one answer.
const LEGAL: &[(&str, &str)] = &[
    ("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n", "plain"),
    ("GET /ok HTTP/1.0\r\n\r\n", "HTTP/1.0 needs no Host, RFC 9112 section 3.2"),
    ("GET http://a/ok HTTP/1.1\r\nHost: a\r\n\r\n", "a server must accept the absolute form, RFC 9112 section 3.2.2"),
    ("GET http://A/ok HTTP/1.1\r\nHost: a\r\n\r\n", "hosts do not depend on case, RFC 3986 section 3.2.2"),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "the asterisk is for OPTIONS, RFC 9112 section 3.2.4"),
    ("\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n", "an empty line before the request line, RFC 9112 section 2.2"),
    ("GET /ok HTTP/1.1\nHost: a\n\n", "a recipient may take a bare LF as the end of a line, RFC 9112 section 2.2"),
    ("GET /ok HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", "a field value may be empty, RFC 9110 section 5.5"),
    ("GET /ok HTTP/1.1\r\nHost: a\r\nX: \u{e4}\r\n\r\n", "obs-text in a value, RFC 9110 section 5.5"),
    ("GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "no content, said twice"),
    (
        "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "identical lengths, RFC 9112 section 6.3",
    ),
    ("GET /ok HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "nothing to wait for, RFC 9110 section 10.1.1"),
    (
        "GET /ok HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        "an upgrade may be ignored, RFC 9110 section 7.8",
    ),
];

#[tokio::test]
async fn ambiguous_heads_are_refused_before_the_service() {
    let server = serve(SECTION);
    let mut wrong = Vec::new();
    for request in REFUSED {
        let before = server.calls();
        let answer = server.exchange(request).await;
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
        if !refused || server.calls() != before {
            wrong.push(format!("{request:?}: {answer:.60}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn odd_but_legal_heads_are_one_request() {
    let server = serve(SECTION);
    for (request, why) in LEGAL {
        let before = server.calls();
        let answer = server.exchange(request).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.0 200 "), "{why}: {answer}");
        assert_eq!(server.calls(), before + 1, "{why}");
    }
}

#[tokio::test]
async fn nothing_after_a_refused_head_is_read_as_a_request() {
    let server = serve(SECTION);
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for request in REFUSED {
        server.exchange(format!("{request}{smuggled}")).await;
        assert_eq!(server.calls(), 0, "{request:?}");
    }
}
