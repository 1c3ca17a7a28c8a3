//! Messages of the log, each in its stream.

use std::collections::HashMap;

use lockgate_sdk::{Failure, Output, StreamDescriptor, StreamOutput, log};
use postgres_client::Connection;

use super::Planned;
use super::layout::Layout;
use super::lsn::{self, Lsn};
use super::pgoutput::{self, Malformed, Message, Old, Relation, Tuple};
use super::row::{Tail, Writer};
use crate::read::selected;
use crate::relation::{Column, Identity, Publication};

/// A stream that changes are of.
#[derive(Debug)]
pub(super) struct Target<'c> {
    index: usize,
    descriptor: &'c StreamDescriptor,
    /// The table, as SQL writes it.
    pub(super) table: String,
    /// What the stream has of it.
    pub(super) columns: Vec<&'c Column>,
    /// By which a destination merges.
    pub(super) key: Vec<String>,
}

/// What a message was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many rows.
    On(u64),
    /// The end of a transaction, and of all that was committed before this place.
    Committed(Lsn),
    /// The start of the first transaction beyond the end, which was committed at this place.
    Beyond(Lsn),
}

/// The changes of all streams.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    targets: Vec<Target<'a>>,
    /// Targets by the OIDs of their tables. The log's names are those of its time: another table may have had
    /// one then, or the table another one.
    by_oid: HashMap<u32, usize>,
    /// None for those of no stream.
    layouts: HashMap<u32, Option<Layout>>,
    /// What each row of the open transaction ends with.
    tail: Option<Tail>,
    writer: Writer<'a>,
}

impl Target<'_> {
    /// Refuses a key that the log does not have of a deleted row.
    pub(super) fn validate(
        planned: &Planned<'_>,
        publication: &Publication,
    ) -> Result<(), Failure> {
        let relation = &planned.relation;
        let Identity::Columns(identity) = publication.identity(relation) else { return Ok(()) };
        let path = planned.stream.primary_key.iter().flat_map(|path| path.first());
        match path.into_iter().find(|name| !identity.contains(name)) {
            Some(name) => Err(Failure::config(format!(
                "the stream's primary key has the column {name}, which the log does not have of deleted \
                 rows: take {} as the key, or ALTER TABLE {} REPLICA IDENTITY FULL",
                identity.join(", "),
                relation.sql()
            ))),
            None => Ok(()),
        }
    }

    fn new<'c>(planned: &'c Planned<'c>) -> Result<Target<'c>, Failure> {
        let (relation, stream) = (&planned.relation, planned.stream);
        let configured = stream.primary_key.iter().filter_map(|path| path.first().cloned());
        let mut key: Vec<_> = configured.collect();
        if key.is_empty() {
            key.clone_from(&relation.key);
        }
        Ok(Target {
            index: planned.index,
            descriptor: &stream.descriptor,
            table: relation.sql(),
            columns: selected(relation, stream)?,
            key,
        })
    }
}

