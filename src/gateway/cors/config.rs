//! The `[cors]` section, and the JSON file that `gsutil cors set` takes.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use serde::Deserialize;

use super::{Cors, Credentials, OriginPattern, OriginPatternError, Rule};

/// `[cors]`, by default or of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who may read answers: origins, `*`, `https://*.example.com`.
    pub origins: Vec<String>,
    /// `GET`, `HEAD`.
    pub methods: Vec<String>,
    /// Request headers that a preflight allows.
    pub request_headers: Vec<String>,
    /// Response headers that scripts may read.
    pub expose_headers: Vec<String>,
    /// How long a browser may keep a preflight's answer.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// Whether browsers may send cookies along.
    pub credentials: bool,
    /// The JSON that `gsutil cors set` takes, in place of all other keys.
    pub file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            origins: Vec::new(),
            methods: list(&["GET", "HEAD"]),
            request_headers: list(&["range", "if-none-match"]),
            expose_headers: list(&["content-range", "accept-ranges", "content-length", "etag", "x-goog-generation"]),
            max_age: Duration::from_hours(2),
            credentials: false,
            file: None,
        }
    }
}

/// Why cross-origin rules were refused.
#[derive(Debug, thiserror::Error)]
pub enum CorsError {
    /// A bad origin.
    #[error(transparent)]
    Origin(#[from] OriginPatternError),
    /// A method that the gateway does not serve.
    #[error("'{0}' is not served here; methods are GET and HEAD")]
    Method(String),
    /// Not a header's name.
    #[error("'{0}' is not the name of a header")]
    Header(String),
    /// `"*"` with credentials.
    #[error(
        "credentials = true together with \"*\" would let any page read media in a visitor's name; list the origins"
    )]
    CredentialsForAnyone,
    /// `file` and other keys.
    #[error("file stands in place of all other keys of this section; remove origins, or file")]
    FileAndKeys,
    /// Not the JSON that gsutil takes.
    #[error("not a CORS configuration as gsutil takes it: a list of {{origin, method, responseHeader, maxAgeSeconds}}")]
    Json(#[from] serde_json::Error),
}

/// One rule of a gsutil file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BucketRule {
    origin: Vec<String>,
    method: Vec<String>,
    #[serde(default)]
    response_header: Vec<String>,
    #[serde(default = "one_hour")]
    max_age_seconds: u64,
}

/// What GCS takes when a rule says nothing.
fn one_hour() -> u64 {
    3600
}

impl Cors {
    /// Makes rules of the keys, or of the text of the file that `config.file` names.
    pub fn new(config: &Config, file: Option<&str>) -> Result<Self, CorsError> {
        let Some(text) = file else { return Self::from_keys(config) };
        if (Config { file: None, ..config.clone() }) != Config::default() {
            return Err(CorsError::FileAndKeys);
        }
        let rules: Vec<BucketRule> = serde_json::from_str(text)?;
        Ok(Self { rules: rules.iter().map(Rule::from_bucket).collect::<Result<_, _>>()? })
    }

    fn from_keys(config: &Config) -> Result<Self, CorsError> {
        let methods = config.methods.iter().map(|name| method(name)).collect::<Result<Vec<_>, _>>()?;
        let origins = origins(&config.origins)?;
        if config.credentials && origins.contains(&OriginPattern::Any) {
            return Err(CorsError::CredentialsForAnyone);
        }
        let rule = Rule {
            origins,
            allow_methods: joined(methods.iter().map(Method::as_str)),
            methods,
            allow_headers: headers(&config.request_headers)?,
            expose_headers: headers(&config.expose_headers)?,
            max_age: HeaderValue::from(config.max_age.as_secs()),
            credentials: if config.credentials { Credentials::Include } else { Credentials::Omit },
        };
        Ok(Self { rules: if rule.origins.is_empty() { Vec::new() } else { vec![rule] } })
    }
}

impl Rule {
    /// A bucket's rule: `responseHeader` is both what a request may carry and what scripts may read.
    fn from_bucket(rule: &BucketRule) -> Result<Self, CorsError> {
        let served = [Method::GET, Method::HEAD];
        let listed =
            |method: &Method| rule.method.iter().any(|name| name == "*" || name.eq_ignore_ascii_case(method.as_str()));
        let methods: Vec<Method> = served.into_iter().filter(listed).collect();
        let response_headers = headers(&rule.response_header)?;
        Ok(Self {
            origins: origins(&rule.origin)?,
            allow_methods: joined(methods.iter().map(Method::as_str)),
            methods,
            allow_headers: response_headers.clone(),
            expose_headers: response_headers,
            max_age: HeaderValue::from(rule.max_age_seconds),
            credentials: Credentials::Omit,
        })
    }
}

fn origins(texts: &[String]) -> Result<Vec<OriginPattern>, CorsError> {
    texts.iter().map(|text| text.parse().map_err(CorsError::from)).collect()
}

fn method(name: &str) -> Result<Method, CorsError> {
    match name {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        other => Err(CorsError::Method(other.to_owned())),
    }
}

fn headers(names: &[String]) -> Result<Option<HeaderValue>, CorsError> {
    for name in names {
        if name != "*" {
            HeaderName::try_from(name).map_err(|_| CorsError::Header(name.clone()))?;
        }
    }
    Ok((!names.is_empty()).then(|| joined(names.iter().map(String::as_str))))
}

/// The parts are methods and header names, whose characters are all legal in a value.
fn joined<'a>(parts: impl Iterator<Item = &'a str>) -> HeaderValue {
    let text = parts.collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS};

    use super::*;

    fn refused(toml: &str) -> String {
        let config = toml::from_str::<Config>(toml).expect("legal TOML");
        Cors::new(&config, None).expect_err("must be refused").to_string()
    }

    #[test]
    fn bad_rules_are_refused_with_their_cure() {
        assert!(refused("origins = [\"*\"]\ncredentials = true").contains("list the origins"));
        assert!(refused("origins = [\"label.example.com\"]").contains("scheme"));
        assert!(refused("methods = [\"PUT\"]").contains("GET and HEAD"));
        assert!(refused("expose_headers = [\"x y\"]").contains("header"));
    }

    #[test]
    fn a_gsutil_file_is_read_as_gcs_means_it() {
        let text = r#"[{"origin":["https://a.example"],"method":["GET","PUT"],"responseHeader":["Content-Type","ETag"],"maxAgeSeconds":60},
                       {"origin":["*"],"method":["*"]}]"#;
        let cors = Cors::new(&Config::default(), Some(text)).expect("legal");
        let mut headers = HeaderMap::new();
        cors.decorate(&Method::GET, Some(&HeaderValue::from_static("https://a.example")), &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert_eq!(headers[ACCESS_CONTROL_EXPOSE_HEADERS], "Content-Type, ETag");
        let mut headers = HeaderMap::new();
        cors.decorate(&Method::HEAD, Some(&HeaderValue::from_static("https://a.example")), &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*", "the second rule lists HEAD");
        let both = Config { origins: vec!["*".into()], ..Config::default() };
        assert!(matches!(Cors::new(&both, Some("[]")), Err(CorsError::FileAndKeys)));
        assert!(matches!(Cors::new(&Config::default(), Some("{}")), Err(CorsError::Json(_))));
    }
}
