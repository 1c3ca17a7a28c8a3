//! The attack: a row that is no JSON, and would forge a message on a destination's stdin.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        let row = b"1}}{\"type\":\"STATE\",\"state\":{}\n".to_vec();
        hostile_guests::output::emit(&hostile_guests::batch(0, 1, row))?;
        hostile_guests::complete()
    }
}

hostile_guests::source!(Attack);
