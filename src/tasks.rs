//! From a bucket to a manifest: what annotation tools import in place of a bucket.
//!
//! Decides which objects of a connection become tasks and how each tool wants to be told of them. Memory does not grow
//! with the bucket: pages stream through, in the order of the names, so that the same bucket gives the same manifest.
//! Never writes to the bucket and never decides who may read: a manifest has addresses, and rights only where
//! it is asked for links, which `gateway` signs and judges.

pub mod format;
pub mod label_studio;
pub mod selection;

mod cover;
mod csv;
mod data_type;
mod definition;
mod image_size;
mod import;
mod known;
mod linker;
mod listing;
mod manifest;
mod output;
mod parquet_file;
mod recipe;
mod rewrite;
mod since;

pub use cover::{Cover, Links};
pub use data_type::DataType;
pub use known::Known;
pub use linker::{LinkUrl, Linker, LinkerError};
pub use listing::{IN_FLIGHT, Listing, ListingError, Patience, Place};
pub use manifest::{Counts, Error, Import, Manifest, Told, Troubles};
pub use output::{Output, OutputError, Take};
pub use recipe::{Conflict, Recipe};
pub use since::{Since, SinceError};
