//! The `[cache]` section.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use crate::object::limit;

/// The `[cache]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long metadata counts as current.
    #[serde(deserialize_with = "limit::zero_or_more")]
    pub metadata_ttl: Duration,
    /// How long an object that was not there counts as missing.
    #[serde(deserialize_with = "limit::zero_or_more")]
    pub negative_ttl: Duration,
    /// How much of hot objects is kept in memory; 0 switches it off.
    pub memory: ByteSize,
    /// The largest object that is kept whole.
    pub max_object: ByteSize,
    /// A folder for what is kept besides, over a restart, too.
    pub disk: Option<DiskConfig>,
}

/// `[cache] disk`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskConfig {
    /// The folder.
    pub path: PathBuf,
    /// How much it may hold.
    pub size: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            metadata_ttl: Duration::from_mins(1),
            negative_ttl: Duration::from_secs(5),
            memory: ByteSize::mib(256),
            max_object: ByteSize::mib(8),
            disk: None,
        }
    }
}
