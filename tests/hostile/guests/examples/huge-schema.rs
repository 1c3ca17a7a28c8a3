//! The attack: a configuration schema of 8 MiB, to be parsed into many times as much.

use hostile_guests::{Source, Specification, specification};

impl Source for Attack {
    fn spec() -> Specification {
        let config_schema = format!(r#"{{"type":"object","title":"{}"}}"#, "x".repeat(8 << 20));
        Specification { config_schema, ..specification() }
    }
}

hostile_guests::source!(Attack);
