//! Parses arguments and maps the result to an exit code; everything else is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    Ok(lockgate::cli::run(std::env::args_os())?)
}
