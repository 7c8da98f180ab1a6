//! The `[cache]` section.

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
}

impl Default for Config {
    fn default() -> Self {
        Self {
            metadata_ttl: Duration::from_mins(1),
            negative_ttl: Duration::from_secs(5),
            memory: ByteSize::mib(256),
            max_object: ByteSize::mib(8),
        }
    }
}
