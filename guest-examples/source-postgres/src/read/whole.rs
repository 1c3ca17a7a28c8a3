//! A full refresh in one go: of a view, a foreign table, or what only some columns may be read of.

use lockgate_sdk::Failure;

use super::Reading;
use super::state::State;

/// Reads all rows; a state says only that they were.
pub(super) fn read(reading: &mut Reading<'_, '_>, saved: Option<State>) -> Result<(), Failure> {
    if saved != Some(State::Whole {}) {
        reading.write_all(&reading.select(""))?;
    }
    reading.out.checkpoint(State::Whole {})
}
