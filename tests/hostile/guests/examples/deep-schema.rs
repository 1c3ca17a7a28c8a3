//! The attack: a configuration schema nested 100,000 deep, to overflow the validator's stack.

use hostile_guests::{Source, Specification, specification};

impl Source for Attack {
    fn spec() -> Specification {
        let (open, close) = (r#"{"not":"#.repeat(100_000), "}".repeat(100_000));
        Specification { config_schema: format!("{open}{{}}{close}"), ..specification() }
    }
}

hostile_guests::source!(Attack);
