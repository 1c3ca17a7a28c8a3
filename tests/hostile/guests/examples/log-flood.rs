//! The attack: messages without end: 100 MiB, 1 KiB each.

use hostile_guests::{Failure, Source, log};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let message = "x".repeat(1 << 10);
        for _ in 0..100 << 10 {
            log::info(&message);
        }
        Ok(())
    }
}

hostile_guests::source!(Attack);
