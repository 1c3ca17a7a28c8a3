//! How a stream is read and written: the strategy, against what both sides can.

use super::fields::Fields;
use super::{PlanError, Wanted, listed};
use crate::config::Strategy;
use crate::protocol::{DestinationSyncMode, DiscoveredStream, Specification, SyncMode};
use crate::sync::Refresh;

/// Modes, and why these.
pub(super) struct Modes {
    pub(super) read: SyncMode,
    pub(super) write: DestinationSyncMode,
    /// A sentence without its full stop.
    pub(super) why: String,
    /// What the operator must know besides: what could not be had.
    pub(super) fallbacks: Vec<String>,
}

/// What a destination says it can.
pub(in crate::sync) fn supported(destination: &Specification) -> String {
    match &destination.destination_sync_modes {
        None => "append".to_owned(),
        Some(modes) => listed(modes.iter().map(|m| m.airbyte().to_owned())),
    }
}

pub(super) fn modes(
    stream: &DiscoveredStream,
    destination: &Specification,
    fields: &Fields,
    strategy: Strategy,
    wanted: &Wanted<'_>,
) -> Result<Modes, PlanError> {
    use DestinationSyncMode::{Append, AppendDedup, Overwrite};
    let name = &stream.descriptor;
    let mut fallbacks = Vec::new();
    let offers = stream.sync_modes.contains(&SyncMode::Incremental);
    let (read, why_read) = if wanted.full_refresh {
        (SyncMode::FullRefresh, "a full refresh was asked for")
    } else if !offers {
        (SyncMode::FullRefresh, "the source reads it in full only")
    } else if !fields.has_cursor() {
        fallbacks.push(format!(
            "stream {name} could be read incrementally, but has no cursor: it is read in full (say cursor-field in the connection's stream-options)"
        ));
        (SyncMode::FullRefresh, "it has no cursor")
    } else {
        (SyncMode::Incremental, "the source reads what is new")
    };
    let require = |mode: DestinationSyncMode| {
        if destination.supports(mode) {
            return Ok(mode);
        }
        let (stream, supported) = (name.to_string(), supported(destination));
        Err(PlanError::Unsupported { stream, mode: mode.airbyte(), supported })
    };
    let has_key = !fields.key.is_empty();
    let (read, write, why) = match strategy {
        Strategy::Append => (read, require(Append)?, format!("append was asked for; {why_read}")),
        Strategy::Replace => {
            (SyncMode::FullRefresh, require(Overwrite)?, "replace was asked for".to_owned())
        }
        Strategy::Merge if !has_key => {
            return Err(PlanError::NoPrimaryKey { stream: name.to_string() });
        }
        Strategy::Merge => {
            (read, require(AppendDedup)?, format!("merge was asked for; {why_read}"))
        }
        Strategy::Auto if has_key && destination.supports(AppendDedup) => {
            (read, AppendDedup, format!("it has a primary key; {why_read}"))
        }
        Strategy::Auto if read == SyncMode::Incremental && destination.supports(Append) => {
            let why = if has_key {
                fallbacks.push(format!(
                    "stream {name} has a primary key, but the destination cannot merge: changed rows are appended"
                ));
                format!("the destination cannot merge; {why_read}")
            } else {
                format!("it has no primary key; {why_read}")
            };
            (read, Append, why)
        }
        Strategy::Auto if destination.supports(Overwrite) => {
            let why = match read {
                SyncMode::Incremental => "the destination can neither merge nor append".to_owned(),
                SyncMode::FullRefresh => why_read.to_owned(),
            };
            (SyncMode::FullRefresh, Overwrite, why)
        }
        Strategy::Auto => {
            let mode = require(Append)?;
            fallbacks.push(format!(
                "stream {name} is read in full and the destination cannot replace: every sync adds all rows again"
            ));
            (SyncMode::FullRefresh, mode, format!("the destination can only append; {why_read}"))
        }
    };
    let modes = Modes { read, write, why, fallbacks };
    truncating(modes, stream, destination, wanted)
}

/// The same where earlier rows have to disappear: a destination that does not know generations must
/// overwrite.
fn truncating(
    mut modes: Modes,
    stream: &DiscoveredStream,
    destination: &Specification,
    wanted: &Wanted<'_>,
) -> Result<Modes, PlanError> {
    use DestinationSyncMode::Overwrite;
    let name = &stream.descriptor;
    let word = match (wanted.clear, wanted.refresh) {
        (true, _) => "--clear",
        (false, Some(Refresh::Truncate)) => "--refresh truncate",
        (false, Some(Refresh::Retain)) if modes.write == Overwrite => {
            modes.fallbacks.push(format!(
                "stream {name} is overwritten by every sync: --refresh retain keeps none of its earlier rows"
            ));
            return Ok(modes);
        }
        (false, _) => return Ok(modes),
    };
    if modes.write == Overwrite || destination.supports_refreshes() {
        return Ok(modes);
    }
    if !destination.supports(Overwrite) {
        let (stream, supported) = (name.to_string(), supported(destination));
        return Err(PlanError::CannotTruncate { stream, wanted: word, supported });
    }
    modes.why = format!("{word}, and the destination does not know generations");
    modes.write = Overwrite;
    Ok(modes)
}
