//! What is kept: metadata, bytes of hot objects, signed URLs. Never who may see them.

mod config;
mod disk;
mod metadata;
pub mod objects;
mod recent;
pub mod signed_urls;

pub use config::{Config, DiskConfig};
pub use metadata::{Known, MetadataCache};
pub use objects::Objects;
pub use signed_urls::{SignedUrl, SignedUrls, SigningWindow, UrlRequest};
