//! The attack: a state of a stream that is not in the catalog.

use hostile_guests::{Catalog, Failure, Source, State, StreamDescriptor, StreamState};

impl Source for Attack {
    fn read(_: &Catalog) -> Result<(), Failure> {
        let descriptor = StreamDescriptor::new("nobody");
        let state = StreamState { descriptor, state: Some("{}".to_owned()) };
        hostile_guests::output::checkpoint(&State::Stream(state))?;
        hostile_guests::complete()
    }
}

hostile_guests::source!(Attack);
