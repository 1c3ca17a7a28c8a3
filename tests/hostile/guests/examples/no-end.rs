//! The attack: it returns as if all had gone well, and never ended its stream.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        hostile_guests::emit(hostile_guests::ROWS)
    }
}

hostile_guests::source!(Attack);
