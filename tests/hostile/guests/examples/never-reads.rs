//! The attack: a destination that never takes its input.

use hostile_guests::{Catalog, Destination, Failure};

impl Destination for Attack {
    fn write(_: &Catalog) -> Result<(), Failure> {
        std::thread::sleep(std::time::Duration::MAX);
        Ok(())
    }
}

hostile_guests::destination!(Attack);
