//! The attack: rows after the stream has ended.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        hostile_guests::complete()?;
        hostile_guests::emit(1)
    }
}

hostile_guests::source!(Attack);
