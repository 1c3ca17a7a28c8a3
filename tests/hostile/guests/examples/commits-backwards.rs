//! The attack: a destination that commits a checkpoint again and again.

use hostile_guests::{Catalog, Destination, Failure, input};

impl Destination for Attack {
    fn write(_: &Catalog) -> Result<(), Failure> {
        while let Some(event) = input::next()? {
            if let input::Event::Checkpoint(id) = event {
                input::committed(id, &[])?;
                input::committed(id, &[])?;
            }
        }
        Ok(())
    }
}

hostile_guests::destination!(Attack);
