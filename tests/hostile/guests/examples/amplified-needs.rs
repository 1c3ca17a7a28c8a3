//! The attack: a specification of 100,000 needs of 1 KiB each, to be printed and kept.

use hostile_guests::{Source, Specification, specification};
use lockgate_sdk::bindings::types::Need;

impl Source for Attack {
    fn spec() -> Specification {
        let need = Need {
            capability: "network".to_owned(),
            pattern: "x".repeat(1 << 10),
            reason: String::new(),
        };
        Specification { needs: vec![need; 100_000], ..specification() }
    }
}

hostile_guests::source!(Attack);
