//! The attack: it traps amid its rows.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        hostile_guests::emit(1)?;
        std::process::abort()
    }
}

hostile_guests::source!(Attack);
