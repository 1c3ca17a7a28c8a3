//! Where the sending of each stream begins: from what the destination confirmed, what the cache has,
//! and what the operator asked for.

use std::collections::HashMap;

use super::place::Place;
use crate::cache::{CacheError, CachePosition, RecordCache};
use crate::protocol::{
    ConfiguredStream, DestinationSyncMode, StateMessage, StateScope, StreamDescriptor, SyncMode,
};
use crate::state::StoredState;

/// Checkpoints taken from a cache at once. A state may be as large as a message, and these are in
/// memory.
pub(super) const CHECKPOINTS: usize = 32;

/// What a cache says of a source's checkpoints, in one look.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The last checkpoint of each scope.
    pub(super) last: HashMap<StateScope, u64>,
    /// Of each state that was looked for: where the last that is equal stands.
    equal: Vec<Option<Vec<(StreamDescriptor, CachePosition)>>>,
}

impl Survey {
    /// Looks through all checkpoints of a source, for states that are equal to these.
    pub(super) fn take(
        cache: &dyn RecordCache,
        source: &str,
        looked_for: &[StoredState],
    ) -> Result<Self, CacheError> {
        let id = cache.describe().id;
        // A state that says its place need not be found.
        let unknown = |state: &StateMessage| Place::of(state).is_none_or(|p| p.cache != id);
        let mut survey = Self { last: HashMap::new(), equal: vec![None; looked_for.len()] };
        let mut after = 0;
        loop {
            let page = cache.checkpoints(source, after, CHECKPOINTS)?;
            let Some(last) = page.last() else { return Ok(survey) };
            after = last.id;
            for checkpoint in page {
                for (stored, equal) in looked_for.iter().zip(&mut survey.equal) {
                    if unknown(&stored.state) && stored.state.same_state(&checkpoint.state) {
                        *equal = Some(checkpoint.positions.clone());
                    }
                }
                survey.last.insert(checkpoint.state.scope().clone(), checkpoint.id);
            }
        }
    }
}

/// What a destination confirmed of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing.
    Nothing,
    /// The rows up to here.
    UpTo(CachePosition),
    /// Something, and it cannot be said what it is in this cache: a sync without it, or with another.
    Elsewhere,
}

/// What the stored states say of a stream. `within`: states of another generation say nothing.
pub(super) fn known(
    stored: &[StoredState],
    survey: &Survey,
    cache: &str,
    stream: &StreamDescriptor,
    within: Option<u64>,
) -> Known {
    let (mut incremental, mut full) = (None, None);
    for (stored, equal) in stored.iter().zip(&survey.equal) {
        if within.is_some_and(|only| stored.generations.get(stream) != Some(&only)) {
            continue;
        }
        let place = Place::of(&stored.state).filter(|place| place.cache == cache);
        let known = match (&place, equal) {
            // A state that does not cover the stream says nothing of it.
            (Some(place), _) => place.position(stream).map(Known::UpTo),
            (None, Some(positions)) => {
                let found = positions.iter().find(|(of, _)| of == stream);
                found.map(|(_, position)| Known::UpTo(*position))
            }
            (None, None) => covers(&stored.state, stream).then_some(Known::Elsewhere),
        };
        let Some(known) = known else { continue };
        let slot = if stored.of_full_read { &mut full } else { &mut incremental };
        *slot = Some(known);
    }
    match (incremental, full) {
        // A full read that was not through the cache changes nothing of what came out of it.
        (Some(Known::UpTo(at)), Some(Known::UpTo(also))) => Known::UpTo(at.max(also)),
        (Some(known), _) | (None, Some(known)) => known,
        (None, None) => Known::Nothing,
    }
}

fn covers(state: &StateMessage, stream: &StreamDescriptor) -> bool {
    match state.scope() {
        StateScope::Stream(of) => of == stream,
        StateScope::Global => state.parts().iter().any(|part| part.descriptor == *stream),
        StateScope::Legacy => true,
    }
}

/// What is sent of a stream: the rows with numbers above `after`, up to `up_to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) descriptor: StreamDescriptor,
    pub(super) after: u64,
    pub(super) up_to: CachePosition,
    /// A source goes on from its states.
    pub(super) resumed: bool,
}

