//! Addresses of objects: by the gateway, for whatever a configured connection covers, or as `gs://`.
//!
//! Pure: decides which connection serves an object and what its URL is. Names are percent-encoded exactly; nothing about
//! the connection's credentials or rules is in a URL, but the link that the gateway signs, where one is asked for.

use std::sync::Arc;

use crate::gateway::connection::Config;
use crate::gateway::links::{Scope, Signer, Target};
use crate::object::{GsUri, ObjectName};

/// What a manifest names objects by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// The gateway's URLs.
    #[default]
    Gateway,
    /// `gs://bucket/name`.
    GsUri,
}

/// All connections, by whose URLs objects can be reached.
#[derive(Clone, Debug)]
pub struct Cover {
    links: Links,
    connections: Vec<Covered>,
    /// Signs the URLs of connections that take links.
    signer: Option<Signer>,
}

#[derive(Clone, Debug)]
struct Covered {
    label: Arc<str>,
    /// `https://host/label/`.
    base: String,
    config: Config,
}

impl Cover {
    /// The connections behind `public_url`, which has no slash at its end. Where several cover an object, the first one
    /// whose prefix is longest has it.
    pub fn new<'a>(
        links: Links,
        public_url: &str,
        connections: impl IntoIterator<Item = (&'a Arc<str>, &'a Config)>,
    ) -> Self {
        let covered = |(label, config): (&Arc<str>, &Config)| Covered {
            label: Arc::clone(label),
            base: format!("{public_url}/{label}/"),
            config: config.clone(),
        };
        let mut connections: Vec<_> = connections.into_iter().map(covered).collect();
        connections.sort_by_key(|covered| std::cmp::Reverse(covered.config.uri.path.as_str().len()));
        Self { links, connections, signer: None }
    }

    /// The same, with a link in each URL that leads through a connection which takes links.
    pub fn signed(self, signer: Signer) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// Whether `gs://` is kept.
    pub fn links(&self) -> Links {
        self.links
    }

    /// What the manifest calls an object of the connection `label`; `None` if the connection has no URL for it.
    pub fn link(&self, label: &str, object: &ObjectName) -> Option<String> {
        let covered = self.connections.iter().find(|covered| &*covered.label == label)?;
        match self.links {
            Links::Gateway => covered.url(object, self.signer.as_ref()),
            Links::GsUri => Some(format!("gs://{}/{object}", covered.config.uri.bucket)),
        }
    }

    /// The gateway's URL of the object that a `gs://` URI names, if a connection serves it.
    pub fn url(&self, uri: &str) -> Option<String> {
        let uri: GsUri = uri.parse().ok()?;
        let object = uri.object().ok()?;
        self.connections
            .iter()
            .filter(|covered| covered.config.uri.bucket == uri.bucket && covered.config.contains(&object))
            .find_map(|covered| covered.url(&object, self.signer.as_ref()))
    }
}

impl Covered {
    fn url(&self, object: &ObjectName, signer: Option<&Signer>) -> Option<String> {
        let rest = ObjectName::new(self.config.uri.path.strip(object)?).ok()?;
        let mut url = String::with_capacity(self.base.len() + rest.as_str().len() + 16);
        url.push_str(&self.base);
        url.extend(rest.as_path());
        if let Some(signer) = signer.filter(|_| self.config.access.takes_links()) {
            let (bucket, target) = (&self.config.uri.bucket, Target::Object(object));
            url.push_str("?sig=");
            url.push_str(signer.sign(Scope { connection: &self.label, bucket, target }).token());
        }
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn cover(links: Links) -> Cover {
        let config = |text: &str| -> Config { toml::from_str(text).expect("a legal connection") };
        let (all, cats, flat) = (
            config("uri = \"gs://my-bucket/\"\nfilter = \".*(jpg|png)$\""),
            config("uri = \"gs://my-bucket/cats/\""),
            config("uri = \"gs://other-bucket/x\"\nrecursive = false"),
        );
        let labels: [Arc<str>; 3] = ["all".into(), "cats".into(), "flat".into()];
        Cover::new(links, "https://media.example.com", labels.iter().zip([&all, &cats, &flat]))
    }

    #[test]
    fn the_nearest_connection_covers_an_object() {
        let cover = cover(Links::Gateway);
        for (uri, expected) in [
            ("gs://my-bucket/a b.jpg", Some("all/a%20b.jpg")),
            ("gs://my-bucket/cats/ü#1.txt", Some("cats/%C3%BC%231.txt")),
            ("gs://my-bucket/dogs/1.txt", None),
            ("gs://my-bucket/cats/", Some("all/cats/")),
            ("gs://other-bucket/x%2F?", Some("flat/%252F%3F")),
            ("gs://other-bucket/x/y", None),
            ("gs://other-bucket/x", None),
            ("gs://no-such-bucket/x", None),
            ("gs://my-bucket/a/../b.jpg", None),
            ("gs://my-bucket", None),
            ("https://my-bucket/a.jpg", None),
        ] {
            let expected = expected.map(|path| format!("https://media.example.com/{path}"));
            let expected = if uri.ends_with("cats/") { None } else { expected };
            assert_eq!(cover.url(uri), expected, "{uri}");
        }
    }

    #[test]
    fn links_are_urls_or_gs_uris() {
        let name = ObjectName::new("cats/50%2F50 *.png").expect("a legal name");
        let link = |links, label| cover(links).link(label, &name);
        assert_eq!(link(Links::Gateway, "cats").as_deref(), Some("https://media.example.com/cats/50%252F50%20%2A.png"));
        assert_eq!(link(Links::Gateway, "flat"), None);
        assert_eq!(link(Links::GsUri, "cats").as_deref(), Some("gs://my-bucket/cats/50%2F50 *.png"));
    }
}
