//! Media over HTTP, as RFC 9110 wants it.

mod least_privilege;
mod ranges;
