//! The attack: a state of 1,000,000 keys, each twice, and numbers no machine has.

use hostile_guests::{Catalog, Failure, Source};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        hostile_guests::begin()?;
        let mut state = String::from("{\"n\":1e999999999");
        for key in 0..1_000_000 {
            state.push_str(&format!(",\"{}\":1", key % 500_000));
        }
        state.push(char::from(b'}'));
        hostile_guests::checkpoint(state)?;
        hostile_guests::emit(1)?;
        hostile_guests::complete()
    }
}

hostile_guests::source!(Attack);
