//! What went wrong, and who can mend it.

use std::io;

use fallible_iterator::FallibleIterator as _;
use lockgate_sdk::{Failure, FailureKind};
use postgres_protocol::message::backend::ErrorFields;

/// A failure that the server told of, and its SQLSTATE.
pub(crate) struct Told {
    pub(crate) failure: Failure,
    pub(crate) state: String,
}

/// Reads what the server tells.
pub(crate) fn on_server(mut fields: ErrorFields<'_>, what: &str) -> Told {
    let (mut state, mut message) = (String::new(), String::new());
    // Detail, context and the rest may hold values.
    while let Ok(Some(field)) = fields.next() {
        match field.type_() {
            b'C' => state = String::from_utf8_lossy(field.value_bytes()).into_owned(),
            b'M' => message = String::from_utf8_lossy(field.value_bytes()).into_owned(),
            _ => {}
        }
    }
    Told { failure: from_state(&state, &message, what), state }
}

fn from_state(state: &str, message: &str, what: &str) -> Failure {
    let text = match state.get(..2) {
        // Messages about data hold the data, and what a trigger raises holds anything.
        Some("22" | "P0") => format!("{what} failed: SQLSTATE {state}"),
        _ => format!("{what} failed: {message} (SQLSTATE {state})"),
    };
    Failure::new(kind(state), text)
}

fn kind(state: &str) -> FailureKind {
    use FailureKind as K;
    match state {
        // Permission, wrong kind of object, a view in the way, no such database or schema.
        "42501" | "42809" | "2BP01" | "3D000" | "3F000" | "0A000" => K::Config,
        // Serialization, deadlock, lock timeout, object in use, a server that only reads (failover).
        "40001" | "40P01" | "55P03" | "55006" | "25006" => K::Transient,
        _ => match state.get(..2) {
            // Authentication; constraints that somebody put on the table.
            Some("28" | "23") => K::Config,
            // Connection, resources, operator's intervention.
            Some("08" | "53" | "57") => K::Transient,
            _ => K::System,
        },
    }
}

/// The connection is gone.
pub(crate) fn lost(error: io::Error) -> Failure {
    Failure::transient("the connection to the database was lost").with_detail(error)
}

/// The server does not speak the protocol.
pub(crate) fn no_longer(how: &str) -> Failure {
    Failure::system(format!("the server does not speak PostgreSQL's protocol: {how}"))
}

/// As [`no_longer`], or the password is not what the server has: this is how SCRAM fails here.
pub(crate) fn strange(error: io::Error) -> Failure {
    no_longer("a message cannot be read").with_detail(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_say_who_can_mend_it() {
        use FailureKind as K;
        for (state, expected) in [
            ("28P01", K::Config),
            ("3D000", K::Config),
            ("42501", K::Config),
            ("08006", K::Transient),
            ("53100", K::Transient),
            ("57P01", K::Transient),
            ("40001", K::Transient),
            ("40P01", K::Transient),
            ("55P03", K::Transient),
            ("22P02", K::System),
            ("XX000", K::System),
            ("", K::System),
        ] {
            assert_eq!(kind(state), expected, "{state}");
        }
    }

    #[test]
    fn values_are_not_told() {
        let message = "invalid input syntax for type bigint: \"secret\"";
        let failure = from_state("22P02", message, "writing to \"a\".\"b\"");
        assert_eq!(failure.message, "writing to \"a\".\"b\" failed: SQLSTATE 22P02");
    }
}
