//! Black-box tests: real sockets at both ends, one module per behaviour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test that cannot go on shall stop here, and its names say what it shows"
)]

mod access;
mod audit;
mod budgets;
mod check;
mod cli;
mod console;
mod cors;
mod credentials;
mod deliveries;
mod demo;
mod dependencies;
mod emulator;
mod example;
mod faults;
mod front;
mod fuzz_corpus;
mod hostile;
mod hot;
mod identity;
mod label_studio;
mod label_studio_storage;
mod layering;
mod lifecycle;
mod links;
mod media;
mod paths;
mod server;
mod sign_oracle;
mod studio;
mod support;
mod tasks;
mod turns;
mod upstream;
mod vendors;
