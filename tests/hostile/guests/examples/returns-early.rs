//! The attack: a destination that returns as if it had written everything.

use hostile_guests::{Catalog, Destination, Failure};

impl Destination for Attack {
    fn write(_: &Catalog) -> Result<(), Failure> {
        Ok(())
    }
}

hostile_guests::destination!(Attack);
