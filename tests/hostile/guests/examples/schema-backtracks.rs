//! The attack: a configuration schema with a pattern that takes ages to match.

use hostile_guests::{Source, Specification, specification};

impl Source for Attack {
    fn spec() -> Specification {
        let config_schema = r#"{"properties":{"text":{"pattern":"^(a+)+(?=b)$"}}}"#;
        Specification { config_schema: config_schema.to_owned(), ..specification() }
    }
}

hostile_guests::source!(Attack);
