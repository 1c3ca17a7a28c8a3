//! The first look at a file that is said to be a component.

use std::path::Path;

use lockgate::component::header;

/// Only what begins as a component passes.
pub(crate) fn run(bytes: &[u8]) {
    let passed = header(Path::new("x.wasm"), bytes, |_| true).is_ok();
    assert_eq!(passed, bytes.starts_with(b"\0asm\x0d\0\x01\0"));
}
