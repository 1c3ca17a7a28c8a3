//! What a sync will do with each stream, decided before anything runs: from what the source
//! offers, what the destination can, and what the operator asked for.

use crate::config::{Strategy, StreamSelection};
use crate::fault::{ExitClass, Fault};
use crate::protocol::{
    Catalog, ConfiguredStream, DestinationSyncMode, DiscoveredStream, Specification, SyncMode,
};

/// Names listed in an error before the rest is only counted.
const LISTED: usize = 30;

/// Why no plan can be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// A stream that is not there.
    #[error("the source has no stream {name:?}; it has {known}")]
    UnknownStream {
        /// As it was named.
        name: String,
        /// What there is.
        known: String,
    },
    /// A name that several streams have.
    #[error("several streams are named {name:?}: {candidates}")]
    Ambiguous {
        /// As it was named.
        name: String,
        /// With namespaces.
        candidates: String,
    },
    /// Nothing to do.
    #[error("the source has no streams")]
    NoStreams,
    /// The destination cannot.
    #[error("the destination cannot {mode} (stream {stream}); it can {supported}")]
    Unsupported {
        /// The stream.
        stream: String,
        /// What was asked for, in Airbyte's word.
        mode: &'static str,
        /// What it can.
        supported: String,
    },
    /// Merging needs a key.
    #[error("stream {stream} has no primary key to merge by")]
    NoPrimaryKey {
        /// The stream.
        stream: String,
    },
}

impl Fault for PlanError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownStream { .. } => "STREAM_UNKNOWN",
            Self::Ambiguous { .. } => "STREAM_AMBIGUOUS",
            Self::NoStreams => "STREAM_NONE",
            Self::Unsupported { .. } => "MODE_UNSUPPORTED",
            Self::NoPrimaryKey { .. } => "PRIMARY_KEY_MISSING",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownStream { .. } => "`lockgate discover` lists them".into(),
            Self::Ambiguous { .. } => "write namespace.name".into(),
            Self::NoStreams => return None,
            Self::Unsupported { .. } => "--strategy auto takes what both sides can".into(),
            Self::NoPrimaryKey { .. } => "use --strategy append or replace, or leave it out".into(),
        })
    }

    fn exit(&self) -> ExitClass {
        ExitClass::Usage
    }
}

/// The streams to move, how, and what is worth saying about it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Without generations and sync id, which come from the state store.
    pub catalog: Catalog,
    /// For the operator: fallbacks and their consequences.
    pub notes: Vec<String>,
}

impl Plan {
    /// Decides.
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
        let mut notes = Vec::new();
        let mut streams = Vec::new();
        for stream in select(offered, selection)? {
            let (sync_mode, destination_sync_mode) =
                modes(&stream, destination, strategy, full_refresh, &mut notes)?;
            let incremental = sync_mode == SyncMode::Incremental;
            let dedup = destination_sync_mode == DestinationSyncMode::AppendDedup;
            streams.push(ConfiguredStream {
                cursor_field: if incremental || dedup {
                    stream.default_cursor_field.clone()
                } else {
                    Vec::new()
                },
                primary_key: stream.source_defined_primary_key.clone(),
                sync_mode,
                destination_sync_mode,
                generation_id: 0,
                minimum_generation_id: 0,
                sync_id: 0,
                extra: serde_json::Map::new(),
                stream,
            });
        }
        if streams.is_empty() {
            return Err(PlanError::NoStreams);
        }
        Ok(Self { catalog: Catalog { streams }, notes })
    }
}

