//! The operator's room: the HTTP API and the page on the admin listener.

mod api;
mod guard;
mod links;
mod openapi;
mod page;
mod page_rig;
mod page_tools;
mod schema;
mod streams;
