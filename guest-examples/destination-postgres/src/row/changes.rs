//! `_airbyte_meta`: what was changed in a row on its way, by the source and here.

use lockgate_sdk::Failure;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::scan::{self, Kind, Nest};
use super::text::push_json;

/// Why a value was changed here.
const REASON: &str = "DESTINATION_SERIALIZATION_ERROR";

/// The changes of one row, as JSON texts.
#[derive(Debug, Default)]
pub(super) struct Changes {
    all: Vec<String>,
}

impl Changes {
    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Keeps what the source says it changed.
    ///
    /// # Errors
    /// It is not Airbyte's `meta`.
    pub(super) fn take_over(&mut self, meta: &str) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Meta<'a> {
            #[serde(borrow, default)]
            changes: Option<Vec<&'a RawValue>>,
        }
        let meta: Meta<'_> = serde_json::from_str(meta).map_err(|_| {
            Failure::system("the `meta` of a row is not a JSON object with `changes`")
        })?;
        for change in meta.changes.into_iter().flatten() {
            if is_storable(change.get()) {
                self.all.push(change.get().to_owned());
            }
        }
        Ok(())
    }

    /// Notes a change of ours.
    pub(super) fn add(&mut self, field: &str, change: &str) {
        let field = serde_json::Value::from(field);
        self.all.push(format!(r#"{{"field":{field},"change":"{change}","reason":"{REASON}"}}"#));
    }

    pub(super) fn write(&self, sync: u64, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = std::io::Write::write_fmt(out, format_args!("{{\"sync_id\":{sync},\"changes\":["));
        for (place, change) in self.all.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            // A character that cannot be kept in a note of a change is no further change.
            let _ = push_json(change.as_bytes(), out);
        }
        out.extend_from_slice(b"]}");
    }
}

/// Is it an object that a column of JSON can hold?
fn is_storable(json: &str) -> bool {
    let mut fits = true;
    let found = scan::members(json.as_bytes(), &mut Nest::default(), |_, value| {
        fits &= match value.kind {
            Kind::Unfit => false,
            Kind::Number => super::number::fits(value.raw(json.as_bytes())),
            _ => true,
        };
    });
    found.is_ok() && fits
}
