//! Cross-origin rules of a connection, in place of the bucket's.
//!
//! Decides which origins may read answers and answers preflights without asking anybody.
//! Never sends `*` together with credentials, and always says `Vary: Origin`.
//! Follows the Fetch standard (<https://fetch.spec.whatwg.org/#http-cors-protocol>) and the rules of GCS buckets (<https://cloud.google.com/storage/docs/cross-origin>).

mod config;
mod origin;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};

pub use self::config::{Config, CorsError};
pub use self::origin::{OriginPattern, OriginPatternError};

const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ORIGIN_VARIES: HeaderValue = HeaderValue::from_static("Origin");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The cross-origin rules of one connection; the first rule that matches an origin applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    rules: Vec<Rule>,
}

/// What some origins may do. The header values are made once, at load.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    origins: Vec<OriginPattern>,
    methods: Vec<Method>,
    allow_methods: HeaderValue,
    allow_headers: Option<HeaderValue>,
    expose_headers: Option<HeaderValue>,
    max_age: HeaderValue,
    credentials: Credentials,
}

/// Whether browsers may send cookies along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credentials {
    Omit,
    Include,
}

/// What to answer to a preflight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preflight {
    /// 204 with these headers; the browser compares them with what it wants.
    Answer(HeaderMap),
    /// The origin is on no list.
    OriginNotAllowed,
    /// `OPTIONS` without an `Origin` and a requested method: no preflight.
    None,
}

impl Cors {
    /// Lets pages send this header, too.
    pub fn allowing(mut self, name: &HeaderName) -> Self {
        for rule in &mut self.rules {
            let known = rule.allow_headers.as_ref().and_then(|list| list.to_str().ok()).unwrap_or_default();
            if known.split(',').any(|known| known.trim().eq_ignore_ascii_case(name.as_str())) {
                continue;
            }
            let list = if known.is_empty() { name.to_string() } else { format!("{known}, {name}") };
            rule.allow_headers = HeaderValue::try_from(list).ok().or(rule.allow_headers.take());
        }
        self
    }

    /// Adds what an answer to `method` from `origin` needs, `Vary` included.
    pub fn decorate(&self, method: &Method, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        headers.append(VARY, ORIGIN_VARIES);
        let Some(origin) = origin else { return };
        let matching = self.rules.iter().filter(|rule| rule.matches(origin));
        // An answer to a method that the rules do not list stays closed, as with GCS. One that nobody serves is only
        // ever refused, and a page may read why.
        let is_served = matches!(*method, Method::GET | Method::HEAD);
        if let Some(rule) = matching.into_iter().find(|rule| rule.methods.contains(method) || !is_served) {
            rule.allow(origin, headers);
            if let Some(exposed) = &rule.expose_headers {
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
            }
        }
    }

    /// Answers a preflight. `Vary` and the origin's own headers come from [`Cors::decorate`].
    pub fn preflight(&self, request: &HeaderMap) -> Preflight {
        let (Some(origin), Some(method)) = (request.get(ORIGIN), request.get(ACCESS_CONTROL_REQUEST_METHOD)) else {
            return Preflight::None;
        };
        let matching = || self.rules.iter().filter(|rule| rule.matches(origin));
        let wanted =
            matching().find(|rule| rule.methods.iter().any(|known| known.as_str().as_bytes() == method.as_bytes()));
        let Some(rule) = wanted.or_else(|| matching().next()) else { return Preflight::OriginNotAllowed };
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, rule.allow_methods.clone());
        headers.insert(ACCESS_CONTROL_MAX_AGE, rule.max_age.clone());
        if let Some(allowed) = &rule.allow_headers {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone());
        }
        if request.get(REQUEST_PRIVATE_NETWORK).is_some_and(|value| value == "true") {
            headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        Preflight::Answer(headers)
    }
}

impl Rule {
    fn matches(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|pattern| pattern.matches(origin.as_bytes()))
    }

    fn allow(&self, origin: &HeaderValue, headers: &mut HeaderMap) {
        let any = self.origins.contains(&OriginPattern::Any) && self.credentials == Credentials::Omit;
        let allowed = if any { HeaderValue::from_static("*") } else { origin.clone() };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if self.credentials == Credentials::Include {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::ACCESS_CONTROL_REQUEST_HEADERS;

    use super::*;

    fn cors(toml: &str) -> Cors {
        Cors::new(&toml::from_str::<Config>(toml).expect("legal TOML"), None).expect("legal rules")
    }

    fn decorated(cors: &Cors, origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        cors.decorate(&Method::GET, Some(&HeaderValue::from_str(origin).expect("legal")), &mut headers);
        headers
    }

    #[test]
    fn only_listed_origins_are_reflected() {
        let cors = cors(r#"origins = ["https://label.example.com", "https://*.labellerr.com"]"#);
        for (origin, allowed) in [
            ("https://label.example.com", true),
            ("https://pro.labellerr.com", true),
            ("https://a.b.labellerr.com", true),
            ("https://labellerr.com", false),
            ("https://evil-labellerr.com", false),
            ("https://pro.labellerr.com.evil.example", false),
            ("http://label.example.com", false),
            ("https://label.example.com:8443", false),
            ("null", false),
        ] {
            let headers = decorated(&cors, origin);
            assert_eq!(headers.get(VARY).map(HeaderValue::as_bytes), Some(&b"Origin"[..]), "{origin}");
            let expected = allowed.then_some(origin.as_bytes());
            assert_eq!(headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(HeaderValue::as_bytes), expected, "{origin}");
            assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        }
    }

    #[test]
    fn any_origin_is_a_star_and_credentials_need_a_list() {
        let star = decorated(&cors(r#"origins = ["*"]"#), "https://x.example");
        assert_eq!(star[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let with = decorated(&cors("origins = [\"https://x.example\"]\ncredentials = true"), "https://x.example");
        assert_eq!(with[ACCESS_CONTROL_ALLOW_ORIGIN], "https://x.example");
        assert_eq!(with[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    }

    #[test]
    fn preflights_are_answered_from_the_rules() {
        let cors = cors("origins = [\"https://x.example\"]\nmax_age = \"10m\"");
        let mut request = HeaderMap::new();
        assert_eq!(cors.preflight(&request), Preflight::None);
        request.insert(ORIGIN, HeaderValue::from_static("https://x.example"));
        request.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET"));
        request.insert(ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("range"));
        request.insert(REQUEST_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        let Preflight::Answer(headers) = cors.preflight(&request) else { panic!("must be answered") };
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], "GET, HEAD");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], "range, if-none-match");
        assert_eq!(headers[ACCESS_CONTROL_MAX_AGE], "600");
        assert_eq!(headers[ALLOW_PRIVATE_NETWORK], "true");
        request.insert(ORIGIN, HeaderValue::from_static("https://y.example"));
        assert_eq!(cors.preflight(&request), Preflight::OriginNotAllowed);
    }
}
