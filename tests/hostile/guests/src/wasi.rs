//! WASI as an attacker calls it: without a library between.

pub use bindings::wasi::cli::{stdin::get_stdin, stdout::get_stdout};
pub use bindings::wasi::clocks::{monotonic_clock, wall_clock};
pub use bindings::wasi::filesystem::preopens::get_directories;
pub use bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};
pub use bindings::wasi::io::poll;
pub use bindings::wasi::random::random::get_random_bytes;

#[expect(missing_docs, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        world: "hostile:guests/imports",
        path: [
            "../../../sdk/wit/deps/wasi-io",
            "../../../sdk/wit/deps/wasi-clocks",
            "../../../sdk/wit/deps/wasi-filesystem",
            "wit",
        ],
        generate_all,
    });
}

/// The first granted directory.
///
/// # Errors
/// Nothing is granted.
pub fn granted() -> Result<Descriptor, lockgate_sdk::Failure> {
    let first = get_directories().into_iter().next();
    first
        .map(|(directory, _)| directory)
        .ok_or_else(|| lockgate_sdk::Failure::system("no directory was granted"))
}
