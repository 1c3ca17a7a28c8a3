//! Writes the rows and decides when they are safe.

use std::time::{Duration, Instant};

use lockgate_sdk::{Checkpoint, Event, Failure, FailureKind, Input, Rows, StreamEnd, fs, log};

use crate::table::Plan;

/// A checkpoint waits with its commit until this much was written: a sync of the disk costs
/// milliseconds, in which this much is written.
const COMMIT_BYTES: u64 = 8 * 1024 * 1024;

/// A checkpoint that comes this long after the last sync of the disk does not wait. So much work is
/// done again at most after a crash.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// How much of a file's end is read at a time to find its last whole line.
const TAIL_BYTES: usize = 64 * 1024;

/// A last row without its LF is looked at up to this size; a longer one is taken for torn.
const LONGEST_TAIL: usize = 16 * 1024 * 1024;

/// Writes all rows of the input.
pub(crate) fn write(
    directory: &fs::Directory,
    plans: Vec<Plan>,
    input: &mut Input<'_>,
) -> Result<(), Failure> {
    let mut writer = Writer {
        directory,
        tables: plans.into_iter().map(|plan| Table { plan, open: None }).collect(),
        unsynced: 0,
        names_unsynced: false,
        synced_at: Instant::now(),
    };
    let result = writer.run(input);
    if result.as_ref().is_err_and(|failure| failure.kind != FailureKind::Cancelled) {
        // A full disk must have room again for whoever looks into it.
        writer.drop_partials();
    }
    result
}

struct Writer<'a> {
    directory: &'a fs::Directory,
    tables: Vec<Table>,
    /// Bytes written since the last sync of the disk.
    unsynced: u64,
    /// Was a file created since the last sync of the directory?
    names_unsynced: bool,
    synced_at: Instant,
}

struct Table {
    plan: Plan,
    open: Option<OpenFile>,
}

struct OpenFile {
    file: fs::File,
    /// Where the next row goes.
    end: u64,
    unsynced: bool,
}

impl Writer<'_> {
    fn run(&mut self, input: &mut Input<'_>) -> Result<(), Failure> {
        let mut waiting = None;
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => self.write(&rows)?,
                Event::Checkpoint(checkpoint) => {
                    waiting = Some(checkpoint);
                    if self.is_sync_due() {
                        self.commit(&mut waiting, input)?;
                    }
                }
                Event::Flush => self.commit(&mut waiting, input)?,
                Event::StreamEnd(end) => self.end(end)?,
            }
        }
        self.commit(&mut waiting, input)
    }

    /// Removes the partial files that no later run goes on with.
    fn drop_partials(&mut self) {
        for table in &mut self.tables {
            if let Some(partial) = table.plan.partial.as_ref().filter(|p| !p.continues)
                && table.open.take().is_some()
            {
                // The failure that led here is the one to tell.
                let _ = self.directory.remove_file(&partial.name);
            }
        }
    }

    fn write(&mut self, rows: &Rows) -> Result<(), Failure> {
        let open = self.open(rows.stream())?;
        let bytes = rows.bytes();
        open.file.write_at(bytes, open.end)?;
        let length = bytes.len() as u64;
        open.end += length;
        open.unsynced = true;
        self.unsynced += length;
        Ok(())
    }

    /// A stream's file; it is opened for its first row, so that streams that follow one another do
    /// not need all their files open at once.
    fn open(&mut self, stream: usize) -> Result<&mut OpenFile, Failure> {
        let table = self.tables.get_mut(stream).ok_or_else(|| unknown(stream))?;
        if table.open.is_none() {
            table.open = Some(open(self.directory, &table.plan)?);
            self.names_unsynced = true;
        }
        table.open.as_mut().ok_or_else(|| unknown(stream))
    }

    fn is_sync_due(&self) -> bool {
        self.unsynced >= COMMIT_BYTES || self.synced_at.elapsed() >= COMMIT_INTERVAL
    }

    /// Commits the checkpoint that waits, if there is one, once all rows are on the disk.
    fn commit(
        &mut self,
        waiting: &mut Option<Checkpoint>,
        input: &mut Input<'_>,
    ) -> Result<(), Failure> {
        let Some(checkpoint) = waiting.take() else {
            return Ok(());
        };
        for open in self.tables.iter_mut().filter_map(|table| table.open.as_mut()) {
            open.sync()?;
        }
        self.sync_names()?;
        self.unsynced = 0;
        self.synced_at = Instant::now();
        input.commit(checkpoint)
    }

    fn sync_names(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.names_unsynced) {
            self.directory.sync()?;
        }
        Ok(())
    }

    fn end(&mut self, end: StreamEnd) -> Result<(), Failure> {
        if end.is_complete() {
            // An empty stream leaves an empty file.
            self.open(end.stream)?;
        }
        let table = (self.tables.get_mut(end.stream)).ok_or_else(|| unknown(end.stream))?;
        if let Some(mut open) = table.open.take() {
            open.sync()?;
        } else {
            return Ok(());
        }
        if let Some(partial) = &table.plan.partial {
            if end.is_complete() {
                self.directory.rename(&partial.name, &table.plan.file)?;
                self.names_unsynced = true;
            } else if !partial.continues {
                self.directory.remove_file(&partial.name)?;
            }
        }
        self.sync_names()
    }
}