impl<'a> Changes<'a> {
    /// Of some streams. `connection` is asked for what the log does not say.
    pub(super) fn new(
        connection: &'a mut Connection,
        captured: &'a [Planned<'a>],
    ) -> Result<Self, Failure> {
        let targets = captured.iter().map(Target::new).collect::<Result<Vec<_>, _>>()?;
        let by_oid = captured.iter().map(|planned| planned.relation.oid).zip(0..).collect();
        let writer = Writer::new(connection);
        Ok(Self { targets, by_oid, layouts: HashMap::new(), tail: None, writer })
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        self.writer.connection()
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.tail.is_some()
    }

    /// Takes a message of the log.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        end: Lsn,
        output: &mut Output<'_>,
    ) -> Result<Step, Failure> {
        let message = pgoutput::parse(bytes).map_err(strange)?;
        match message {
            Message::Begin(begin) if self.tail.is_none() => {
                let lsn = Lsn(begin.commit);
                if lsn >= end {
                    return Ok(Step::Beyond(lsn));
                }
                self.tail = Some(Tail::of_changes(lsn, begin.time));
                Ok(Step::On(0))
            }
            Message::Commit { end } if self.tail.take().is_some() => Ok(Step::Committed(Lsn(end))),
            Message::Begin(_) | Message::Commit { .. } => Err(strange(Malformed)),
            Message::Relation(relation) => {
                self.learn(&relation)?;
                Ok(Step::On(0))
            }
            Message::Insert { relation, new } => self.write(relation, None, Some(&new), output),
            Message::Update { relation, old, new } => {
                self.write(relation, old.as_ref(), Some(&new), output)
            }
            Message::Delete { relation, old } => self.write(relation, Some(&old), None, output),
            Message::Truncate(relations) => {
                for number in relations.numbers() {
                    self.truncated(number)?;
                }
                Ok(Step::On(0))
            }
            Message::Other => Ok(Step::On(0)),
        }
    }

    fn learn(&mut self, relation: &Relation<'_>) -> Result<(), Failure> {
        let layout = match self.by_oid.get(&relation.id) {
            None => None,
            Some(place) => {
                let target = self.targets.get(*place).ok_or_else(|| strange(Malformed))?;
                let connection = self.writer.connection();
                let layout = Layout::new(connection, relation, *place, target);
                Some(layout.map_err(|failure| failure.in_stream(target.descriptor))?)
            }
        };
        self.layouts.insert(relation.id, layout);
        Ok(())
    }

    /// Writes what became of a row.
    fn write(
        &mut self,
        relation: u32,
        old: Option<&Old<'_>>,
        new: Option<&Tuple<'_>>,
        output: &mut Output<'_>,
    ) -> Result<Step, Failure> {
        let layout = self.layouts.get(&relation).ok_or_else(|| strange(Malformed))?;
        let tail = self.tail.as_ref().ok_or_else(|| strange(Malformed))?;
        let Some(layout) = layout else { return Ok(Step::On(0)) };
        let target = self.targets.get(layout.target).ok_or_else(|| strange(Malformed))?;
        for row in old.map(|old| &old.row).into_iter().chain(new) {
            layout.fits(row).map_err(strange)?;
        }
        let mut out = output.stream(target.index)?;
        let written = write_row(&mut self.writer, layout, target, tail, (old, new), &mut out);
        written.map(Step::On).map_err(|failure| failure.in_stream(target.descriptor))
    }

    fn truncated(&mut self, relation: u32) -> Result<(), Failure> {
        let layout = self.layouts.get(&relation).ok_or_else(|| strange(Malformed))?;
        let tail = self.tail.as_ref().ok_or_else(|| strange(Malformed))?;
        let target = layout.as_ref().and_then(|layout| self.targets.get(layout.target));
        if let Some(target) = target {
            log::warn(format_args!(
                "all rows of {} were deleted by TRUNCATE at {}, and the log does not say which: those \
                 that were written before stay where they are, unless the stream is refreshed",
                target.table,
                lsn::time(tail.time())
            ));
        }
        Ok(())
    }
}

/// Writes a change as one row, or as two where the row is another one by its key. Gives how many.
fn write_row(
    writer: &mut Writer<'_>,
    layout: &Layout,
    target: &Target<'_>,
    tail: &Tail,
    change: (Option<&Old<'_>>, Option<&Tuple<'_>>),
    out: &mut StreamOutput<'_>,
) -> Result<u64, Failure> {
    match change {
        (Some(old), None) => {
            writer.deleted(layout, &target.table, old, tail, out)?;
            Ok(1)
        }
        (old, Some(new)) => {
            let moved = old.filter(|old| layout.is_another(old, new));
            if let Some(old) = moved {
                writer.deleted(layout, &target.table, old, tail, out)?;
            }
            writer.written(layout, &target.table, old, new, tail, out)?;
            Ok(1 + u64::from(moved.is_some()))
        }
        (None, None) => Ok(0),
    }
}

fn strange(Malformed: Malformed) -> Failure {
    Failure::system("the server's log has a message that cannot be read")
}
