//! What a sync will do with each stream, decided before anything runs: from what the source
//! offers, what the destination can, and what the operator asked for.

mod error;
mod fields;
mod modes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use error::PlanError;
pub use fields::NamedBy;
pub(super) use modes::supported;

use self::fields::Fields;
use self::modes::{Modes, modes};
use super::{Refresh, WriteOptions};
use crate::config::{Strategy, StreamOptions, StreamSelection};
use crate::protocol::{
    Catalog, ConfiguredStream, DestinationSyncMode, DiscoveredStream, Specification, SyncMode,
};

/// Names listed in an error before the rest is only counted.
const LISTED: usize = 30;

/// What the operator asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Which streams.
    pub streams: &'a StreamSelection,
    /// How to write those of which nothing else is said.
    pub strategy: Strategy,
    /// Read everything again, whatever the states say.
    pub full_refresh: bool,
    /// Read everything again and go on from there.
    pub refresh: Option<Refresh>,
    /// Read nothing, and leave nothing.
    pub clear: bool,
    /// What is said of single streams, by `name` or `namespace.name`.
    pub stream_options: &'a BTreeMap<String, StreamOptions>,
}

impl<'a> From<&'a WriteOptions> for Wanted<'a> {
    fn from(options: &'a WriteOptions) -> Self {
        Self {
            streams: &options.streams,
            strategy: options.strategy,
            full_refresh: options.full_refresh,
            refresh: options.refresh,
            clear: options.clear,
            stream_options: &options.stream_options,
        }
    }
}

impl Wanted<'_> {
    /// Refuses wishes that exclude each other.
    fn must_agree(&self) -> Result<(), PlanError> {
        const CLEAR: &str = "--clear";
        let refresh = match self.refresh {
            Some(Refresh::Retain) => Some("--refresh retain"),
            Some(Refresh::Truncate) => Some("--refresh truncate"),
            None => None,
        };
        let full = self.full_refresh.then_some("--full-refresh");
        let clear = self.clear.then_some(CLEAR);
        for (one, other) in [(clear, refresh), (clear, full), (refresh, full)] {
            if let (Some(one), Some(other)) = (one, other) {
                return Err(PlanError::Conflict { one, other });
            }
        }
        Ok(())
    }
}

/// The streams to move, how, and what is worth saying about it.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Without generations and sync id, which come from the state store.
    pub catalog: Catalog,
    /// Why each stream is moved so, in the catalog's order; empty where it was planned elsewhere.
    pub reasons: Vec<StreamReasons>,
    /// For the operator: fallbacks and their consequences.
    pub notes: Vec<String>,
}

/// Why a stream is moved as it is.
#[derive(Debug, Clone, Default)]
pub struct StreamReasons {
    /// Why it has these modes: a sentence without its full stop.
    pub modes: String,
    /// Who named its cursor.
    pub cursor: NamedBy,
    /// Who named its key.
    pub primary_key: NamedBy,
}

impl Plan {
    /// Decides, where nothing is said of single streams.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(
        offered: Vec<DiscoveredStream>,
        destination: &Specification,
        selection: &StreamSelection,
        strategy: Strategy,
        full_refresh: bool,
    ) -> Result<Self, PlanError> {
        let wanted = Wanted {
            streams: selection,
            strategy,
            full_refresh,
            refresh: None,
            clear: false,
            stream_options: &BTreeMap::new(),
        };
        Self::of(offered, destination, &wanted)
    }

    /// Decides.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn of(
        offered: Vec<DiscoveredStream>,
        destination: &Specification,
        wanted: &Wanted<'_>,
    ) -> Result<Self, PlanError> {
        wanted.must_agree()?;
        let mut options = vec![None; offered.len()];
        for (name, said) in wanted.stream_options {
            options[place(&offered, name)?] = Some(said);
        }
        let chosen = chosen(&offered, wanted.streams)?;
        let mut plan = Self::default();
        for ((stream, options), chosen) in offered.into_iter().zip(options).zip(chosen) {
            if chosen {
                plan.add(stream, options, destination, wanted)?;
            }
        }
        if plan.catalog.streams.is_empty() {
            return Err(PlanError::NoStreams);
        }
        Ok(plan)
    }

    fn add(
        &mut self,
        stream: DiscoveredStream,
        options: Option<&StreamOptions>,
        destination: &Specification,
        wanted: &Wanted<'_>,
    ) -> Result<(), PlanError> {
        let fields = Fields::of(&stream, options)?;
        let strategy = options.and_then(|o| o.strategy).unwrap_or(wanted.strategy);
        let modes = modes(&stream, destination, &fields, strategy, wanted)?;
        let Modes { read, write, why, fallbacks } = modes;
        let dedup = write == DestinationSyncMode::AppendDedup;
        if dedup {
            fields.must_have_key(&stream)?;
        }
        self.notes.extend(fallbacks);
        // A source that reads in full needs none, and a destination that merges tells by it which of
        // two rows is the later one.
        let uses_cursor = dedup || read == SyncMode::Incremental;
        if fields.cursor_from == NamedBy::Configured && !uses_cursor {
            self.notes.push(format!(
                "stream {} is neither read incrementally nor merged: its configured cursor {} is of no use",
                stream.descriptor,
                fields::shown(&fields.cursor)
            ));
        }
        let cursor = if uses_cursor { fields.cursor_from } else { NamedBy::Nobody };
        let reasons = StreamReasons { modes: why, cursor, primary_key: fields.key_from };
        self.reasons.push(reasons);
        self.catalog.streams.push(ConfiguredStream {
            cursor_field: if uses_cursor { fields.cursor } else { Vec::new() },
            primary_key: fields.key,
            sync_mode: read,
            destination_sync_mode: write,
            generation_id: 0,
            minimum_generation_id: 0,
            sync_id: 0,
            extra: serde_json::Map::new(),
            stream,
        });
        Ok(())
    }
}

/// Which of the streams are asked for.
fn chosen(
    offered: &[DiscoveredStream],
    selection: &StreamSelection,
) -> Result<Vec<bool>, PlanError> {
    let StreamSelection::Named(names) = selection else { return Ok(vec![true; offered.len()]) };
    let mut chosen = vec![false; offered.len()];
    for name in names {
        chosen[place(offered, name)?] = true;
    }
    Ok(chosen)
}

/// The stream of a name: `namespace.name`, or `name` where there is only one.
fn place(offered: &[DiscoveredStream], name: &str) -> Result<usize, PlanError> {
    let full = |s: &DiscoveredStream| s.descriptor.to_string() == name;
    let short = |s: &DiscoveredStream| s.descriptor.name == name;
    let places = |hit: &dyn Fn(&DiscoveredStream) -> bool| -> Vec<usize> {
        offered.iter().enumerate().filter(|(_, s)| hit(s)).map(|(i, _)| i).collect()
    };
    let mut found = places(&full);
    if found.is_empty() {
        found = places(&short);
    }
    let name = name.to_owned();
    match found.as_slice() {
        [only] => Ok(*only),
        [] => {
            let known = offered.iter().map(|s| s.descriptor.to_string());
            Err(PlanError::UnknownStream { name, known: listed(known) })
        }
        several => {
            let candidates = several.iter().map(|i| offered[*i].descriptor.to_string());
            Err(PlanError::Ambiguous { name, candidates: listed(candidates) })
        }
    }
}

fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let count = names.len();
    let mut shown: Vec<String> = names.take(LISTED).collect();
    if shown.is_empty() {
        return "none".into();
    }
    if count > LISTED {
        shown.push(format!("and {} more", count - LISTED));
    }
    shown.join(", ")
}
