//! Change data capture: what was written to the server's log since, by logical replication.
//!
//! A stream is first read as it is, then its changes are, from the slot's position on. That position is
//! before the stream's snapshot, so that no change falls between the two: what the snapshot has already
//! may come once more as a change, and `_ab_cdc_lsn` says which is later. One state covers all streams:
//! up to where the log was read, and which streams were read as they are.
//!
//! The log comes by the replication protocol (`START_REPLICATION`) and not by
//! `pg_logical_slot_peek_binary_changes`: it begins at the saved position without moving the slot, the
//! server sends as fast as rows are taken and keeps no copy, and a second page does not decode the first
//! again. The slot is moved by what a read is given as its state, and so by what the destination has.

mod apply;
mod feed;
mod layout;
mod lsn;
mod mend;
mod pgoutput;
mod positions;
mod requirements;
mod row;
mod server;

use lockgate_sdk::{Catalog, ConfiguredStream, Failure, Output, SavedState, SyncMode};
use postgres_client::Connection;

use self::lsn::Lsn;
use self::mend::REFRESH;
pub(crate) use self::positions::Positions;
pub(crate) use self::requirements::check;
use crate::config::{Config, Replication};
use crate::read::{Keeper, Place, State, find, read_all, selected};
use crate::relation::{Publication, Relation};
use crate::session;

/// A stream of the catalog, and the table it is of.
#[derive(Debug)]
struct Planned<'c> {
    index: usize,
    stream: &'c ConfiguredStream,
    relation: Relation,
}

/// Reads all streams.
pub(crate) fn read(
    config: &Config,
    replication: &Replication,
    catalog: &Catalog,
    state: &SavedState,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let connection = &mut session::open(config)?;
    let publication = Publication::load(connection, replication)?;
    let mut full = Vec::new();
    let mut captured = Vec::new();
    for (index, stream) in catalog.streams.iter().enumerate() {
        let in_stream = |failure: Failure| failure.in_stream(&stream.descriptor);
        let mut relation = find(connection, config, stream).map_err(in_stream)?;
        let reason = publication.capture(&mut relation).err();
        match (stream.sync_mode, reason) {
            (SyncMode::FullRefresh, _) => full.push(Planned { index, stream, relation }),
            (SyncMode::Incremental, None) => captured.push(Planned { index, stream, relation }),
            (SyncMode::Incremental, Some(reason)) => {
                return Err(in_stream(Failure::config(format!(
                    "the changes of the stream cannot be read: {reason}"
                ))));
            }
        }
    }
    let start = requirements::Slot::load(connection, config, replication)?.position;
    if captured.is_empty() {
        return full_reads(connection, config, &full, start, Some(state), output);
    }
    let mut positions = Positions::new(replication, server::identifier(config)?, start, state)?;
    let end = server::end_of_log(connection)?;
    if positions.reached() > end {
        return Err(Failure::config(format!(
            "the stored state is at {}, beyond the end of the server's log, {end}: the server was put back \
             to an earlier time: {REFRESH}",
            positions.reached()
        )));
    }
    for planned in &captured {
        let in_stream = |failure: Failure| failure.in_stream(&planned.stream.descriptor);
        let token = publication.token(&planned.relation);
        let saved = state.stream(&planned.stream.descriptor)?;
        positions.add(planned.index, &planned.stream.descriptor, token, saved);
        apply::Target::validate(planned, &publication).map_err(in_stream)?;
    }
    // One state of all streams has no room for those that are read in full.
    full_reads(connection, config, &full, start, None, output)?;
    first_reads(connection, config, &captured, &mut positions, output)?;
    let mut changes = apply::Changes::new(connection, &captured)?;
    feed::read(config, replication, &mut changes, &mut positions, output)?;
    positions.save(output)?;
    for planned in &captured {
        output.stream(planned.index)?.complete()?;
    }
    Ok(())
}

/// Reads streams in full: by states of their own, or without any.
fn full_reads(
    connection: &mut Connection,
    config: &Config,
    full: &[Planned<'_>],
    start: Lsn,
    states: Option<&SavedState>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    for planned in full {
        let (keeper, saved) = match states {
            Some(states) => (Keeper::Stream, states.stream(&planned.stream.descriptor)?),
            None => (Keeper::Nobody, None),
        };
        let place = Place::new(output, planned.index, keeper);
        snapshot(connection, config, planned, start, saved, place)?;
        output.stream(planned.index)?.complete()?;
    }
    Ok(())
}

/// Reads the streams that were not, or not to their end, as they are.
fn first_reads(
    connection: &mut Connection,
    config: &Config,
    captured: &[Planned<'_>],
    positions: &mut Positions,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut is_settled = false;
    for planned in captured {
        // It is begun with, whether it has rows or not.
        output.stream(planned.index)?;
        if positions.is_read(planned.index) {
            continue;
        }
        if !is_settled {
            server::settle(connection)?;
            is_settled = true;
        }
        let saved = positions.snapshot(planned.index);
        let start = positions.reached();
        let place = Place::new(output, planned.index, Keeper::All(positions));
        snapshot(connection, config, planned, start, saved, place)?;
        positions.is_now_read(planned.index);
    }
    Ok(())
}

/// Reads a stream as it is. Its rows are as old as the log's position: each change that is not read yet
/// is later.
fn snapshot(
    connection: &mut Connection,
    config: &Config,
    planned: &Planned<'_>,
    start: Lsn,
    saved: Option<State>,
    place: Place<'_, '_>,
) -> Result<(), Failure> {
    let read = || {
        let columns = selected(&planned.relation, planned.stream)?;
        let more = if planned.relation.is_captured {
            row::Tail::of_snapshot(start, server::now(connection)?)
        } else {
            String::new()
        };
        read_all(connection, config, &planned.relation, columns, &more, saved, place)
    };
    read().map_err(|failure| failure.in_stream(&planned.stream.descriptor))
}
