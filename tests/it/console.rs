//! The operator's room: the HTTP API and the page on the admin listener.

mod api;
mod guard;
mod openapi;
mod schema;
mod streams;
