//! Moves rows to the server and decides when they are safe.
//!
//! A transaction holds what came since the last commit: rows, what they replace, and the note of it in
//! `_lockgate.streams`. It is committed under a checkpoint that covers every row in it and before the
//! host hears of that checkpoint, so that whatever is killed whenever, readers see what the states say,
//! or more of it where an append was not confirmed yet.

use std::time::{Duration, Instant};

use lockgate_sdk::{Catalog, Checkpoint, Event, Failure, Input, Rows, StreamEnd, log};
use postgres_client::{COPY_HEADER, Connection};

use crate::config::Config;
use crate::plan;
use crate::row::{Encoder, Field};
use crate::session;
use crate::sql::name::quote;
use crate::sql::{Table, list, merge};
use crate::table::{self, Target};

/// A checkpoint waits with its commit until this much was written since the last one: a commit costs
/// a sync of the server's disk, and with keys a pass over the new rows.
const COMMIT_BYTES: usize = 32 << 20;

/// A checkpoint that comes this long after the last commit does not wait. So much work is done again
/// at most after a crash.
const COMMIT_INTERVAL: Duration = Duration::from_secs(10);

/// Rows of all streams that are held here: those that came after the checkpoint that waits, which may
/// not be committed with it.
const HELD_BYTES: usize = 16 << 20;

/// A stream whose COPY is open sends this much at once.
const CHUNK_BYTES: usize = 128 << 10;

/// Another stream sends no less while there is room: it begins a COPY of its own, at two round trips.
const SWITCH_BYTES: usize = 1 << 20;

/// A COPY ends after this much: what the server has against it is heard at its end only.
const COPY_BYTES: usize = 64 << 20;

/// Rows with keys are merged after this much even if nothing can be committed yet: the server sorts
/// them.
const MERGE_BYTES: usize = 256 << 20;

/// Writes all rows of the input.
pub(crate) fn write(
    config: &Config,
    catalog: &Catalog,
    input: &mut Input<'_>,
) -> Result<(), Failure> {
    let plans = plan::plan(catalog, &config.schema)?;
    let mut connection = session::open(config)?;
    connection.run("BEGIN", "beginning")?;
    table::create_internals(&mut connection)?;
    connection.run("COMMIT", "beginning")?;
    let mut lanes = Vec::with_capacity(plans.len());
    for plan in plans {
        let descriptor = plan.descriptor.clone();
        let target = table::prepare(&mut connection, plan)
            .map_err(|failure| failure.in_stream(&descriptor))?;
        let stage = target.plan.key.as_ref();
        let stage = stage.map(|_| Table::new("pg_temp", format!("stage_{}", lanes.len())));
        lanes.push(Lane::new(target, stage));
    }
    let mut writer = Writer {
        connection,
        lanes,
        copying: None,
        copied: 0,
        begun: false,
        sent: 0,
        held: 0,
        committed_at: Instant::now(),
        waiting: None,
    };
    writer.run(input)
}

/// A stream on its way to its table.
struct Lane {
    target: Target,
    encoder: Encoder,
    /// Where rows with keys are until they are merged: a table of this session.
    stage: Option<Table>,
    stage_exists: bool,
    /// Lines that were not sent, behind room for the header of their message.
    buffer: Vec<u8>,
    buffered_rows: u64,
    /// Rows sent in this transaction.
    rows: u64,
    /// Bytes in the stage.
    staged: usize,
    /// All rows came, and the table was not put in its place yet.
    complete: bool,
    /// The table is a partial one.
    partial: bool,
}

struct Writer {
    connection: Connection,
    lanes: Vec<Lane>,
    /// The stream whose COPY is open.
    copying: Option<usize>,
    /// Bytes sent in the open COPY.
    copied: usize,
    /// A transaction is open.
    begun: bool,
    /// Bytes sent in this transaction.
    sent: usize,
    /// Bytes in all buffers.
    held: usize,
    committed_at: Instant,
    /// The last checkpoint that covers all that was sent.
    waiting: Option<Checkpoint>,
}

