<<<<<<< HEAD
//! What the black-box tests share: a real gateway in front of an emulated GCS, and a plain client.

pub mod client;
pub mod gateway;

pub use client::{Answer, Client};
pub use gateway::TestGateway;
=======
//! What the tests stand on.

pub mod browser;
>>>>>>> repo
