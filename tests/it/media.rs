//! Media over HTTP, as RFC 9110 wants it.

mod changed;
mod conditions;
mod errors;
pub mod gzip;
mod headers;
mod heads;
mod least_privilege;
mod log;
mod names;
mod pages;
mod ranges;
mod tokens;
