//! The attack: a catalog of 150,000 streams, each with a name of its own.

use hostile_guests::{DiscoveredStream, Failure, Source, stream};

impl Source for Attack {
    fn discover() -> Result<Vec<DiscoveredStream>, Failure> {
        Ok((0..150_000).map(|number| stream(&number.to_string())).collect())
    }
}

hostile_guests::source!(Attack);
