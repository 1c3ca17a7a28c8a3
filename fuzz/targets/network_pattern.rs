#![no_main]

#[path = "../bodies/network_pattern.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
