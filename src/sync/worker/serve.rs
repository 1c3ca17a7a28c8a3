//! In the worker: from the first message to the last.

use std::io::Read;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::frame::Decoder;
use super::message::{
    CountsForm, FromWorker, JobForm, PlanForm, Side, SideForm, StreamForm, ToWorker,
};
use super::remote::{Announced, Parent, RemoteObserver, RemoteResolver, RemoteStore};
use super::turns::Turns;
use super::{RemoteError, WorkerError};
use crate::component::{ComponentError, ComponentRuntime, Image, Interruption, become_worker};
use crate::connector::{Connector, ConnectorError, Destination, Source};
use crate::executor::{Cancel, Canceller, ComponentExecutor, GivenSecrets, SecretExecutor, Vault};
use crate::sandbox::Fence;
use crate::sandbox::fence::FencePlan;
use crate::sync::counters::{NUMBERS, Totals};
use crate::sync::write::Begun;
use crate::sync::{Counters, SyncError, WriteOptions};

/// Between two messages about what has moved.
const EVERY: Duration = Duration::from_millis(200);

/// Runs the one sync that the parent asks for on stdin. `descriptors` are those of the code of its
/// source and its destination.
///
/// # Errors
/// When there is no parent, or it does not speak as one.
pub fn serve(descriptors: [RawFd; 2]) -> std::io::Result<ExitCode> {
    become_worker();
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut inbox = Inbox { socket: socket.try_clone()?, decoder: Decoder::default() };
    let Some(ToWorker::Job(job)) = inbox.next()? else {
        return Err(std::io::Error::other("this is started by `lockgate sync`, and does its work"));
    };
    fence_in(&job)?;
    let images = descriptors.map(adopt);
    let (parent, writer) = Parent::new(socket)?;
    let (canceller, cancel) = Cancel::new();
    let (ear, told) = (parent.clone(), canceller);
    std::thread::Builder::new()
        .name("lockgate-inbox".into())
        .spawn(move || listen(inbox, &ear, &told))?;

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let result = runtime.block_on(run(*job, images, &parent, cancel));
    parent.say(&FromWorker::Finished { result });
    // Its clones are with connectors that may never end; the writer ends with this process, and
    // what it wrote last is what counts.
    parent.close();
    let _ = writer.join();
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// What a component that left its sandbox would find: no program to execute, no file and no network
/// but what both policies grant, no other process. Before there are threads, because a fence is
/// entered by one.
fn fence_in(job: &JobForm) -> std::io::Result<()> {
    let mut plan = FencePlan { exec: false, ..FencePlan::default() };
    job.source.policy.open(&mut plan);
    job.destination.policy.open(&mut plan);
    // The first sandbox is the engine; a kernel that lacks the second does not stop a sync. A
    // directory that is not there is refused by the operation that needs it.
    plan.write.retain(|directory| directory.exists());
    plan.prepare(Fence::BestEffort).map_err(std::io::Error::other)?.enter()
}

fn adopt(descriptor: RawFd) -> Image {
    #[expect(unsafe_code, reason = "descriptors come from the parent as numbers")]
    // SAFETY: the parent opened it for this process alone, and nobody else here knows its number.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Image::from_descriptor(owned)
}

/// What the parent says.
struct Inbox {
    socket: UnixStream,
    decoder: Decoder,
}

impl Inbox {
    fn next(&mut self) -> std::io::Result<Option<ToWorker>> {
        let mut bytes = vec![0; 64 << 10];
        loop {
            if let Some(message) = self.decoder.next().map_err(std::io::Error::other)? {
                return Ok(Some(message));
            }
            match self.socket.read(&mut bytes)? {
                0 => return Ok(None),
                length => self.decoder.push(&bytes[..length]),
            }
        }
    }
}

/// Hears the parent. A worker without one ends at once, whatever its guests are doing: nobody would
/// store what they confirm.
fn listen(mut inbox: Inbox, parent: &Parent, canceller: &Canceller) {
    while let Ok(Some(message)) = inbox.next() {
        match message {
            ToWorker::Answer { id, answer } => parent.answered(id, answer),
            ToWorker::Cancel => canceller.cancel(),
            ToWorker::Job(_) => break,
        }
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

async fn run(
    job: JobForm,
    images: [Image; 2],
    parent: &Arc<Parent>,
    cancel: Cancel,
) -> Result<(), RemoteError> {
    let failed = |what: String| RemoteError::of(&WorkerError::Protocol(what));
    if job.version != env!("CARGO_PKG_VERSION") {
        return Err(failed(format!(
            "its version is {}, not {}",
            env!("CARGO_PKG_VERSION"),
            job.version
        )));
    }
    let [from, to] = images;
    let turns = Turns::start().map_err(|e| RemoteError::of(&WorkerError::Start(e.to_string())))?;
    // One for both: what one side was given is hidden in what the other says.
    let vault = Arc::new(Vault::default());
    let worker = Worker { parent: parent.clone(), turns, vault };
    let source = worker.connector(job.source, &from, Side::Source)?;
    let destination = worker.connector(job.destination, &to, Side::Destination)?;
    drop((from, to));
    let options = WriteOptions {
        streams: job.streams,
        strategy: job.strategy,
        full_refresh: job.full_refresh,
        refresh: job.refresh,
        clear: job.clear,
        stream_options: job.stream_options,
        state: Some(Arc::new(RemoteStore(parent.clone()))),
        idle_time: job.idle_time,
        cancel: Some(cancel),
        ..WriteOptions::default()
    };
    let told = Arc::new(Mutex::new(None::<Arc<Telling>>));
    let begun = |begun: &Begun<'_>| {
        parent.say(&FromWorker::Started(plan(begun)));
        let telling = Arc::new(Telling {
            parent: parent.clone(),
            counters: begun.counters.clone(),
            told: Mutex::default(),
        });
        tokio::spawn(telling.clone().go_on());
        *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(telling);
    };
    let (source, destination) = (Source(source), Destination(destination));
    let result =
        destination.write_here(&source, &job.connection, &options, job.again, &begun).await;
    if let Some(telling) = &*told.lock().unwrap_or_else(PoisonError::into_inner) {
        telling.tell();
    }
    match result {
        Ok(_) => Ok(()),
        Err(failure) => Err(RemoteError::of_sync(&failure.error)),
    }
}

/// What the connectors of a worker share.
struct Worker {
    parent: Arc<Parent>,
    turns: Arc<Turns>,
    vault: Arc<Vault>,
}

impl Worker {
    fn connector(
        &self,
        form: SideForm,
        image: &Image,
        side: Side,
    ) -> Result<Connector, RemoteError> {
        let failed = |error: ComponentError| {
            let (name, error) = (form.name.clone(), Box::new(error.into()));
            RemoteError::of(&SyncError::from(ConnectorError::Run { name, error }))
        };
        let policy = form.policy.policy().map_err(|e| RemoteError::of(&e))?;
        let names = RemoteResolver { parent: self.parent.clone(), side };
        let runtime = ComponentRuntime::new(None).with_interruption(Interruption::Off);
        let runtime = runtime.with_resolver(Arc::new(names));
        let cache = form.cache.clone().map(PathBuf::from);
        let (path, digest) = (Path::new(&form.path), form.digest.clone());
        let loaded = runtime.load_image(image, path, digest, form.size, cache);
        let component = loaded.and_then(|c| c.granted(&policy)).map_err(failed)?;
        let (limits, environment) = (policy.limits.clone(), policy.environment.clone());
        let inner = ComponentExecutor::new(component, policy);
        let (parent, turns) = (self.parent.clone(), self.turns.clone());
        let observer = Arc::new(RemoteObserver { parent: parent.clone(), side });
        let executor = Arc::new(Announced { inner, limits, parent, turns, side });
        let values = form.secrets.into_iter().map(|(reference, value)| (reference, value.into()));
        let secrets = Arc::new(GivenSecrets::new(values.collect()));
        let executor = SecretExecutor::new(executor, secrets, environment, self.vault.clone());
        let connector = Connector::new(form.name, Arc::new(executor), form.config, observer);
        Ok(connector.with_changed_members(form.changed.as_ref()))
    }
}

fn plan(begun: &Begun<'_>) -> PlanForm {
    let streams = begun.plan.catalog.streams.iter().map(|s| StreamForm {
        descriptor: s.stream.descriptor.clone(),
        sync_mode: s.sync_mode.airbyte().to_owned(),
        destination_sync_mode: s.destination_sync_mode.airbyte().to_owned(),
        generation_id: s.generation_id,
        minimum_generation_id: s.minimum_generation_id,
        sync_id: s.sync_id,
    });
    PlanForm {
        source: (begun.source.name.clone(), begun.source.version.clone()),
        destination: (begun.destination.name.clone(), begun.destination.version.clone()),
        streams: streams.collect(),
        notes: begun.plan.notes.clone(),
        resumed: begun.resumed,
        rows_stay: begun.destination.supports_refreshes(),
    }
}

/// Counts of each stream, by place, and of all.
type Told = (Vec<[u64; NUMBERS]>, Totals);

/// Tells the parent what moves.
struct Telling {
    parent: Arc<Parent>,
    counters: Arc<Counters>,
    /// What was told last.
    told: Mutex<Told>,
}

impl Telling {
    async fn go_on(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.tell();
        }
    }

    /// Tells what has changed.
    fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (streams, totals) = &mut *told;
        streams.resize(self.counters.streams.len(), [0; NUMBERS]);
        let mut form = CountsForm { totals: self.counters.totals(), ..Default::default() };
        for (place, (counters, told)) in self.counters.streams.iter().zip(streams).enumerate() {
            let now = counters.all();
            if now != *told {
                *told = now;
                form.streams.push((place, now));
            }
        }
        if !form.streams.is_empty() || form.totals != *totals {
            *totals = form.totals;
            // Under the lock, so that older counts never follow newer ones.
            self.parent.say(&FromWorker::Counts(form));
        }
    }
}
