//! Writes the rows and decides when they are safe.

use std::time::Instant;

use lockgate_sdk::{Checkpoint, Event, Failure, FailureKind, Input, Rows, StreamEnd, fs};
use row_files::FileWriter;

use crate::config::Config;
use crate::folder::{self, Folder};
use crate::part::Part;
use crate::plan::Plan;

/// Bytes of files that are not complete which are held in memory, of all streams. Beyond it the file
/// that holds most is completed.
const HELD_BYTES: u64 = 64 << 20;

/// Files that are open at once; beyond it the largest is completed. Systems let a process have some
/// hundreds.
const OPEN_FILES: usize = 64;

/// Writes all rows of the input.
pub(crate) fn write(
    config: &Config,
    root: fs::Directory,
    plans: Vec<Plan>,
    input: &mut Input<'_>,
) -> Result<(), Failure> {
    folder::tidy(&root, &plans)?;
    let lanes = plans.into_iter().map(|plan| Lane::new(&root, plan)).collect::<Result<_, _>>()?;
    let mut writer = Writer { config, root, lanes, completed: false, committed_at: Instant::now() };
    let result = writer.run(input);
    if result.as_ref().is_err_and(|failure| failure.kind != FailureKind::Cancelled) {
        // A full disk must have room again for whoever looks into it.
        writer.drop_partials();
    }
    result
}

struct Writer<'a> {
    config: &'a Config,
    root: fs::Directory,
    lanes: Vec<Lane>,
    /// Was a file completed since the last commit?
    completed: bool,
    committed_at: Instant,
}

/// A stream on its way to its folder.
struct Lane {
    plan: Plan,
    /// The rows go to a folder of their own and replace the others at the end.
    is_partial: bool,
    folder: Option<Folder>,
    open: Option<(String, FileWriter<Part>)>,
}

impl Writer<'_> {
    fn run(&mut self, input: &mut Input<'_>) -> Result<(), Failure> {
        let mut waiting = None;
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => self.write(&rows)?,
                Event::Checkpoint(checkpoint) => {
                    waiting = Some(checkpoint);
                    let interval = self.config.commit_interval();
                    if self.completed || self.committed_at.elapsed() >= interval {
                        self.commit(&mut waiting, input)?;
                    }
                }
                Event::Flush => self.commit(&mut waiting, input)?,
                Event::StreamEnd(end) => self.end(end)?,
            }
        }
        self.publish()?;
        for lane in &self.lanes {
            lane.plan.table.warn_of_losses();
        }
        self.commit(&mut waiting, input)
    }

    fn write(&mut self, rows: &Rows) -> Result<(), Failure> {
        let stream = rows.stream();
        if self.lanes.get(stream).is_some_and(|lane| lane.open.is_none()) {
            let is_too_much =
                |lanes: &[Lane]| lanes.iter().filter(|l| l.open.is_some()).count() >= OPEN_FILES;
            self.make_room(is_too_much, Lane::size)?;
        }
        let lane = self.lanes.get_mut(stream).ok_or_else(|| unknown(stream))?;
        let written = lane.write(&self.root, rows);
        lane.in_stream(written)?;
        if lane.size() >= self.config.file_bytes {
            let completed = lane.complete();
            lane.in_stream(completed)?;
            self.completed = true;
        }
        let is_too_much = |lanes: &[Lane]| lanes.iter().map(Lane::held).sum::<u64>() > HELD_BYTES;
        self.make_room(is_too_much, Lane::held)
    }

    /// Completes the files that have most of something while there is too much.
    fn make_room(
        &mut self,
        is_too_much: impl Fn(&[Lane]) -> bool,
        has: impl Fn(&Lane) -> u64,
    ) -> Result<(), Failure> {
        while is_too_much(&self.lanes) {
            let open = self.lanes.iter_mut().filter(|lane| lane.open.is_some());
            let Some(lane) = open.max_by_key(|lane| has(lane)) else { break };
            let completed = lane.complete();
            lane.in_stream(completed)?;
            self.completed = true;
        }
        Ok(())
    }

    /// Commits the checkpoint that waits, if there is one, once all rows are in files that are named.
    fn commit(
        &mut self,
        waiting: &mut Option<Checkpoint>,
        input: &mut Input<'_>,
    ) -> Result<(), Failure> {
        let Some(checkpoint) = waiting.take() else { return Ok(()) };
        self.publish()?;
        self.completed = false;
        self.committed_at = Instant::now();
        input.commit(checkpoint)
    }

    fn publish(&mut self) -> Result<(), Failure> {
        for lane in &mut self.lanes {
            let published = lane.publish();
            lane.in_stream(published)?;
        }
        Ok(())
    }

    fn end(&mut self, end: StreamEnd) -> Result<(), Failure> {
        let lane = self.lanes.get_mut(end.stream).ok_or_else(|| unknown(end.stream))?;
        let ended = lane.end(&self.root, end.is_complete());
        lane.in_stream(ended)
    }

    /// Removes the folders that no later run goes on with.
    fn drop_partials(&mut self) {
        for lane in &mut self.lanes {
            if lane.is_partial && !lane.plan.continues && lane.folder.take().is_some() {
                lane.open = None;
                // The failure that led here is the one to tell.
                let _ = folder::remove(&self.root, &lane.plan.partial());
            }
        }
    }
}

