//! The attack: rows of a stream that is not in the catalog.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        hostile_guests::output::emit(&hostile_guests::batch(7, 1, b"{}\n".to_vec()))?;
        hostile_guests::complete()
    }
}

hostile_guests::source!(Attack);
