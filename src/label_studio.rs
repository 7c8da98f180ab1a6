//! Label Studio beside the gateway: in step with it.
//!
//! Decides how Label Studio's API is asked. Never makes tasks out of a bucket by itself: that is the tasks' room.

pub mod api;
pub mod export;
pub mod fields;
pub mod task;
pub mod webhook;

mod config;

pub use config::Config;
