//! The attack: a state of 40 MiB.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        hostile_guests::checkpoint(format!("{{\"a\":\"{}\"}}", "x".repeat(40 << 20)))?;
        hostile_guests::reached("a state of 40 MiB")
    }
}

hostile_guests::source!(Attack);
