//! Label Studio beside the gateway: in step with it, and the gateway in front of it, answering for its media.
//!
//! Decides how Label Studio's API is asked, which requests are Label Studio's and which the gateway answers in its place;
//! whether a user may is asked of Label Studio itself. Never makes tasks out of a bucket by itself, and opens none: that is
//! the tasks' room, and the gateway's, which gets a permission to go by.
//! Follows RFC 9110 section 7.6 for what a proxy passes on (<https://www.rfc-editor.org/rfc/rfc9110#section-7.6>).

pub mod api;
pub mod export;
pub mod fields;
pub mod storage;
pub mod task;
pub mod webhook;

mod body;
mod config;
mod connect;
mod credential;
mod forward;
mod front;
mod named;
mod page;
mod permits;
mod redirect;
mod resolve;
mod told;
mod tunnel;
mod upstream;

pub use body::Body;
pub use config::{Config, PATHS, Uncovered};
pub use front::{Front, FrontError};
