#![no_main]

#[path = "../bodies/network_gate.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
