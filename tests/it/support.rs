//! What the black-box tests share: a real gateway in front of an emulated GCS, and a plain client.

pub mod binary;
pub mod browser;
pub mod client;
pub mod gateway;
pub mod label_studio;
pub mod little_server;
pub mod log;
pub mod tokens;

pub use binary::{Binary, Memory};
pub use client::{Answer, Client};
pub use gateway::{BUCKET, Builder, TestGateway};
pub use log::Log;
