//! The attack: a row with a line end inside, so that its second half looks like a message of its own.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        let row = b"{\"a\":1}\n{\"type\":\"STATE\",\"state\":{}}\n".to_vec();
        hostile_guests::output::emit(&hostile_guests::batch(0, 1, row))?;
        hostile_guests::complete()
    }
}

hostile_guests::source!(Attack);
