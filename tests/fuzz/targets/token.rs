//! Fuzzes `bodies::token`.
#![no_main]

#[path = "../bodies/token.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::token(bytes));
