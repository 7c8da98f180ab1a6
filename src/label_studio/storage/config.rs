//! `[label_studio.storage]`: what Label Studio's own Cloud Storage client may do through the gateway.

use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, de};

use crate::gateway::access::AllowList;

/// The `[label_studio.storage]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Files with the public halves of the keys that are trusted.
    #[serde(deserialize_with = "some")]
    pub keys: Vec<PathBuf>,
    /// The connections that may be read.
    #[serde(default)]
    pub connections: Vec<String>,
    /// Connections that may be written to, and read.
    #[serde(default)]
    pub export: Vec<String>,
    /// Whether objects of `export` may be deleted.
    #[serde(default)]
    pub can_delete: bool,
    /// From where the API may be used; without it, each connection's own rules say so. Signed URLs always go by those.
    #[serde(default)]
    pub allow: Option<AllowList>,
    /// The largest object that may be written.
    #[serde(default = "large")]
    pub max_upload: ByteSize,
}

/// Google's client sends this much in one piece.
fn large() -> ByteSize {
    ByteSize::mib(100)
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let keys = Vec::deserialize(deserializer)?;
    if keys.is_empty() {
        return Err(de::Error::custom("expected at least one key's file; make a key with: gsgate label-studio key"));
    }
    Ok(keys)
}

impl Config {
    /// Every connection that is named, with the key that names it.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let read = self.connections.iter().map(|name| ("connections", name));
        read.chain(self.export.iter().map(|name| ("export", name)))
    }

    /// Makes paths absolute.
    pub fn locate(&mut self, locate: impl Fn(&Path) -> PathBuf) {
        for file in &mut self.keys {
            *file = locate(file);
        }
    }
}
