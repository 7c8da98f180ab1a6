//! Links for `gs://` URIs: which connection a URI is reached by, and the whole URL with the right in it.
//!
//! Pure. A URI that ends with `/` is a prefix, and its link stands in the path, so that what lies under it may refer to
//! its neighbours; any other is an object, and its link stands in the query. A connection that looks at no link gets none.

use std::sync::Arc;

use crate::gateway::connection::Config;
use crate::gateway::links::{LinkId, Scope, Signer, Target};
use crate::object::{GsUri, ObjectName};

/// Makes URLs with links.
#[derive(Debug)]
pub struct Linker {
    public_url: String,
    connections: Vec<(Arc<str>, Config)>,
    signer: Signer,
}

/// A URL with a link in it. The URL is a secret, the id is not.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkUrl {
    /// The URL.
    pub url: String,
    /// What the link is known by.
    pub id: LinkId,
    /// The connection that it leads through.
    pub connection: Arc<str>,
}

/// Why a URI gets no link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkerError {
    /// No connection leads there.
    #[error("{0} is covered by no connection{1}; a prefix ends with '/', and filter and recursive count")]
    NotCovered(GsUri, String),
    /// One does, but not by links.
    #[error(
        "{uri}: the connection {connection} takes no links; set its access to \"link\", \"network-and-link\" or \"network-or-link\""
    )]
    TakesNoLinks {
        /// The URI.
        uri: GsUri,
        /// The connection.
        connection: Arc<str>,
    },
}

impl Linker {
    /// The connections behind `public_url`, which has no slash at its end.
    pub fn new<'a>(
        public_url: &str,
        connections: impl IntoIterator<Item = (&'a Arc<str>, &'a Config)>,
        signer: Signer,
    ) -> Self {
        let connections = connections.into_iter().map(|(label, config)| (Arc::clone(label), config.clone()));
        let mut connections: Vec<_> = connections.collect();
        connections.sort_by_key(|(_, config)| std::cmp::Reverse(config.uri.path.as_str().len()));
        Self { public_url: public_url.to_owned(), connections, signer }
    }

    /// The URL for what the URI names, by `connection` or by whichever takes links and is nearest.
    pub fn link(&self, uri: &GsUri, connection: Option<&str>) -> Result<LinkUrl, LinkerError> {
        let wanted = |label: &str| connection.is_none_or(|wanted| wanted == label);
        let covering = || self.connections.iter().filter(|(label, config)| wanted(label) && covers(config, uri));
        match (covering().find(|(_, config)| config.access.takes_links()), covering().next()) {
            (Some((label, config)), _) => Ok(self.made(label, config, uri)),
            (None, Some((label, _))) => {
                Err(LinkerError::TakesNoLinks { uri: uri.clone(), connection: Arc::clone(label) })
            }
            (None, None) => {
                let named = connection.map_or_else(String::new, |label| format!(" of the name {label}"));
                Err(LinkerError::NotCovered(uri.clone(), named))
            }
        }
    }

    fn made(&self, label: &Arc<str>, config: &Config, uri: &GsUri) -> LinkUrl {
        let object = if is_prefix(uri) { None } else { uri.object().ok() };
        let target = object.as_ref().map_or(Target::Prefix(&uri.path), Target::Object);
        let link = self.signer.sign(Scope { connection: label, bucket: &config.uri.bucket, target });
        let (base, token) = (&self.public_url, link.token());
        let rest = uri.path.as_str().strip_prefix(config.uri.path.as_str()).unwrap_or_default();
        let path = ObjectName::new(rest).map(|rest| rest.as_path().to_string()).unwrap_or_default();
        let url = match object {
            Some(_) => format!("{base}/{label}/{path}?sig={token}"),
            None => format!("{base}/~{token}/{label}/{path}"),
        };
        LinkUrl { url, id: link.id(), connection: Arc::clone(label) }
    }
}

