//! The attack: a row that is no text, and would forge what a destination reads.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        hostile_guests::output::emit(&hostile_guests::batch(
            0,
            1,
            b"{\"a\":\"\xed\xa0\x80\xff\"}\n".to_vec(),
        ))?;
        hostile_guests::complete()
    }
}

hostile_guests::source!(Attack);
