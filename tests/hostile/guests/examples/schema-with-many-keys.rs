//! The attack: a stream whose schema has 1,000,000 keys.

use hostile_guests::{DiscoveredStream, Failure, Source, stream};

impl Source for Attack {
    fn discover() -> Result<Vec<DiscoveredStream>, Failure> {
        let mut one = stream("rows");
        let keys: Vec<String> = (0..1_000_000).map(|key| format!("\"{key}\":1")).collect();
        one.json_schema = format!("{{{}}}", keys.join(","));
        Ok(vec![one])
    }
}

hostile_guests::source!(Attack);
