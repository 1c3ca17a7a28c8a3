//! The attack: `check` computes and never returns.

use hostile_guests::Source;

impl Source for Attack {
    fn check(_: &str) -> Result<(), hostile_guests::Failure> {
        hostile_guests::spin()
    }
}

hostile_guests::source!(Attack);
