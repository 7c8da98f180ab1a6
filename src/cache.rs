//! What is kept in memory: metadata and signed URLs. Never who may see them.

mod config;
mod metadata;
pub mod signed_urls;

pub use config::Config;
pub use metadata::{Known, MetadataCache};
pub use signed_urls::{SignedUrls, SigningWindow, UrlRequest};
