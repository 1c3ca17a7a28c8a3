//! The attack: a destination that takes memory with each event until there is none.

use hostile_guests::{Catalog, Destination, Failure};

impl Destination for Attack {
    fn write(_: &Catalog) -> Result<(), Failure> {
        let mut kept = Vec::new();
        hostile_guests::take(|| {
            loop {
                kept.push(std::hint::black_box(vec![1_u8; 4 << 20]));
            }
        })
    }
}

hostile_guests::destination!(Attack);
