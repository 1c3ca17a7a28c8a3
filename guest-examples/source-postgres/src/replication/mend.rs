//! What is said to whoever has to mend it when changes are lost, or may be.

use lockgate_sdk::{StreamDescriptor, log};
use postgres_client::literal;

/// What has the destination as the tables are. To forget states alone would leave rows there that were deleted
/// meanwhile, or add all of them again.
pub(super) const REFRESH: &str = "refresh all streams of the connection (lockgate sync --refresh truncate), so \
                                  that all rows are read again";

/// Makes a slot, as SQL.
pub(super) fn make_slot(slot: &str) -> String {
    format!("SELECT pg_create_logical_replication_slot({}, 'pgoutput')", literal(slot))
}

/// Makes a slot anew that cannot be read as it is, and what has to follow.
pub(super) fn make_slot_anew(slot: &str) -> String {
    let drop = format!("SELECT pg_drop_replication_slot({})", literal(slot));
    format!("{drop}; {}; then {REFRESH}", make_slot(slot))
}

/// Says that rows may be there that are no longer in a table.
pub(super) fn warn_again(stream: &StreamDescriptor, why: &str) {
    log::warn(format_args!(
        "the stream {stream} is read again from its start: {why}; rows that were deleted meanwhile stay \
         where they were written, unless the stream is refreshed"
    ));
}
