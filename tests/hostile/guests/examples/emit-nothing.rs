//! The attack: batches of nothing, without end.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        loop {
            let _ = hostile_guests::output::emit(&hostile_guests::batch(0, 0, Vec::new()));
        }
    }
}

hostile_guests::source!(Attack);