fn select(
    offered: Vec<DiscoveredStream>,
    selection: &StreamSelection,
) -> Result<Vec<DiscoveredStream>, PlanError> {
    let StreamSelection::Named(names) = selection else { return Ok(offered) };
    let mut chosen = vec![false; offered.len()];
    for name in names {
        let full = |s: &DiscoveredStream| s.descriptor.to_string() == *name;
        let short = |s: &DiscoveredStream| s.descriptor.name == *name;
        let places = |hit: &dyn Fn(&DiscoveredStream) -> bool| -> Vec<usize> {
            offered.iter().enumerate().filter(|(_, s)| hit(s)).map(|(i, _)| i).collect()
        };
        let mut found = places(&full);
        if found.is_empty() {
            found = places(&short);
        }
        match found.as_slice() {
            [only] => chosen[*only] = true,
            [] => {
                let known = offered.iter().map(|s| s.descriptor.to_string());
                return Err(PlanError::UnknownStream { name: name.clone(), known: listed(known) });
            }
            several => {
                let candidates = several.iter().map(|i| offered[*i].descriptor.to_string());
                let candidates = listed(candidates);
                return Err(PlanError::Ambiguous { name: name.clone(), candidates });
            }
        }
    }
    let keep = offered.into_iter().zip(chosen);
    Ok(keep.filter(|(_, chosen)| *chosen).map(|(stream, _)| stream).collect())
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

fn modes(
    stream: &DiscoveredStream,
    destination: &Specification,
    strategy: Strategy,
    full_refresh: bool,
    notes: &mut Vec<String>,
) -> Result<(SyncMode, DestinationSyncMode), PlanError> {
    use DestinationSyncMode::{Append, AppendDedup, Overwrite};
    let name = &stream.descriptor;
    let offers_incremental = stream.sync_modes.contains(&SyncMode::Incremental);
    let has_cursor = stream.source_defined_cursor || !stream.default_cursor_field.is_empty();
    if offers_incremental && !has_cursor && !full_refresh {
        notes.push(format!("stream {name} names no cursor: its source must know one by itself"));
    }
    let sync_mode = if offers_incremental && !full_refresh {
        SyncMode::Incremental
    } else {
        SyncMode::FullRefresh
    };
    let has_key = !stream.source_defined_primary_key.is_empty();
    let require = |mode: DestinationSyncMode| {
        if destination.supports(mode) {
            return Ok(mode);
        }
        let supported = match &destination.destination_sync_modes {
            None => "append".to_owned(),
            Some(modes) => listed(modes.iter().map(|m| m.airbyte().to_owned())),
        };
        let stream = name.to_string();
        Err(PlanError::Unsupported { stream, mode: mode.airbyte(), supported })
    };
    match strategy {
        Strategy::Append => Ok((sync_mode, require(Append)?)),
        Strategy::Replace => Ok((SyncMode::FullRefresh, require(Overwrite)?)),
        Strategy::Merge if !has_key => Err(PlanError::NoPrimaryKey { stream: name.to_string() }),
        Strategy::Merge => Ok((sync_mode, require(AppendDedup)?)),
        Strategy::Auto => {
            if has_key && destination.supports(AppendDedup) {
                return Ok((sync_mode, AppendDedup));
            }
            if sync_mode == SyncMode::Incremental && destination.supports(Append) {
                if has_key {
                    notes.push(format!(
                        "stream {name} has a primary key, but the destination cannot merge: changed rows are appended"
                    ));
                }
                return Ok((sync_mode, Append));
            }
            if destination.supports(Overwrite) {
                return Ok((SyncMode::FullRefresh, Overwrite));
            }
            let mode = require(Append)?;
            notes.push(format!(
                "stream {name} is read in full and the destination cannot replace: every sync adds all rows again"
            ));
            Ok((SyncMode::FullRefresh, mode))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Json;

    fn offered() -> Vec<DiscoveredStream> {
        DiscoveredStream::list_from_airbyte(
            r#"{"streams":[
            {"name":"keyed","json_schema":{},"supported_sync_modes":["full_refresh","incremental"],"source_defined_cursor":true,"source_defined_primary_key":[["id"]]},
            {"name":"plain","namespace":"a","json_schema":{},"supported_sync_modes":["full_refresh"]},
            {"name":"plain","namespace":"b","json_schema":{},"supported_sync_modes":["full_refresh"]}]}"#,
        )
        .unwrap()
    }

    fn can(modes: &[DestinationSyncMode]) -> Specification {
        let mut spec = Specification::from_airbyte(r#"{"connectionSpecification":{}}"#).unwrap();
        spec.config_schema = Json::empty_object();
        spec.destination_sync_modes = Some(modes.to_vec());
        spec
    }

    fn plan(
        modes: &[DestinationSyncMode],
        strategy: Strategy,
        full: bool,
    ) -> Vec<(SyncMode, DestinationSyncMode)> {
        let plan =
            Plan::new(offered(), &can(modes), &StreamSelection::All, strategy, full).unwrap();
        plan.catalog.streams.iter().map(|s| (s.sync_mode, s.destination_sync_mode)).collect()
    }

    #[test]
    fn auto_takes_what_both_sides_can() {
        use DestinationSyncMode::{Append, AppendDedup, Overwrite};
        use SyncMode::{FullRefresh, Incremental};
        let all = [Append, Overwrite, AppendDedup];
        assert_eq!(
            plan(&all, Strategy::Auto, false)[..2],
            [(Incremental, AppendDedup), (FullRefresh, Overwrite)]
        );
        assert_eq!(
            plan(&all[..2], Strategy::Auto, false)[..2],
            [(Incremental, Append), (FullRefresh, Overwrite)]
        );
        assert_eq!(
            plan(&all[..1], Strategy::Auto, false)[..2],
            [(Incremental, Append), (FullRefresh, Append)]
        );
        assert_eq!(
            plan(&all[..2], Strategy::Auto, true)[..2],
            [(FullRefresh, Overwrite), (FullRefresh, Overwrite)]
        );
        assert_eq!(plan(&all[..2], Strategy::Replace, false)[0], (FullRefresh, Overwrite));
        assert_eq!(plan(&all[..2], Strategy::Append, true)[0], (FullRefresh, Append));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_choices() {
        let spec = can(&[DestinationSyncMode::Append]);
        let plan = |names: &str, strategy| {
            Plan::new(offered(), &spec, &StreamSelection::parse(names), strategy, false)
                .map(|p| p.catalog.streams.len())
        };
        assert_eq!(plan("keyed, b.plain", Strategy::Auto), Ok(2));
        let known = "keyed, a.plain, b.plain".to_owned();
        assert_eq!(
            plan("other", Strategy::Auto),
            Err(PlanError::UnknownStream { name: "other".into(), known })
        );
        assert!(matches!(plan("plain", Strategy::Auto), Err(PlanError::Ambiguous { .. })));
        assert!(matches!(
            plan("keyed", Strategy::Replace),
            Err(PlanError::Unsupported { mode: "overwrite", .. })
        ));
        assert!(matches!(plan("a.plain", Strategy::Merge), Err(PlanError::NoPrimaryKey { .. })));
    }
}
