//! A connection: one bucket and prefix, with everything that serving it takes.
//!
//! Decides which objects belong to it; an object outside its bucket, prefix or filter does not exist here.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use http::{HeaderMap, HeaderValue};
use regex::Regex;
use serde::Deserialize;

use super::access::{self, Access, Admitted, Approach};
use super::cors::{self, Cors};
use super::decide::{Audience, Delivery, Signing};
use super::jwt::{self, Identity, IdentityError};
use super::reject::Rejection;
use super::route::EncodedPath;
use super::subject::Subject;
use crate::cache::objects::Scope;
use crate::gcs::Credential;
use crate::metrics::Requests;
use crate::object::{BucketName, GsUri, ObjectName, ProjectId};

/// `[connections.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// For people.
    #[serde(default)]
    pub title: Option<String>,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Bucket and prefix.
    pub uri: GsUri,
    /// Which of `[credentials]`.
    #[serde(default = "default_credentials")]
    pub credentials: String,
    /// The project that pays and whose quota counts.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// How objects are delivered.
    #[serde(default)]
    pub delivery: Delivery,
    /// How long a signed URL lives at least.
    #[serde(default = "default_expiry", with = "humantime_serde")]
    pub signed_url_expiry: Duration,
    /// From this size on, `auto` redirects.
    #[serde(default = "default_redirect_above")]
    pub redirect_above: ByteSize,
    /// Regular expression that full object names must match from their beginning.
    #[serde(default, deserialize_with = "filter")]
    pub filter: Option<Filter>,
    /// Whether objects in sub-folders belong to the connection.
    #[serde(default = "yes")]
    pub recursive: bool,
    /// `Cache-Control` of proxied media.
    #[serde(default)]
    pub cache_control: Option<String>,
    /// What it takes to be admitted: an address, a link, or both.
    #[serde(default)]
    pub access: access::Demand,
    /// Replaces the default `allow`.
    #[serde(default)]
    pub allow: Option<access::AllowList>,
    /// Adds to the default `deny`.
    #[serde(default)]
    pub deny: Vec<String>,
    /// Replaces the default `allow` and `ip_filter_file`.
    #[serde(default)]
    pub ip_filter_file: Option<PathBuf>,
    /// A token that a request must show besides.
    #[serde(default)]
    pub jwt: Option<jwt::Config>,
    /// Replaces the default `[cors]`.
    #[serde(default)]
    pub cors: Option<cors::Config>,
}

impl Config {
    /// Whether the object is under the prefix and passes `filter` and `recursive`.
    pub fn contains(&self, object: &ObjectName) -> bool {
        let Some(rest) = self.uri.path.strip(object) else { return false };
        let in_depth = self.recursive || !rest.contains('/');
        in_depth && self.filter.as_ref().is_none_or(|filter| filter.matches(object))
    }
}

fn default_credentials() -> String {
    "default".to_owned()
}

fn default_expiry() -> Duration {
    Duration::from_mins(15)
}

fn default_redirect_above() -> ByteSize {
    ByteSize::mib(64)
}

fn yes() -> bool {
    true
}

/// A compiled `filter`.
#[derive(Clone, Debug)]
pub struct Filter(Regex);

impl Filter {
    /// Compiles a filter; it is matched from the beginning of the full object name, as Label Studio does it.
    pub fn new(pattern: &str) -> Result<Self, regex::Error> {
        // Compiled alone first, so that an error speaks of what was written.
        Regex::new(pattern)?;
        Regex::new(&format!("^(?:{pattern})")).map(Self)
    }

    /// Whether the object belongs to the connection.
    pub fn matches(&self, object: &ObjectName) -> bool {
        self.0.is_match(object.as_str())
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Filter {}

fn filter<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Filter>, D::Error> {
    let pattern = Option::<String>::deserialize(deserializer)?;
    pattern.map(|pattern| Filter::new(&pattern).map_err(serde::de::Error::custom)).transpose()
}

/// A connection, ready to serve.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name.
    pub label: Arc<str>,
    /// What the configuration says.
    pub config: Config,
    /// What its bytes are kept under.
    pub scope: Scope,
    /// Who may ask.
    pub access: Access,
    /// Which pages may read.
    pub cors: Cors,
    /// With what GCS is asked.
    pub credential: Credential,
    /// `Cache-Control` of proxied media.
    pub cache_control: HeaderValue,
    /// Which tokens say who asks.
    pub identity: Option<Identity>,
    /// Whether GCS learns who asks, for its own audit log.
    pub upstream_subject: UpstreamSubject,
    /// What is counted of its requests.
    pub requests: Arc<Requests>,
}

/// Whether GCS learns who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamSubject {
    /// It only sees the gateway.
    Hidden,
    /// `x-goog-custom-audit-gsgate-subject`
    Told,
}

impl Connection {
    /// Lets the request's token say who asks, where tokens are demanded.
    pub async fn identify<'a>(&self, near: Approach<'a>, headers: &HeaderMap) -> Result<Approach<'a>, IdentityError> {
        match &self.identity {
            Some(identity) => {
                let identified = Box::pin(identity.identify(headers, SystemTime::now())).await?;
                Ok(near.identified(identified))
            }
            None => Ok(near),
        }
    }

    /// Whose tokens say who asks.
    pub fn issuer(&self) -> Option<&Arc<str>> {
        self.identity.as_ref().map(|identity| &identity.policy.issuer)
    }

    /// Whom GCS shall be told of.
    pub fn tells<'a>(&self, admitted: &'a Admitted) -> Option<&'a Subject> {
        admitted.subject().filter(|_| self.upstream_subject == UpstreamSubject::Told)
    }

    /// The object that a path names, whether or not it is one that the connection serves.
    pub fn name(&self, path: EncodedPath<'_>) -> Result<ObjectName, Rejection> {
        let decoded = path.decode().map_err(Rejection::Encoding)?;
        if decoded.is_empty() {
            return Err(Rejection::NoSuchRoute);
        }
        self.config.uri.path.join(&decoded).map_err(Rejection::Name)
    }

    /// Whether the object is under the prefix and passes `filter` and `recursive`.
    pub fn contains(&self, object: &ObjectName) -> bool {
        self.config.contains(object)
    }

    /// Whether an object is one that the connection serves.
    pub fn leads_to(&self, bucket: &BucketName, object: &ObjectName) -> bool {
        self.config.uri.bucket == *bucket && self.contains(object)
    }

    /// Of several that lead to an object it belongs to the greatest: the longest prefix, then the first name.
    pub fn precedence(&self) -> (usize, Reverse<Arc<str>>) {
        (self.config.uri.path.as_str().len(), Reverse(Arc::clone(&self.label)))
    }

    /// Whether signed URLs can be made.
    pub fn signing(&self) -> Signing {
        if self.credential.can_sign() { Signing::Possible } else { Signing::Impossible }
    }

    /// Who may read it.
    pub fn audience(&self) -> Audience {
        if self.access.is_anyone() { Audience::Anyone } else { Audience::Restricted }
    }

    /// The project to name upstream: the connection's, else the credential's.
    pub fn project(&self) -> Option<&ProjectId> {
        self.config.project_id.as_ref().or_else(|| self.credential.quota_project())
    }
}
