//! Talking to Google Cloud Storage: connections, credentials, tokens, signatures, reads and writes.
//!
//! Media is read through the JSON API, where an object's name is one path segment; URLs are signed for the XML API.
//! This room never sees a client's request: everything sent upstream is built here from typed parts.
//! Follows <https://cloud.google.com/storage/docs/json_api> and <https://cloud.google.com/storage/docs/authentication/signatures>.

pub mod credentials;
pub mod sign;

mod client;
mod config;
mod error;
mod token;
mod wire;

pub use client::{
    Announced, Backoff, Billing, BucketRequest, BucketSettings, Client, Custom, DeleteRequest, Depth, Description,
    Detail, Expected, Form, ListPage, ListRequest, Listed, Read, ReadBody, ReadRequest, StatRequest, WriteRequest,
};
pub use config::{Config, Endpoint};
pub use credentials::Credential;
pub use error::{Error, Source};
pub use sign::signer::Signer;
pub use token::Token;
pub use wire::{ConnectorError, client_tls};
