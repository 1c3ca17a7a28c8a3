//! The attack: a configuration schema that refers to itself without end.

use hostile_guests::{Source, Specification, specification};

impl Source for Attack {
    fn spec() -> Specification {
        let config_schema = r##"{"definitions":{"a":{"$ref":"#/definitions/b"},
            "b":{"$ref":"#/definitions/a"}},"$ref":"#/definitions/a"}"##;
        Specification { config_schema: config_schema.to_owned(), ..specification() }
    }
}

hostile_guests::source!(Attack);
