//! Manifests: from a bucket with odd names, odd pages and odd files to what annotation tools import.

mod definitions;
mod formats;
mod listing;
mod rig;
mod scale;
