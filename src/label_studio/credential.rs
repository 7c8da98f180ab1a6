//! Who a client is for Label Studio, as far as its request shows: a hash of everything that can tell.
//!
//! Pure. The credential itself is kept nowhere. Label Studio hands out a new session cookie with almost every answer; what
//! a client will show next is told from what it showed and what the answer sets, as browsers do it.
//! Follows RFC 6265 (<https://www.rfc-editor.org/rfc/rfc6265>).

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};

use super::forward::X_API_KEY;

/// A cookie with a shorter value could be somebody else's as well.
const SHORTEST: usize = 24;

/// A hash of cookies and tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Credential([u8; 32]);

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

impl Credential {
    /// What a request shows.
    pub(super) fn of(request: &HeaderMap) -> Self {
        Self::with(request, cookies(request))
    }

    /// What the same client will show after this answer, if that is anything else, and nobody but this client can know it:
    /// nothing is taken from it, and what it is handed cannot be guessed.
    pub(super) fn after(request: &HeaderMap, answer: &HeaderMap) -> Option<Self> {
        let mut cookies = cookies(request);
        for line in answer.get_all(SET_COOKIE) {
            let mut parts = line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let pair = parts.next()?;
            let name = name(pair);
            if pair.len() < name.len() + 1 + SHORTEST || parts.any(|part| part.eq_ignore_ascii_case(b"max-age=0")) {
                return None;
            }
            cookies.retain(|cookie| self::name(cookie) != name);
            cookies.push(pair);
        }
        let (before, after) = (Self::of(request), Self::with(request, cookies));
        (after != before).then_some(after)
    }

    /// The order of cookies says nothing.
    fn with(request: &HeaderMap, mut cookies: Vec<&[u8]>) -> Self {
        let mut hash = Context::new(&SHA256);
        let mut add = |kind: u8, value: &[u8]| {
            hash.update(&[kind]);
            hash.update(&value.len().to_be_bytes());
            hash.update(value);
        };
        cookies.sort_unstable();
        for cookie in cookies {
            add(0, cookie);
        }
        for (kind, name) in [(1, AUTHORIZATION), (2, X_API_KEY)] {
            for value in request.get_all(name) {
                add(kind, value.as_bytes());
            }
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.finish().as_ref());
        Self(bytes)
    }
}

fn cookies(request: &HeaderMap) -> Vec<&[u8]> {
    let lines = request.get_all(COOKIE).iter().map(http::HeaderValue::as_bytes);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii).filter(|c| !c.is_empty()).collect()
}

fn name(cookie: &[u8]) -> &[u8] {
    cookie.split(|byte| *byte == b'=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::header::RANGE;
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_str(value).expect("legal"));
        }
        headers
    }

    fn of(pairs: &[(HeaderName, &str)]) -> Credential {
        Credential::of(&headers(pairs))
    }

    #[test]
    fn every_part_of_a_credential_counts() {
        let known = [
            of(&[]),
            of(&[(COOKIE, "a")]),
            of(&[(COOKIE, "b")]),
            of(&[(COOKIE, "a=b")]),
            of(&[(AUTHORIZATION, "a")]),
            of(&[(X_API_KEY, "a")]),
            of(&[(COOKIE, "a"), (AUTHORIZATION, "a")]),
            of(&[(COOKIE, "a"), (COOKIE, "a")]),
        ];
        assert_eq!(known.iter().collect::<HashSet<_>>().len(), known.len());
        assert_eq!(of(&[(COOKIE, "a")]), of(&[(COOKIE, "a"), (RANGE, "bytes=0-")]));
        assert_eq!(of(&[(COOKIE, "a=1; b=2")]), of(&[(COOKIE, "b=2"), (COOKIE, "a=1")]));
        assert_eq!(format!("{:?}", known[1]), "Credential");
    }

    #[test]
    fn a_client_shows_next_what_it_was_handed() {
        const OLD: &str = "sessionid=0123456789abcdef01234567";
        const NEW: &str = "sessionid=76543210fedcba9876543210";
        let request = [(COOKIE, &*format!("{OLD}; csrftoken=x")), (AUTHORIZATION, "t")];
        let after = |lines: &[&str]| {
            let answer: Vec<_> = lines.iter().map(|line| (SET_COOKIE, *line)).collect();
            Credential::after(&headers(&request), &headers(&answer))
        };
        let next = of(&[(COOKIE, &format!("csrftoken=x; {NEW}")), (AUTHORIZATION, "t")]);
        let attributes = "expires=Mon, 01 Jan 2029 00:00:00 GMT; HttpOnly; Max-Age=60";
        assert_eq!(after(&[&format!("{NEW}; {attributes}")]), Some(next));
        let z = "z=zzzzzzzzzzzzzzzzzzzzzzzz";
        let both = of(&[(COOKIE, &format!("csrftoken=x;{NEW};{z}")), (AUTHORIZATION, "t")]);
        assert_eq!(after(&[z, NEW]), Some(both));
        for (lines, why) in [
            (&[][..], "nothing is new"),
            (&[OLD], "the same again"),
            (&[&format!("{NEW}; Max-Age=0")], "it is taken away"),
            (&["sessionid=; Path=/"], "it is taken away"),
            (&["sessionid=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT"], "it is taken away"),
            (&["theme=dark"], "it can be guessed"),
            (&[NEW, "theme=dark"], "it can be guessed"),
        ] {
            assert_eq!(after(lines), None, "{why}: {lines:?}");
        }
    }
}
