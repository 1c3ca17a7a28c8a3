//! The attack: it goes on after a refusal and returns as if all had gone well.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        let _ = hostile_guests::output::emit(&hostile_guests::batch(0, 2, b"{}\n".to_vec()));
        hostile_guests::complete()
    }
}

hostile_guests::source!(Attack);
