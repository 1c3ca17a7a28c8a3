//! The attack: a catalog of 1,000,000 streams.

use hostile_guests::{DiscoveredStream, Failure, Source, stream};

impl Source for Attack {
    fn discover() -> Result<Vec<DiscoveredStream>, Failure> {
        let mut one = stream("rows");
        one.json_schema = "{}".to_owned();
        Ok(vec![one; 1_000_000])
    }
}

hostile_guests::source!(Attack);
