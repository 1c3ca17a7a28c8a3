//! One stream on its way to its objects.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use lockgate_sdk::{Failure, Rows, log};
use row_files::FileWriter;
use s3_client::{Bucket, Upload};

use crate::key::{self, MANIFEST};
use crate::manifest::{Begun, Entry, Manifest};
use crate::plan::Plan;

/// One stream on its way.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) plan: Plan,
    opened: Option<Opened>,
    /// The object on its way.
    file: Option<FileWriter<Sink>>,
    /// Objects that are complete and that no manifest names yet.
    sealed: Vec<Entry>,
    /// Objects of this run.
    number: u32,
    /// All rows came, and the manifest does not say so yet.
    complete: bool,
}

/// A stream whose manifest this attempt has taken over.
#[derive(Debug)]
struct Opened {
    manifest: Manifest,
    /// The entity tag of the manifest as it is stored.
    tag: String,
    /// Rows are to replace others.
    begun: bool,
}

/// What takes an object's bytes.
#[derive(Debug)]
struct Sink(Upload);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes).map_err(Failure::from)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How objects are written.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) bucket: Arc<Bucket>,
    /// The name of this attempt.
    pub(crate) run: String,
    pub(crate) part_bytes: usize,
}

impl Lane {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, opened: None, file: None, sealed: Vec::new(), number: 0, complete: false }
    }

    fn in_stream<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        result.map_err(|failure| failure.in_stream(&self.plan.descriptor))
    }

    /// Bytes of memory that its open object takes.
    pub(crate) fn held(&self) -> usize {
        self.file.as_ref().map_or(0, |file| file.held() + file.out().0.held())
    }

    /// Bytes of its open object, about.
    pub(crate) fn size(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.out().0.bytes() + file.unwritten() as u64)
    }

    /// All its rows came; what it replaces is still what readers see.
    pub(crate) fn is_to_replace(&self) -> bool {
        self.complete && self.opened.as_ref().is_some_and(|opened| opened.begun)
    }

    /// All its rows came.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    /// Writes rows to its open object, which is begun if there is none.
    pub(crate) fn write(&mut self, rows: &Rows, store: &Store) -> Result<(), Failure> {
        let written = self.try_write(rows, store);
        self.in_stream(written)
    }

    fn try_write(&mut self, rows: &Rows, store: &Store) -> Result<(), Failure> {
        self.open(store)?;
        let Plan { folder, table, generation, sync, .. } = &mut self.plan;
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                self.number += 1;
                let options = table.options();
                let name =
                    key::object(*generation, *sync, &store.run, self.number, options.ending());
                let (key, kind) = (format!("{folder}{name}"), options.media_type());
                let upload = Upload::new(Arc::clone(&store.bucket), key, kind, store.part_bytes);
                self.file.insert(FileWriter::new(table, Sink(upload))?)
            }
        };
        file.write(table, rows)
    }

    /// Completes the open object: its rows are safe, and no reader sees them yet.
    pub(crate) fn seal(&mut self) -> Result<(), Failure> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let rows = file.rows();
        let finished =
            file.finish().and_then(|Sink(upload)| upload.finish().map_err(Failure::from));
        let object = self.in_stream(finished)?;
        self.sealed.push(Entry {
            key: object.key,
            bytes: object.bytes,
            rows,
            generation: self.plan.generation,
            sync: self.plan.sync,
        });
        Ok(())
    }

    /// Has the manifest name what was completed, and with `finish` also the rows that replace others once
    /// all came. Gives the keys of objects that nobody needs any more.
    pub(crate) fn publish(&mut self, store: &Store, finish: bool) -> Result<Vec<String>, Failure> {
        let published = self.try_publish(store, finish);
        self.in_stream(published)
    }

    fn try_publish(&mut self, store: &Store, finish: bool) -> Result<Vec<String>, Failure> {
        let finish = finish && self.complete;
        if self.sealed.is_empty() && !finish {
            return Ok(Vec::new());
        }
        // An empty stream has a manifest all the same.
        self.open(store)?;
        let Some(opened) = &mut self.opened else { return Ok(Vec::new()) };
        let Opened { manifest, tag, begun } = opened;
        let mut gone = Vec::new();
        if !self.sealed.is_empty() || (finish && *begun) {
            let objects = match &mut manifest.begun {
                Some(begun) => &mut begun.objects,
                None => &mut manifest.objects,
            };
            objects.append(&mut self.sealed);
            if finish && let Some(begun) = manifest.begun.take() {
                gone.extend(manifest.objects.drain(..).map(|entry| entry.key));
                manifest.objects = begun.objects;
            }
            *begun = manifest.begun.is_some();
            *tag = manifest.save(&store.bucket, &self.plan.folder, Some(tag))?;
        }
        if finish {
            log::debug(format_args!(
                "{}{MANIFEST} has the rows of generation {} now, in {} objects",
                store.bucket.url(&self.plan.folder),
                self.plan.generation,
                manifest.objects.len()
            ));
            self.complete = false;
            self.opened = None;
        }
        Ok(gone)
    }

    /// Reads the manifest, decides where rows go, takes the manifest over, and removes what an earlier
    /// attempt left.
    fn open(&mut self, store: &Store) -> Result<(), Failure> {
        if self.opened.is_some() {
            return Ok(());
        }
        let Store { bucket, run, .. } = store;
        let Plan { descriptor, folder, .. } = &self.plan;
        let (mut manifest, tag) = match Manifest::load(bucket, folder, descriptor)? {
            Some((manifest, tag)) => (manifest, Some(tag)),
            None => {
                // Nothing is written before there is a manifest: whoever lost it would lose the rows too.
                if let Some(key) = first_object(bucket, folder)? {
                    return Err(Failure::config(format!(
                        "{} is there, and no {MANIFEST} which says whether it counts: put the manifest \
                         back, or move or delete the objects",
                        bucket.url(&key)
                    )));
                }
                (Manifest::new(descriptor), None)
            }
        };
        let begun = self.place(&mut manifest);
        run.clone_into(&mut manifest.run);
        let is_new = tag.is_none();
        let tag = manifest.save(bucket, folder, tag.as_deref())?;
        if !is_new {
            let others = manifest
                .objects
                .iter()
                .filter(|entry| !entry.key.ends_with(self.plan.table.options().ending()));
            let others = others.count();
            if others > 0 {
                log::warn(format_args!(
                    "{} has {others} objects of another format or compression; a refresh replaces them",
                    bucket.url(folder)
                ));
            }
            sweep(bucket, folder, &manifest);
        }
        self.opened = Some(Opened { manifest, tag, begun });
        Ok(())
    }

    /// Decides whether rows go to those that readers see, or wait until all are there.
    fn place(&self, manifest: &mut Manifest) -> bool {
        let Plan { replaces, generation, .. } = self.plan;
        let begun = manifest.begun.take();
        if !replaces {
            // A later generation that keeps everything keeps what was begun as well.
            manifest.objects.extend(begun.into_iter().flat_map(|begun| begun.objects));
            return false;
        }
        // Whoever numbers nothing begins again each time.
        let is_own = |of: u64| of == generation && generation != 0;
        if let Some(begun) = begun.filter(|begun| is_own(begun.generation)) {
            manifest.begun = Some(begun);
        } else if manifest.objects.iter().any(|entry| !is_own(entry.generation)) {
            manifest.begun = Some(Begun { generation, objects: Vec::new() });
        }
        manifest.begun.is_some()
    }
}

