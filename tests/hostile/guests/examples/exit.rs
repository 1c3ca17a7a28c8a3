//! The attack: it ends the process it thinks it is.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    #[expect(clippy::disallowed_methods, reason = "the attack")]
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        std::process::exit(0)
    }
}

hostile_guests::source!(Attack);
