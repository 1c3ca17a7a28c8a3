//! The attack: a state nested 100,000 deep, to overflow the stack of whoever parses it.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        let (open, close) = ("{\"a\":".repeat(100_000), "}".repeat(100_000));
        hostile_guests::checkpoint(format!("{open}1{close}"))?;
        hostile_guests::emit(1)?;
        hostile_guests::complete()
    }
}

hostile_guests::source!(Attack);
