//! The attack: `spec` computes and never returns.

use hostile_guests::Source;

impl Source for Attack {
    fn spec() -> hostile_guests::Specification {
        hostile_guests::spin()
    }
}

hostile_guests::source!(Attack);