impl Lane {
    fn new(target: Target, stage: Option<Table>) -> Self {
        // Values are written as the columns can have them, which may be wider than the stream says.
        let fields = target.plan.fields.iter().map(|field| {
            let column = target.columns.iter().find(|column| column.name == field.column.name);
            Field { member: field.member.clone(), column: column.unwrap_or(&field.column).clone() }
        });
        Self {
            encoder: Encoder::new(fields.collect(), target.plan.generation, target.plan.sync),
            partial: target.is_partial(),
            target,
            stage,
            stage_exists: false,
            buffer: vec![0; COPY_HEADER],
            buffered_rows: 0,
            rows: 0,
            staged: 0,
            complete: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.buffer.len() <= COPY_HEADER
    }

    /// Where COPY writes to.
    fn goal(&self) -> &Table {
        self.stage.as_ref().unwrap_or(&self.target.table)
    }

    fn what(&self) -> String {
        format!("writing to the table {}", self.target.table)
    }

    fn in_stream<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        result.map_err(|failure| failure.in_stream(&self.target.plan.descriptor))
    }
}

fn unknown(stream: usize) -> Failure {
    Failure::system(format!("there is no stream {stream} in the catalog"))
}

impl Writer {
    fn run(&mut self, input: &mut Input<'_>) -> Result<(), Failure> {
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => self.write(&rows, input)?,
                Event::Checkpoint(checkpoint) => {
                    self.send_all()?;
                    self.waiting = Some(checkpoint);
                    if self.is_commit_due() {
                        self.commit(input)?;
                    }
                }
                Event::Flush => {
                    if self.waiting.is_some() {
                        self.commit(input)?;
                    }
                }
                Event::StreamEnd(end) => self.end(end)?,
            }
        }
        self.send_all()?;
        self.commit(input)
    }

    fn is_commit_due(&self) -> bool {
        self.sent >= COMMIT_BYTES
            || self.committed_at.elapsed() >= COMMIT_INTERVAL
            || self.lanes.iter().any(|lane| lane.complete)
    }

    fn end(&mut self, end: StreamEnd) -> Result<(), Failure> {
        let lane = self.lanes.get_mut(end.stream).ok_or_else(|| unknown(end.stream))?;
        // It is put in its place with the next commit; an incomplete one never is.
        lane.complete = end.is_complete() && lane.partial;
        Ok(())
    }

    fn write(&mut self, rows: &Rows, input: &mut Input<'_>) -> Result<(), Failure> {
        let stream = rows.stream();
        let text = std::str::from_utf8(rows.bytes()).map_err(|_| {
            Failure::system("rows are not UTF-8, and PostgreSQL has no other texts")
        })?;
        let has_meta = !rows.metas().is_empty();
        for (place, row) in (0..).zip(text.split_terminator('\n')) {
            let lane = self.lanes.get_mut(stream).ok_or_else(|| unknown(stream))?;
            let before = lane.buffer.len();
            let meta = if has_meta { rows.meta(place) } else { None };
            let written = lane.encoder.write(row, rows.emitted_at(place), meta, &mut lane.buffer);
            lane.in_stream(written)?;
            lane.buffered_rows += 1;
            let size = lane.buffer.len();
            self.held += size - before;
            if self.waiting.is_some() {
                if self.held >= HELD_BYTES {
                    self.commit(input)?;
                    self.send_all()?;
                }
            } else if size >= SWITCH_BYTES || (size >= CHUNK_BYTES && self.may_send(stream)) {
                self.send(stream)?;
            } else if self.held >= HELD_BYTES {
                self.send_all()?;
            }
        }
        Ok(())
    }

    /// Does sending rows of this stream end no other one's COPY?
    fn may_send(&self, stream: usize) -> bool {
        self.copying.is_none_or(|copying| copying == stream)
    }

    fn send_all(&mut self) -> Result<(), Failure> {
        // The one that is being written goes first: its COPY is open.
        let first = self.copying.filter(|stream| *stream < self.lanes.len());
        let others = (0..self.lanes.len()).filter(|stream| Some(*stream) != first);
        for stream in first.into_iter().chain(others) {
            self.send(stream)?;
        }
        Ok(())
    }

    /// Sends what is held of a stream.
    fn send(&mut self, stream: usize) -> Result<(), Failure> {
        let room = HELD_BYTES / self.lanes.len().max(1);
        let lane = self.lanes.get_mut(stream).ok_or_else(|| unknown(stream))?;
        if lane.is_empty() {
            return Ok(());
        }
        if !self.begun {
            self.connection.run("BEGIN", "beginning a transaction")?;
            self.begun = true;
        }
        if self.copying != Some(stream) {
            self.connection.end_copy()?;
            self.copying = None;
            let what = lane.what();
            let begun = begin_copy(&mut self.connection, lane, &what);
            lane.in_stream(begun)?;
            (self.copying, self.copied) = (Some(stream), 0);
        }
        self.connection.copy(&mut lane.buffer)?;
        let bytes = lane.buffer.len() - COPY_HEADER;
        lane.buffer.truncate(COPY_HEADER);
        // Neither a large row nor many streams keep more room than may be held.
        lane.buffer.shrink_to(room);
        lane.rows += std::mem::take(&mut lane.buffered_rows);
        lane.staged += bytes;
        self.sent += bytes;
        self.copied += bytes;
        self.held = self.held.saturating_sub(bytes);
        let merge = lane.stage.is_some() && lane.staged >= MERGE_BYTES;
        if merge || self.copied >= COPY_BYTES {
            self.end_copy()?;
        }
        if merge {
            self.merge(stream)?;
            let lane = self.lanes.get(stream).ok_or_else(|| unknown(stream))?;
            if let Some(stage) = &lane.stage {
                self.connection.run(&format!("TRUNCATE {stage}"), &lane.what())?;
            }
        }
        Ok(())
    }

    fn end_copy(&mut self) -> Result<(), Failure> {
        let Some(stream) = self.copying.take() else { return Ok(()) };
        let ended = self.connection.end_copy();
        self.lanes.get(stream).map_or(Ok(()), |lane| lane.in_stream(ended))
    }

    /// Puts rows with keys from the stage into their table.
    fn merge(&mut self, stream: usize) -> Result<(), Failure> {
        let lane = self.lanes.get_mut(stream).ok_or_else(|| unknown(stream))?;
        if std::mem::take(&mut lane.staged) == 0 {
            return Ok(());
        }
        if let (Some(stage), Some(key)) = (&lane.stage, &lane.target.plan.key) {
            let (from, Target { table, columns, .. }) = (stage.to_string(), &lane.target);
            let merge = merge::merge(key, &from, columns, table, columns);
            let merged = self.connection.run(&format!("ANALYZE {stage}; {merge}"), &lane.what());
            lane.in_stream(merged)?;
        }
        Ok(())
    }

    /// Commits what was sent, and then the checkpoint that waits. What is still held here came after
    /// it, and belongs to the next one.
    fn commit(&mut self, input: &mut Input<'_>) -> Result<(), Failure> {
        self.end_copy()?;
        let finished: Vec<usize> = (0..self.lanes.len())
            .filter(|at| self.lanes.get(*at).is_some_and(|lane| lane.complete && lane.is_empty()))
            .collect();
        if !self.begun && !finished.is_empty() {
            self.connection.run("BEGIN", "beginning a transaction")?;
            self.begun = true;
        }
        if self.begun {
            for stream in 0..self.lanes.len() {
                self.merge(stream)?;
            }
            self.finish(&finished)?;
            let records: String = (self.lanes.iter())
                .filter(|lane| lane.rows > 0)
                .map(|lane| table::record_commit(&lane.target, lane.partial, lane.rows) + "; ")
                .collect();
            self.connection.run(&format!("{records}COMMIT"), "committing")?;
            self.begun = false;
            for lane in &mut self.lanes {
                lane.rows = 0;
            }
        }
        self.sent = 0;
        self.committed_at = Instant::now();
        self.waiting.take().map_or(Ok(()), |checkpoint| input.commit(checkpoint))
    }

    /// Puts complete tables in their places.
    fn finish(&mut self, streams: &[usize]) -> Result<(), Failure> {
        for stream in streams {
            let lane = self.lanes.get_mut(*stream).ok_or_else(|| unknown(*stream))?;
            let finished = table::finish(&mut self.connection, &lane.target);
            lane.in_stream(finished)?;
            lane.complete = false;
            lane.partial = false;
            let record = table::record_commit(&lane.target, false, std::mem::take(&mut lane.rows));
            self.connection.run(&record, "noting what is complete")?;
            log::debug(format_args!(
                "the table {} has the rows of generation {} now",
                lane.target.plan.home, lane.target.plan.generation
            ));
        }
        Ok(())
    }
}

fn begin_copy(connection: &mut Connection, lane: &mut Lane, what: &str) -> Result<(), Failure> {
    if let (Some(stage), false) = (&lane.stage, lane.stage_exists) {
        let name = quote(&stage.name);
        let like = &lane.target.table;
        let create = format!(
            "CREATE TEMPORARY TABLE {name} (LIKE {like} INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
        );
        connection.run(&create, what)?;
        lane.stage_exists = true;
    }
    let names = lane.target.columns.iter().map(|column| &*column.name);
    let sql = format!("COPY {} ({}) FROM STDIN", lane.goal(), list(names));
    connection.begin_copy(&sql, what)
}
