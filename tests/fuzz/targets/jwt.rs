//! Fuzzes `bodies::jwt`.
#![no_main]

#[path = "../bodies/jwt.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::jwt(bytes));
