//! The attack: a batch that says one row more than it has.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        hostile_guests::output::emit(&hostile_guests::batch(0, 2, b"{}\n".to_vec()))?;
        hostile_guests::complete()
    }
}

hostile_guests::source!(Attack);
