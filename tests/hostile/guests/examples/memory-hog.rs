//! The attack: memory is taken until there is none, and written to so that it is really there.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        let mut kept = Vec::new();
        loop {
            kept.push(std::hint::black_box(vec![1_u8; 4 << 20]));
        }
    }
}

hostile_guests::source!(Attack);
