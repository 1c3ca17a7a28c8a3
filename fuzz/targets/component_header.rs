#![no_main]

#[path = "../bodies/component_header.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
