//! Who may ask the console what.
//!
//! Pure. Health and figures are for anyone who reaches the listener: orchestrators and Prometheus carry no token. The
//! page's own files are the same in every gsgate and show nothing by themselves. All else needs the token where there is
//! one; without one the listener stands on loopback, and what has to be kept out are pages of other origins in the
//! operator's browser: those that an attacker's name leads here (DNS rebinding), and those that send requests blindly.
//! Follows <https://www.w3.org/TR/fetch-metadata/> and <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>.

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use super::answer::Refusal;
use crate::gateway::host::Hosts;
use crate::server::AdminToken;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whom a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Whoever reaches the listener.
    Anyone,
    /// Browsers that come here by a name of the listener's.
    Visitors,
    /// The operator.
    Operators,
}

/// What the configuration says of who may ask.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    token: Option<AdminToken>,
    hosts: Hosts,
}

impl Guard {
    /// `hosts` are names to answer to besides `localhost` and addresses.
    pub(super) fn new(token: Option<AdminToken>, hosts: &[String]) -> Self {
        let hosts = hosts.iter().map(String::as_str).chain(["localhost"]);
        Self { token, hosts: Hosts::new(hosts) }
    }

    /// Whether a token is asked for.
    pub(super) fn asks_for_a_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn check(&self, head: &Parts, audience: Audience) -> Result<(), Refusal> {
        if audience == Audience::Anyone {
            return Ok(());
        }
        // A page on a foreign name has no token of ours, and cannot get one.
        if self.token.is_none() {
            self.hosts.check(head).map_err(|_| Refusal::ForeignHost)?;
        }
        if audience == Audience::Visitors {
            return Ok(());
        }
        if !is_of_this_origin(&head.headers) {
            return Err(Refusal::CrossSite);
        }
        match &self.token {
            Some(token) if !bearer(&head.headers).is_some_and(|presented| token.matches(presented)) => {
                Err(Refusal::Unauthorized)
            }
            _ => Ok(()),
        }
    }
}

/// Whether the request comes from a page of ours, or from no page. Browsers leave `Sec-Fetch-Site` out where the page came
/// over plain HTTP from another machine; then `Origin` tells, which they send with every POST.
fn is_of_this_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let named = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    named.zip(host).is_some_and(|(named, host)| named.eq_ignore_ascii_case(host))
}

/// The one token that is presented.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, further) = (values.next()?.as_bytes(), values.next());
    let (scheme, token) = value.split_at_checked(7)?;
    (further.is_none() && scheme.eq_ignore_ascii_case(b"bearer ")).then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123";

    fn verdict(guard: &Guard, audience: Audience, headers: &[(&str, &str)]) -> &'static str {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match guard.check(&request.body(()).expect("legal").into_parts().0, audience) {
            Ok(()) => "ok",
            Err(Refusal::ForeignHost) => "host",
            Err(Refusal::CrossSite) => "site",
            Err(Refusal::Unauthorized) => "token",
            Err(_) => "other",
        }
    }

    #[test]
    fn without_a_token_only_names_of_ours_and_pages_of_ours_count() {
        let guard = Guard::new(None, &["admin.example".to_owned()]);
        for (headers, expected) in [
            (&[("host", "127.0.0.1:9090")][..], "ok"),
            (&[("host", "localhost:9090"), ("sec-fetch-site", "same-origin")], "ok"),
            (&[("host", "[::1]:9090"), ("sec-fetch-site", "none")], "ok"),
            (&[("host", "admin.example")], "ok"),
            (&[("host", "evil.example:9090")], "host"),
            (&[("host", "localhost.evil.example"), ("sec-fetch-site", "same-origin")], "host"),
            (&[("host", "localhost"), ("sec-fetch-site", "cross-site")], "site"),
            (&[("host", "localhost"), ("sec-fetch-site", "same-site")], "site"),
            (&[("host", "localhost"), ("sec-fetch-site", "same-origin"), ("origin", "null")], "ok"),
            (&[("host", "localhost:9090"), ("origin", "http://localhost:9090")], "ok"),
            (&[("host", "localhost:9090"), ("origin", "http://localhost:8081")], "site"),
            (&[("host", "localhost:9090"), ("origin", "https://evil.example")], "site"),
            (&[("host", "localhost:9090"), ("origin", "null")], "site"),
        ] {
            assert_eq!(verdict(&guard, Audience::Operators, headers), expected, "{headers:?}");
        }
        assert_eq!(verdict(&guard, Audience::Anyone, &[("host", "evil.example")]), "ok");
        assert_eq!(verdict(&guard, Audience::Visitors, &[("host", "evil.example")]), "host");
        assert_eq!(
            verdict(&guard, Audience::Visitors, &[("host", "a.test"), ("sec-fetch-site", "cross-site")]),
            "host"
        );
    }

    #[test]
    fn with_a_token_the_token_counts() {
        let guard = Guard::new(Some(AdminToken::new(TOKEN).expect("a token")), &[]);
        let good = format!("Bearer {TOKEN}");
        for (value, expected) in [
            (good.as_str(), "ok"),
            (&format!("bearer  {TOKEN}"), "ok"),
            (&format!("Bearer {}", &TOKEN[1..]), "token"),
            (&format!("Bearer {}", &TOKEN[..19]), "token"),
            (&format!("Bearer {TOKEN}0"), "token"),
            (&format!("Basic {TOKEN}"), "token"),
            (TOKEN, "token"),
            ("Bearer", "token"),
            ("Bearer ", "token"),
        ] {
            assert_eq!(verdict(&guard, Audience::Operators, &[("authorization", value)]), expected, "{value}");
        }
        assert_eq!(verdict(&guard, Audience::Operators, &[]), "token");
        assert_eq!(
            verdict(&guard, Audience::Operators, &[("authorization", &good), ("authorization", &good)]),
            "token"
        );
        assert_eq!(verdict(&guard, Audience::Visitors, &[("host", "any.example")]), "ok");
        let page = [("authorization", good.as_str()), ("sec-fetch-site", "cross-site")];
        assert_eq!(verdict(&guard, Audience::Operators, &page), "site");
    }
}
