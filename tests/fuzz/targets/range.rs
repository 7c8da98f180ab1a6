//! Fuzzes `bodies::range`.
#![no_main]

#[path = "../bodies/range.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::range(bytes));
