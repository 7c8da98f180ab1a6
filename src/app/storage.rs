//! The endpoint for Label Studio's own Cloud Storage client, from the configuration and the files of its keys.

use std::fs::File;
use std::io::Read as _;

use crate::config::{ConfigError, Resolved};
use crate::gateway::Gateway;
use crate::label_studio::storage::{self, Storage, StorageError};
use crate::server::PublicUrl;

/// A key of 8192 bits takes a fifth of it.
const LONGEST_KEY: u64 = 8 * 1024;

/// What the configuration asks for, over the gateway's connections.
pub(super) fn storage(resolved: &Resolved, gateway: &Gateway) -> Result<Option<Storage>, ConfigError> {
    let Some(config) = &resolved.config.label_studio.storage else { return Ok(None) };
    let at = |key: &str, message: String| {
        resolved.origin.error(["label_studio", "storage", key].map(str::to_owned).to_vec(), message)
    };
    let mut pems = Vec::with_capacity(config.keys.len());
    for path in &config.keys {
        let mut pem = String::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST_KEY).read_to_string(&mut pem));
        read.map_err(|error| at("keys", format!("cannot read {}: {error}", path.display())))?;
        pems.push(pem);
    }
    let public = resolved.config.server.public_url.as_ref().map(PublicUrl::as_str);
    let public = public.map(|url| format!("{}{}", url.trim_end_matches('/'), storage::PATH));
    let keys = (&pems[..], resolved.storage_access.as_ref(), public);
    let stall = resolved.config.server.limits.stall_timeout;
    let storage = Storage::new(config, gateway, keys, stall).map_err(|error| match &error {
        StorageError::Key(place, why) => {
            let path = config.keys.get(*place).map(|path| path.display().to_string()).unwrap_or_default();
            at("keys", format!("{path}: {why}"))
        }
        StorageError::Connection(list, _) => at(list, error.to_string()),
    })?;
    Ok(Some(storage))
}
