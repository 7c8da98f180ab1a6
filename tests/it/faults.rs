//! Faults upstream, through the whole application: every body is byte-identical or visibly broken.

mod aborts;
mod chaos;
mod heavy;
mod matrix;
mod outage;
mod retries;
pub mod wire;
