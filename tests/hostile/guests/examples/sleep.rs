//! The attack: it sleeps for longer than the host will live.

use hostile_guests::{Failure, Source};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        std::thread::sleep(std::time::Duration::MAX);
        Ok(())
    }
}

hostile_guests::source!(Attack);
