//! Black-box tests: real sockets at both ends.

mod emulator;
