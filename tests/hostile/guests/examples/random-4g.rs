//! The attack: the host is asked for 4 GiB of random bytes at once.

use hostile_guests::{Failure, Source, wasi};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let bytes = wasi::get_random_bytes(1 << 32);
        hostile_guests::reached(format_args!("{} bytes", bytes.len()))
    }
}

hostile_guests::source!(Attack);
