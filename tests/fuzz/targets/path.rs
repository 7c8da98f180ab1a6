//! Fuzzes `bodies::path`.
#![no_main]

#[path = "../bodies/path.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::path(bytes));
