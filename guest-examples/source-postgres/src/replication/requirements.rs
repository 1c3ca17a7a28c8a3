//! What the server must have, and how it gets it.

use lockgate_sdk::{Failure, log};
use postgres_client::{Connection, literal, quote};

use super::lsn::Lsn;
use super::mend::{self, REFRESH};
use crate::config::{Config, Replication};
use crate::relation::{Filter, Publication, Relation, load};
use crate::session;

/// Tables that a message lists.
const NAMED: usize = 5;

/// A replication slot that can be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// What was committed before is gone.
    pub(super) position: Lsn,
}

impl Slot {
    /// Looks for the slot, and at what the server must be to have one.
    pub(super) fn load(
        connection: &mut Connection,
        config: &Config,
        replication: &Replication,
    ) -> Result<Self, Failure> {
        let slot = &replication.slot;
        let sql = format!(
            "SELECT current_setting('wal_level'), pg_is_in_recovery(), s.plugin, s.database, \
             s.wal_status, s.confirmed_flush_lsn, s.slot_name FROM (SELECT) AS one \
             LEFT JOIN pg_replication_slots AS s ON s.slot_name = {}",
            literal(slot)
        );
        let rows = connection.run(&sql, "looking for the replication slot")?;
        let value = |place: usize| rows.first().and_then(|row| row.get(place)?.as_deref());
        let (make, again) = (mend::make_slot(slot), mend::make_slot_anew(slot));
        let refused = |text: String| Err(Failure::config(text));
        if value(0) != Some("logical") {
            return refused(format!(
                "the server's wal_level is {}, and changes can be read where it is logical: ALTER SYSTEM \
                 SET wal_level = logical, and restart the server",
                value(0).unwrap_or("unknown")
            ));
        }
        if value(1) == Some("t") {
            return refused(
                "the server is a standby: changes are read from its primary".to_owned(),
            );
        }
        if value(6).is_none() {
            return refused(format!(
                "there is no replication slot {slot}: {make}. If there was one before, changes are lost: \
                 {REFRESH}"
            ));
        }
        match value(2) {
            Some("pgoutput") => {}
            plugin => {
                return refused(format!(
                    "the replication slot {slot} is {}, and one of the plugin pgoutput is needed: name \
                     another one in `replication.slot`, and {make}",
                    plugin.map_or("a physical one".to_owned(), |name| format!(
                        "of the plugin {name}"
                    ))
                ));
            }
        }
        if let Some(other) = value(3).filter(|name| *name != config.database) {
            return refused(format!(
                "the replication slot {slot} is of the database {other}, and not of {}: name another one \
                 in `replication.slot`, and {make}",
                config.database
            ));
        }
        let position = value(5).and_then(|lsn| lsn.parse().ok());
        match position.filter(|_| value(4) != Some("lost")) {
            Some(position) => Ok(Self { position }),
            None => refused(format!(
                "the replication slot {slot} is lost: it was not read for so long that the server has \
                 deleted the log it needs (max_slot_wal_keep_size). {again}"
            )),
        }
    }
}

/// Looks whether the changes of the configured tables can be read.
pub(crate) fn check(
    connection: &mut Connection,
    config: &Config,
    replication: &Replication,
) -> Result<(), Failure> {
    Slot::load(connection, config, replication)?;
    session::open_to_replicate(config)?;
    let publication = Publication::load(connection, replication)?;
    if !publication.truncates {
        log::warn(format_args!(
            "the publication {} does not say when all rows of a table are deleted by TRUNCATE",
            replication.publication
        ));
    }
    let relations = load(connection, &Filter::of_config(config))?;
    let mut captured = 0;
    let mut faults = Vec::new();
    for mut relation in relations {
        match publication.capture(&mut relation) {
            Ok(()) => captured += 1,
            // A table that nobody named may be left out of the publication, and what is no table is.
            Err(_) if !publication.has(&relation) && !is_named(config, &relation) => {}
            Err(_) if !relation.is_table => {}
            Err(reason) => faults.push(reason),
        }
    }
    if !faults.is_empty() {
        let more = faults.len().saturating_sub(NAMED);
        let mut text = faults[..faults.len() - more].join("; ");
        if more > 0 {
            text.push_str(&format!("; and {more} tables more"));
        }
        return Err(Failure::config(text));
    }
    if captured == 0 {
        return Err(Failure::config(format!(
            "the publication {0} has no table of the schemas in `schemas` that {1} may read: ALTER \
             PUBLICATION {2} ADD TABLE, or GRANT SELECT",
            replication.publication,
            config.username,
            quote(&replication.publication)
        )));
    }
    Ok(())
}

fn is_named(config: &Config, relation: &Relation) -> bool {
    let full = format!("{}.{}", relation.schema, relation.name);
    config.tables.iter().flatten().any(|name| *name == relation.name || *name == full)
}