fn is_prefix(uri: &GsUri) -> bool {
    uri.path.as_str().is_empty() || uri.path.as_str().ends_with('/')
}

fn covers(config: &Config, uri: &GsUri) -> bool {
    let object = || uri.object().is_ok_and(|object| config.contains(&object));
    let prefix = || uri.path.as_str().starts_with(config.uri.path.as_str());
    config.uri.bucket == uri.bucket && if is_prefix(uri) { prefix() } else { object() }
}

impl std::fmt::Debug for LinkUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinkUrl({} by {})", self.id, self.connection)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::gateway::links::{Expiry, Key, Keyring, Links, Terms};

    fn linker() -> Linker {
        let config = |text: &str| -> Config { toml::from_str(text).expect("a legal connection") };
        let (all, cats, dogs) = (
            config("uri = \"gs://my-bucket/\"\naccess = \"link\"\nfilter = \".*(jpg|png)$\""),
            config("uri = \"gs://my-bucket/cats/\"\naccess = \"network-or-link\""),
            config("uri = \"gs://other-bucket/dogs\""),
        );
        let key = Key::read("k1".parse().expect("an id"), &"0f".repeat(32), None).expect("a key");
        let terms = Terms {
            expires: Expiry::In(Duration::from_hours(1)),
            not_before: None,
            networks: Vec::new(),
            subject: None,
        };
        let links = Links::new(Keyring::new([key]), Duration::ZERO);
        let signer = links.signer(&terms, SystemTime::UNIX_EPOCH).expect("a signer");
        let labels: [Arc<str>; 3] = ["all".into(), "cats".into(), "dogs".into()];
        Linker::new("https://media.example.com", labels.iter().zip([&all, &cats, &dogs]), signer)
    }

    /// The URL with its token as `T`.
    fn linked(uri: &str, connection: Option<&str>) -> Result<String, String> {
        let link = linker().link(&uri.parse().expect("a URI"), connection).map_err(|error| error.to_string())?;
        assert!(!format!("{link:?}").contains("https"), "{link:?}");
        let url = link.url.strip_prefix("https://media.example.com/").expect("the gateway's").to_owned();
        Ok(match (url.split_once("?sig="), url.starts_with('~')) {
            (Some((path, _)), false) => format!("{path}?sig=T"),
            (None, true) => format!("~T/{}", url.split_once('/').expect("a path").1),
            other => panic!("{url} {other:?}"),
        })
    }

    #[test]
    fn objects_get_a_query_and_prefixes_a_path() {
        for (uri, connection, expected) in [
            ("gs://my-bucket/a b#?.jpg", None, "all/a%20b%23%3F.jpg?sig=T"),
            ("gs://my-bucket/", None, "~T/all/"),
            ("gs://my-bucket", None, "~T/all/"),
            ("gs://my-bucket/2026/north/", None, "~T/all/2026/north/"),
            ("gs://my-bucket/cats/", None, "~T/cats/"),
            ("gs://my-bucket/cats/", Some("all"), "~T/all/cats/"),
            ("gs://my-bucket/cats/x y/", None, "~T/cats/x%20y/"),
            ("gs://my-bucket/cats/x.txt", None, "cats/x.txt?sig=T"),
        ] {
            assert_eq!(linked(uri, connection).as_deref(), Ok(expected), "{uri}");
        }
    }

    #[test]
    fn what_no_connection_covers_or_links_reach_is_told() {
        for (uri, connection, told) in [
            ("gs://my-bucket/a.txt", None, "covered by no connection;"),
            ("gs://nowhere/a", None, "covered by no connection;"),
            ("gs://my-bucket/a.jpg", Some("cats"), "covered by no connection of the name cats"),
            ("gs://other-bucket/dogs/1.jpg", None, "the connection dogs takes no links"),
            ("gs://other-bucket/", None, "covered by no connection;"),
        ] {
            let error = linked(uri, connection).expect_err("must be refused");
            assert!(error.contains(told), "{uri}: {error}");
        }
    }
}
