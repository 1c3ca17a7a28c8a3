//! The attack: it reads the host's own input.

use hostile_guests::{Failure, Source, wasi};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        match wasi::get_stdin().blocking_read(1 << 20) {
            Err(closed) => hostile_guests::refused(closed),
            Ok(bytes) => hostile_guests::reached(format_args!("{} bytes", bytes.len())),
        }
    }
}

hostile_guests::source!(Attack);
