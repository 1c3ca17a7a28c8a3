//! The attack: it says something while it reads, to an observer that cannot bear it.

use hostile_guests::{Catalog, Failure, Source, log};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        log::info("a word");
        hostile_guests::emit(1)?;
        hostile_guests::complete()
    }
}

hostile_guests::source!(Attack);
