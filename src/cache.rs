//! What is kept in memory: metadata, bytes of hot objects, signed URLs. Never who may see them.

mod config;
mod metadata;
pub mod objects;
pub mod signed_urls;

pub use config::Config;
pub use metadata::{Known, MetadataCache};
pub use objects::Objects;
pub use signed_urls::{SignedUrl, SignedUrls, SigningWindow, UrlRequest};