impl Lane {
    fn new(root: &fs::Directory, plan: Plan) -> Result<Self, Failure> {
        // Killed after the new rows took their place and before the state that says so was stored: what
        // comes now is the rest of them.
        let is_rest = plan.replaces
            && plan.continues
            && Folder::has_generation(root, &plan.folder, plan.generation)?
            && !Folder::has_generation(root, &plan.partial(), plan.generation)?;
        Ok(Self { is_partial: plan.replaces && !is_rest, plan, folder: None, open: None })
    }

    fn in_stream<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        result.map_err(|failure| failure.in_stream(&self.plan.descriptor))
    }

    /// Bytes of memory that its open file takes.
    fn held(&self) -> u64 {
        self.open.as_ref().map_or(0, |(_, file)| file.held() as u64)
    }

    /// Bytes of its open file, about.
    fn size(&self) -> u64 {
        self.open.as_ref().map_or(0, |(_, file)| file.out().size() + file.unwritten() as u64)
    }

    /// The stream's folder; it is opened when it is needed, so that a stream that is never read leaves
    /// nothing.
    fn folder(&mut self, root: &fs::Directory) -> Result<&mut Folder, Failure> {
        let folder = match self.folder.take() {
            Some(folder) => folder,
            None => {
                let partial = self.plan.partial();
                let name = if self.is_partial { &partial } else { &self.plan.folder };
                Folder::open(root, name, &self.plan)?
            }
        };
        Ok(self.folder.insert(folder))
    }

    fn write(&mut self, root: &fs::Directory, rows: &Rows) -> Result<(), Failure> {
        let (name, mut file) = match self.open.take() {
            Some(open) => open,
            None => self.create(root)?,
        };
        file.write(&mut self.plan.table, rows)?;
        self.open = Some((name, file));
        Ok(())
    }

    fn create(&mut self, root: &fs::Directory) -> Result<(String, FileWriter<Part>), Failure> {
        let (name, file) = self.folder(root)?.create()?;
        Ok((name, FileWriter::new(&self.plan.table, Part::new(file))?))
    }

    /// Puts the open file on the disk whole.
    fn complete(&mut self) -> Result<(), Failure> {
        if let (Some((name, file)), Some(folder)) = (self.open.take(), &mut self.folder) {
            file.finish()?.sync()?;
            folder.complete(name);
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), Failure> {
        self.complete()?;
        self.folder.as_mut().map_or(Ok(()), Folder::publish)
    }

    fn end(&mut self, root: &fs::Directory, is_complete: bool) -> Result<(), Failure> {
        if is_complete && self.open.is_none() && !self.folder(root)?.has_files() {
            // An empty stream leaves an empty file: whoever reads the folder finds its columns.
            self.open = Some(self.create(root)?);
        }
        if !self.is_partial {
            // Its rows wait for a checkpoint, as all do.
            return self.complete();
        }
        if is_complete {
            self.publish()?;
            // From here on it is complete: a failure leaves it to the next run, which ends what is begun.
            self.folder = None;
            folder::replace(root, &self.plan)?;
            self.is_partial = false;
        } else if self.plan.continues {
            self.complete()?;
        } else if self.folder.take().is_some() {
            self.open = None;
            folder::remove(root, &self.plan.partial())?;
        }
        Ok(())
    }
}

fn unknown(stream: usize) -> Failure {
    Failure::system(format!("there is no stream {stream} in the catalog"))
}
