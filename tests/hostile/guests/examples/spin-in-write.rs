//! The attack: `write` computes and never returns.

use hostile_guests::Destination;

impl Destination for Attack {
    fn write(_: &hostile_guests::Catalog) -> Result<(), hostile_guests::Failure> {
        hostile_guests::spin()
    }
}

hostile_guests::destination!(Attack);
