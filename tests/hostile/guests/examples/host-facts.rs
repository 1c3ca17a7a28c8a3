//! The attack: it learns how long the host has been up and how many processors it has.

use hostile_guests::{Failure, Source, wasi};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let up = wasi::monotonic_clock::now() / 1_000_000_000;
        let processors = std::thread::available_parallelism().map(usize::from);
        match (up, &processors) {
            (0..60, Ok(1) | Err(_)) => hostile_guests::refused("the clock begins with the call"),
            seen => hostile_guests::reached(format_args!("{seen:?}")),
        }
    }
}

hostile_guests::source!(Attack);
