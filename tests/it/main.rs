//! Black-box tests: real sockets at both ends, one module per behaviour.

mod credentials;
mod emulator;
mod server;