/// An object with rows in a folder.
fn first_object(bucket: &Bucket, folder: &str) -> Result<Option<String>, Failure> {
    let mut next = None;
    loop {
        let page = bucket.list(folder, next.as_deref())?;
        let mut keys = page.items.into_iter().map(|object| object.key);
        let ours = keys.find(|key| key.strip_prefix(folder).is_some_and(key::is_object));
        if ours.is_some() || page.next.is_none() {
            return Ok(ours);
        }
        next = page.next;
    }
}

/// Removes what earlier attempts left: objects that no manifest names, and uploads that nobody goes on with.
/// Readers do not see them; that they cost money is no reason to fail.
fn sweep(bucket: &Bucket, folder: &str, manifest: &Manifest) {
    let swept = sweep_objects(bucket, folder, manifest)
        .and_then(|objects| Ok((objects, sweep_uploads(bucket, folder)?)));
    match swept {
        Ok((0, 0)) => {}
        Ok((objects, uploads)) => log::info(format_args!(
            "{}: removed {objects} objects and {uploads} uploads that an earlier attempt left",
            bucket.url(folder)
        )),
        Err(failure) => log::warn(format_args!(
            "{}: what an earlier attempt left may stay: {}",
            bucket.url(folder),
            failure.message
        )),
    }
}

fn sweep_objects(bucket: &Bucket, folder: &str, manifest: &Manifest) -> Result<usize, Failure> {
    let named: HashSet<&str> = manifest.all().map(|entry| &*entry.key).collect();
    let (mut removed, mut next) = (0, None);
    loop {
        let page = bucket.list(folder, next.as_deref())?;
        let mut left: Vec<String> = page.items.into_iter().map(|object| object.key).collect();
        left.retain(|key| {
            let ours = key.strip_prefix(folder).is_some_and(key::is_object);
            ours && !named.contains(&**key)
        });
        bucket.delete(&left)?;
        removed += left.len();
        match page.next {
            Some(more) => next = Some(more),
            None => return Ok(removed),
        }
    }
}

fn sweep_uploads(bucket: &Bucket, folder: &str) -> Result<usize, Failure> {
    let mut removed = 0;
    loop {
        let (uploads, more) = bucket.open_uploads(folder)?;
        let before = removed;
        for upload in uploads {
            if upload.key.strip_prefix(folder).is_some_and(key::is_object) {
                bucket.abort(&upload.key, &upload.id)?;
                removed += 1;
            }
        }
        // What is aborted is in no list any more; what is not ours would be in it for ever.
        if !more || removed == before {
            return Ok(removed);
        }
    }
}
