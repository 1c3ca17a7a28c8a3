//! The attack: a destination that commits what it was not given.

use hostile_guests::{Catalog, Destination, Failure};

impl Destination for Attack {
    fn write(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::input::committed(1, &[])?;
        hostile_guests::take(|| Ok(()))
    }
}

hostile_guests::destination!(Attack);
