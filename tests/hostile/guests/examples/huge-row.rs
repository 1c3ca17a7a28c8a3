//! The attack: one row of 100 MiB.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        let mut row = Vec::with_capacity((100 << 20) + 16);
        row.extend_from_slice(b"{\"a\":\"");
        row.resize(100 << 20, b'x');
        row.extend_from_slice(
            b"\"}
",
        );
        hostile_guests::output::emit(&hostile_guests::batch(0, 1, row))?;
        hostile_guests::reached("a row of 100 MiB")
    }
}

hostile_guests::source!(Attack);
