//! Media over HTTP, as RFC 9110 wants it.

mod names;
mod pages;
mod ranges;
mod tokens;