impl OpenFile {
    fn sync(&mut self) -> Result<(), Failure> {
        if self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }
}

/// Opens a file to add rows to.
fn open(directory: &fs::Directory, plan: &Plan) -> Result<OpenFile, Failure> {
    let (name, how) = match &plan.partial {
        None => (&plan.file, fs::Open::Write),
        Some(partial) if partial.continues => (&partial.name, fs::Open::Write),
        Some(partial) => (&partial.name, fs::Open::Truncate),
    };
    let open = || -> Result<_, fs::Error> {
        let file = directory.open_file(name, how)?;
        let size = file.size()?;
        let mut end = whole_lines(&file, size)?;
        let unsynced = end < size;
        if unsynced && is_whole(&file, end, size)? {
            // Somebody else's last row, or one of ours that lacks only its end.
            file.write_at(b"\n", size)?;
            end = size + 1;
        } else if unsynced {
            log::warn(format_args!(
                "removing {} bytes of an unfinished row at the end of {name}",
                size - end
            ));
            file.set_size(end)?;
        }
        Ok(OpenFile { file, end, unsynced })
    };
    open().map_err(|error| Failure::from(error).in_stream(&plan.descriptor))
}

/// Whether what stands behind the last LF is a whole row all the same.
fn is_whole(file: &fs::File, start: u64, end: u64) -> Result<bool, fs::Error> {
    let Some(length) = usize::try_from(end - start).ok().filter(|length| *length <= LONGEST_TAIL)
    else {
        return Ok(false);
    };
    let mut tail = vec![0; length];
    let mut read = 0;
    while read < length {
        match file.read_at(&mut tail[read..], start + read as u64)? {
            0 => return Ok(false),
            more => read += more,
        }
    }
    Ok(serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&tail).is_ok())
}

/// Where the last whole line of a file ends. What follows is the rest of a row that a crash cut: it
/// was not committed, since a row is committed with its LF.
fn whole_lines(file: &fs::File, size: u64) -> Result<u64, fs::Error> {
    let mut buffer = vec![0; TAIL_BYTES];
    let mut end = size;
    // Mostly the last byte decides.
    let mut length = 1;
    while end > 0 {
        let start = end.saturating_sub(length);
        let part = &mut buffer[..usize::try_from(end - start).unwrap_or(TAIL_BYTES)];
        let read = file.read_at(part, start)?;
        if let Some(place) = part[..read].iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
        length = TAIL_BYTES as u64;
    }
    Ok(0)
}

fn unknown(stream: usize) -> Failure {
    Failure::system(format!("there is no stream {stream} in the catalog"))
}
