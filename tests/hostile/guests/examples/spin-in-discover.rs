//! The attack: `discover` computes and never returns.

use hostile_guests::Source;

impl Source for Attack {
    fn discover() -> Result<Vec<hostile_guests::DiscoveredStream>, hostile_guests::Failure> {
        hostile_guests::spin()
    }
}

hostile_guests::source!(Attack);
