//! Fuzzes `bodies::sign`.
#![no_main]

#[path = "../bodies/sign.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::sign(bytes));
