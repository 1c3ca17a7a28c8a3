//! The attack: calls that cost the guest nothing, without end.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        loop {
            hostile_guests::output::estimate(u32::MAX, Some(u64::MAX), Some(u64::MAX));
        }
    }
}

hostile_guests::source!(Attack);
