//! The attack: a row nested 100,000 deep.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        let (open, close) = ("{\"a\":".repeat(100_000), "}".repeat(100_000));
        let row = format!("{open}1{close}\n");
        hostile_guests::output::emit(&hostile_guests::batch(0, 1, row.into_bytes()))?;
        hostile_guests::complete()
    }
}

hostile_guests::source!(Attack);
