//! How the streams of a cached sync begin.
//!
//! A generation is the destination's matter. Whether the source reads a stream again depends on it all
//! the same: a refresh that was asked for is read once, and one of which the destination has something
//! was read before.

use crate::protocol::Specification;
use crate::state::{Open, StoredState};
use crate::sync::numbers::{Begin, number};
use crate::sync::write::blocking;
use crate::sync::{Plan, SyncError, WriteOptions};

/// How a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Begins {
    /// It is read from its beginning, whatever states say.
    pub(super) again: bool,
    /// What was begun in its generation goes on.
    pub(super) goes_on: bool,
}

/// Gives the streams their numbers, and says how each begins; with the destination's states.
pub(super) async fn begin_streams(
    plan: &mut Plan,
    connection: &str,
    options: &WriteOptions,
    begin: Begin,
    destination: &Specification,
) -> Result<(Vec<Begins>, Vec<StoredState>), SyncError> {
    let store = options.store();
    // A full read that was interrupted is not gone on with: by then the cache may have other rows.
    let streams = plan.catalog.streams.iter_mut();
    let resumable: Vec<bool> = streams.map(|s| std::mem::take(&mut s.stream.resumable)).collect();
    number(plan, connection, &store, begin, destination).await?;
    for (stream, resumable) in plan.catalog.streams.iter_mut().zip(resumable) {
        stream.stream.resumable = resumable;
    }
    let key = connection.to_owned();
    let (generations, stored) =
        blocking(&store, move |s| Ok((s.generations(&key)?, s.load(&key)?))).await?;
    let begins = plan.catalog.streams.iter().map(|stream| {
        let name = &stream.stream.descriptor;
        let open = generations.iter().find(|(of, _)| of == name).and_then(|(_, g)| g.open);
        let refresh = matches!(open, Some(Open::Refresh | Open::TruncatingRefresh));
        let in_it = |s: &StoredState| s.generations.get(name) == Some(&stream.generation_id);
        let goes_on = open.is_some() && stored.iter().any(in_it);
        // What an earlier attempt of this sync stored is not old.
        let full = begin.full_refresh && !(goes_on && begin.again.is_some());
        Begins { again: full || (refresh && !goes_on), goes_on }
    });
    let begins = begins.collect();
    Ok((begins, stored))
}
