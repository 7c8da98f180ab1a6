//! Black-box tests: real sockets at both ends, one module per behaviour.
#![allow(missing_docs, reason = "tests say what they show in their names")]

mod credentials;
