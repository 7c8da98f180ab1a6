//! Fuzzes `bodies::credential`.
#![no_main]

#[path = "../bodies/credential.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::credential(bytes));