/// What is there of a stream, and what this sync is to do with it.
#[derive(Debug)]
pub(super) struct Offer<'a> {
    pub(super) stream: &'a ConfiguredStream,
    /// Before the first row of the read that is written; none: no read, all that the cache has.
    pub(super) from: Option<CachePosition>,
    /// The last row.
    pub(super) up_to: CachePosition,
    /// States say nothing of it: a full refresh, or a refresh that begins.
    pub(super) again: bool,
    /// A refresh that was interrupted: rows of it are in the destination.
    pub(super) goes_on: bool,
    /// A read result is written: what the cache has besides is not asked for.
    pub(super) only_the_read: bool,
}

/// Why a stream cannot be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PositionUnknown(pub(super) StreamDescriptor);

/// Where the sending begins. What is worth saying about it goes to `notes`.
pub(super) fn begin(
    offer: &Offer<'_>,
    known: Known,
    notes: &mut Vec<String>,
) -> Result<Part, PositionUnknown> {
    let Offer { stream, from, up_to, .. } = offer;
    let name = &stream.stream.descriptor;
    let resumed = stream.sync_mode == SyncMode::Incremental;
    let part = |after: u64| Part { descriptor: name.clone(), after, up_to: *up_to, resumed };
    let beginning_of_read = from.map_or(0, |from| from.row);
    if stream.truncates() {
        // An overwrite by what is new would lose the rest.
        return Ok(match known {
            Known::UpTo(at) if offer.goes_on && at.generation == up_to.generation => part(at.row),
            _ => part(0),
        });
    }
    if offer.again {
        return Ok(part(beginning_of_read));
    }
    match known {
        // Each read of it is all of it: those before were for who was there.
        Known::Nothing if offer.only_the_read || !resumed => Ok(part(beginning_of_read)),
        Known::Nothing => Ok(part(0)),
        Known::UpTo(at) => {
            if at.generation != up_to.generation && at.row > 0 && up_to.row > at.row {
                notes.push(format!(
                    "stream {name}: its rows in the cache were replaced since the destination got them; all of them are sent"
                ));
            }
            if offer.only_the_read && at.row < beginning_of_read {
                notes.push(format!(
                    "stream {name}: the destination was behind this read; rows of reads before it are sent as well"
                ));
            }
            Ok(part(at.row.min(up_to.row)))
        }
        // Every sync reads it in full, and this one has.
        Known::Elsewhere if stream.sync_mode == SyncMode::FullRefresh && from.is_some() => {
            Ok(part(beginning_of_read))
        }
        Known::Elsewhere if stream.destination_sync_mode == DestinationSyncMode::AppendDedup => {
            notes.push(format!(
                "stream {name}: what the destination has did not come through this cache; all that the cache has is sent, and merged there"
            ));
            Ok(part(0))
        }
        Known::Elsewhere => Err(PositionUnknown(name.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Catalog, Json};

    fn configured(mode: &str, destination: &str, minimum: u64) -> ConfiguredStream {
        let text = format!(
            r#"{{"streams":[{{"stream":{{"name":"a","json_schema":{{}},"supported_sync_modes":["full_refresh","incremental"]}},
            "sync_mode":"{mode}","destination_sync_mode":"{destination}","primary_key":[["id"]],
            "generation_id":3,"minimum_generation_id":{minimum},"sync_id":1}}]}}"#
        );
        Catalog::from_airbyte(&text).unwrap().streams.remove(0)
    }

    fn at(generation: u64, row: u64) -> CachePosition {
        CachePosition { generation, row }
    }

    fn offer(stream: &ConfiguredStream) -> Offer<'_> {
        let (from, up_to) = (Some(at(1, 100)), at(1, 150));
        Offer { stream, from, up_to, again: false, goes_on: false, only_the_read: false }
    }

    fn after(offer: &Offer<'_>, known: Known) -> Result<u64, PositionUnknown> {
        begin(offer, known, &mut Vec::new()).map(|part| part.after)
    }

    #[test]
    fn a_destination_that_is_behind_catches_up() {
        let append = configured("incremental", "append", 0);
        let it = offer(&append);
        assert_eq!(after(&it, Known::Nothing), Ok(0));
        assert_eq!(after(&it, Known::UpTo(at(1, 60))), Ok(60));
        assert_eq!(after(&it, Known::UpTo(at(1, 150))), Ok(150));
        let read = Offer { only_the_read: true, ..it };
        assert_eq!(after(&read, Known::Nothing), Ok(100));
        assert_eq!(after(&read, Known::UpTo(at(1, 60))), Ok(60));
        assert_eq!(after(&read, Known::UpTo(at(1, 900))), Ok(150));
    }

    #[test]
    fn what_replaces_is_sent_as_a_whole() {
        let replaced = configured("full_refresh", "overwrite", 3);
        assert_eq!(after(&offer(&replaced), Known::UpTo(at(1, 150))), Ok(0));
        let truncated = configured("incremental", "append_dedup", 3);
        let it = offer(&truncated);
        assert_eq!(after(&it, Known::UpTo(at(1, 120))), Ok(0));
        let open = Offer { goes_on: true, ..it };
        assert_eq!(after(&open, Known::UpTo(at(1, 120))), Ok(120));
        assert_eq!(after(&open, Known::UpTo(at(7, 120))), Ok(0), "rows of another refresh");
    }

    #[test]
    fn a_read_that_is_asked_for_again_is_sent_again() {
        let append = configured("incremental", "append", 0);
        let again = Offer { again: true, ..offer(&append) };
        assert_eq!(after(&again, Known::UpTo(at(1, 150))), Ok(100));
        assert_eq!(after(&Offer { from: None, ..again }, Known::Nothing), Ok(0));
    }

    #[test]
    fn a_position_that_nobody_knows_is_refused_where_rows_would_be_there_twice() {
        let append = configured("incremental", "append", 0);
        let name = append.stream.descriptor.clone();
        assert_eq!(after(&offer(&append), Known::Elsewhere), Err(PositionUnknown(name)));
        let merged = configured("incremental", "append_dedup", 0);
        let mut notes = Vec::new();
        assert_eq!(begin(&offer(&merged), Known::Elsewhere, &mut notes).unwrap().after, 0);
        assert_eq!(notes.len(), 1);
        let full = configured("full_refresh", "append", 0);
        assert_eq!(after(&offer(&full), Known::Elsewhere), Ok(100));
        assert_eq!(after(&offer(&full), Known::Nothing), Ok(100));
        assert_eq!(after(&offer(&full), Known::UpTo(at(1, 60))), Ok(60));
    }

    #[test]
    fn stored_states_say_how_far_the_destination_is() {
        let state = |text: &str| StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap();
        let a = StreamDescriptor::new("a");
        let of = |n: u64, place: &str| {
            state(&format!(
                r#"{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"a"}},"stream_state":{{"n":{n}}}}}{place}}}"#
            ))
        };
        let full = |state| StoredState { of_full_read: true, ..StoredState::incremental(state) };
        let here = |row: u64| format!(r#","lockgate":{{"cache":"c","generation":1,"row":{row}}}"#);
        let other = r#","lockgate":{"cache":"x","generation":1,"row":9}"#;
        let survey = |count| Survey { last: HashMap::new(), equal: vec![None; count] };
        let known = |stored: &[StoredState]| known(stored, &survey(stored.len()), "c", &a, None);

        assert_eq!(known(&[]), Known::Nothing);
        let (sent, tail) = (StoredState::incremental(of(1, &here(5))), full(of(2, &here(8))));
        assert_eq!(known(std::slice::from_ref(&sent)), Known::UpTo(at(1, 5)));
        assert_eq!(known(&[sent.clone(), tail.clone()]), Known::UpTo(at(1, 8)));
        let direct = StoredState::incremental(of(3, ""));
        assert_eq!(known(&[direct.clone(), tail.clone()]), Known::Elsewhere);
        assert_eq!(known(&[StoredState::incremental(of(3, other)), tail]), Known::Elsewhere);
        assert_eq!(known(&[sent, full(of(3, ""))]), Known::UpTo(at(1, 5)));
        let found = Survey { last: HashMap::new(), equal: vec![Some(vec![(a.clone(), at(1, 4))])] };
        let known = |within| super::known(std::slice::from_ref(&direct), &found, "c", &a, within);
        assert_eq!(known(None), Known::UpTo(at(1, 4)));
        assert_eq!(known(Some(2)), Known::Nothing);
    }
}
