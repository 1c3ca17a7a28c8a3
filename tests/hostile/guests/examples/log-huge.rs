//! The attack: one message of 100 MiB.

use hostile_guests::{Failure, Source, log};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        log::info("x".repeat(100 << 20));
        hostile_guests::reached("a message of 100 MiB")
    }
}

hostile_guests::source!(Attack);
