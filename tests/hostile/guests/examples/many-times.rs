//! The attack: a batch of one row with a time for each of 20 million rows.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        let mut rows = hostile_guests::batch(0, 1, b"{}\n".to_vec());
        rows.emitted_at = vec![1; 20_000_000];
        hostile_guests::output::emit(&rows)?;
        hostile_guests::reached("20 million times")
    }
}

hostile_guests::source!(Attack);
