//! Black-box tests: real sockets at both ends, one module per behaviour.

mod emulator;
mod server;
