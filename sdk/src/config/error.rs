//! Why a value does not fit its type, told without the value.

use std::fmt::{self, Display, Write as _};

use serde::de::{Expected, Unexpected};

/// Where and why.
#[derive(Debug)]
pub(super) struct Error {
    /// The members and places that lead to the value, innermost first.
    steps: Vec<Step>,
    /// The rest of a sentence that starts with the place.
    pub(super) reason: String,
}

#[derive(Debug)]
pub(super) enum Step {
    Member(String),
    Place(usize),
}

impl Error {
    fn new(reason: String) -> Self {
        Self { steps: Vec::new(), reason }
    }

    pub(super) fn at(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The place as in `servers[2].port`; empty for the whole.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            match step {
                Step::Member(name) if path.is_empty() => path.push_str(name),
                Step::Member(name) => {
                    path.push('.');
                    path.push_str(name);
                }
                Step::Place(place) => {
                    let _ = write!(path, "[{place}]");
                }
            }
        }
        path
    }
}

fn kind(value: &Unexpected<'_>) -> &'static str {
    match value {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Bytes(_) | Unexpected::Seq => "an array",
        Unexpected::NewtypeStruct | Unexpected::Map => "an object",
        _ => "something else",
    }
}

fn one_of(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [name] => name.clone(),
        names => format!("one of {}", names.join(", ")),
    }
}

impl serde::de::Error for Error {
    /// The type's author wrote the message and answers for its content.
    fn custom<T: Display>(message: T) -> Self {
        Self::new(format!("is wrong: {message}"))
    }

    fn invalid_type(value: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("is {}, not {expected}", kind(&value)))
    }

    fn invalid_value(value: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("is {} out of range, not {expected}", kind(&value)))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("has {length} members, not {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("is not {}", one_of(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "has a member `{}` that is not {}",
            field.escape_debug(),
            one_of(expected)
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("has no member `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("has the member `{field}` twice"))
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path(), self.reason)
    }
}

impl std::error::Error for Error {}
