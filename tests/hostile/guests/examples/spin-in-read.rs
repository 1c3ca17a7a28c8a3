//! The attack: `read` computes and never returns.

use hostile_guests::Source;

impl Source for Attack {
    fn read(_: &hostile_guests::Catalog) -> Result<(), hostile_guests::Failure> {
        hostile_guests::spin()
    }
}

hostile_guests::source!(Attack);
