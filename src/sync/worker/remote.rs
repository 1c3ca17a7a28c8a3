//! In the worker: what the parent does for it, behind the traits that a sync knows.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::frame::encode;
use super::message::{Answer, FromWorker, Question, Side, StateForm};
use super::meter::{Meter, Metered};
use super::turns::Turns;
use crate::component::{ComponentError, Operation, Resolver};
use crate::executor::{Cancel, ComponentExecutor, Context, Described, Executor, ExecutorError};
use crate::protocol::{
    Capability, Catalog, Decision, DestinationInput, DiscoveredStream, Failure, Json, LogLevel,
    Observer, SourceOutput, Specification, StateMessage, StreamDescriptor,
};
use crate::sandbox::{Limits, Policy};
use crate::state::{
    Generation, Held, Holder, Lease, PastStates, Remembered, StateStore, StateStoreError,
    StoredState, SyncNumbers, SyncStart,
};

/// Messages that wait to be written. A connector that says more waits: that is the back-pressure.
const WAITING: usize = 256;

/// The way to the parent.
#[derive(Debug)]
pub(super) struct Parent {
    /// None: nothing more is written.
    outbox: SyncSender<Option<Vec<u8>>>,
    questions: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    next: AtomicU64,
}

impl Parent {
    /// Begins to write on a thread of its own.
    pub(super) fn new(socket: UnixStream) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let (outbox, messages) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("lockgate-outbox".into())
            .spawn(move || write(socket, &messages))?;
        let (questions, next) = (Mutex::default(), AtomicU64::new(1));
        Ok((Arc::new(Self { outbox, questions, next }), thread))
    }

    /// Says something, in order. When it cannot be said the parent is gone, and this process with
    /// it.
    pub(super) fn say(&self, message: &FromWorker) {
        match encode(message) {
            Ok(bytes) => drop(self.outbox.send(Some(bytes))),
            // Only a store of states is that large, and then its question stays without an answer:
            // better no sync than one whose states are not stored.
            Err(error) => {
                let failed = super::WorkerError::Protocol(error.to_string());
                let result = Err(super::RemoteError::of(&failed));
                if let Ok(bytes) = encode(&FromWorker::Finished { result }) {
                    let _ = self.outbox.send(Some(bytes));
                }
            }
        }
    }

    /// Lets the writer end once everything is written.
    pub(super) fn close(&self) {
        let _ = self.outbox.send(None);
    }

    /// Asks, and gives where the answer will be.
    fn ask(&self, question: Question) -> oneshot::Receiver<Answer> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, awaited) = oneshot::channel();
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
        self.say(&FromWorker::Ask { id, question });
        awaited
    }

    /// Gives an answer to whoever waits for it.
    pub(super) fn answered(&self, id: u64, answer: Answer) {
        let waiting = self.questions.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(waiting) = waiting {
            // Nobody waits any more where the sync was stopped.
            let _ = waiting.send(answer);
        }
    }
}

fn write(mut socket: UnixStream, messages: &Receiver<Option<Vec<u8>>>) {
    while let Ok(Some(bytes)) = messages.recv() {
        if socket.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// The parent's state store.
#[derive(Debug)]
pub(super) struct RemoteStore(pub(super) Arc<Parent>);

impl RemoteStore {
    fn ask(&self, question: Question) -> Result<Answer, StateStoreError> {
        match self.0.ask(question).blocking_recv() {
            Ok(Answer::StoreFault(fault)) => Err(fault.into()),
            Ok(Answer::Failed(reason)) => Err(refused(reason)),
            Ok(answer) => Ok(answer),
            Err(_) => Err(refused("the parent is gone".into())),
        }
    }
}

fn refused(reason: String) -> StateStoreError {
    StateStoreError::Database { path: PathBuf::new(), reason }
}

fn odd<T>() -> Result<T, StateStoreError> {
    Err(refused("the parent's answer is to another question".into()))
}

fn side(word: &str) -> Side {
    if word == Side::Source.word() { Side::Source } else { Side::Destination }
}

// The connection is the parent's to know: there is only one.
impl StateStore for RemoteStore {
    fn acquire(&self, _: &str, _: &Holder, _: Duration) -> Result<Lease, StateStoreError> {
        Err(refused("a worker takes no lease: its parent holds it".into()))
    }

    fn renew(&self, _: &Lease, _: Duration) -> Result<(), StateStoreError> {
        Err(refused("a worker renews no lease".into()))
    }

    fn release(&self, _: &Lease) -> Result<(), StateStoreError> {
        Err(refused("a worker gives no lease back".into()))
    }

    fn begin_sync(
        &self,
        _: &str,
        start: &SyncStart,
        _: Option<u64>,
    ) -> Result<SyncNumbers, StateStoreError> {
        match self.ask(Question::BeginSync { start: start.clone() })? {
            Answer::Numbers(numbers) => Ok(numbers),
            _ => odd(),
        }
    }

    fn complete(
        &self,
        _: &str,
        streams: &[StreamDescriptor],
        _: Option<u64>,
    ) -> Result<(), StateStoreError> {
        match self.ask(Question::Complete { streams: streams.to_vec() })? {
            Answer::Done => Ok(()),
            _ => odd(),
        }
    }

    fn generations(&self, _: &str) -> Result<Vec<(StreamDescriptor, Generation)>, StateStoreError> {
        Err(refused("a worker is told its generations".into()))
    }

    fn past(&self, _: &str) -> Result<Vec<PastStates>, StateStoreError> {
        Err(refused("a worker knows no past".into()))
    }

    fn load(&self, _: &str) -> Result<Vec<StoredState>, StateStoreError> {
        let Answer::States(states) = self.ask(Question::Load)? else { return odd() };
        let states = states.into_iter().map(StateForm::stored);
        states.collect::<Result<_, _>>().map_err(|e| refused(e.to_string()))
    }

    fn store(
        &self,
        _: &str,
        states: &[StoredState],
        _: Option<u64>,
    ) -> Result<(), StateStoreError> {
        let states = states.iter().map(StateForm::of).collect();
        match self.ask(Question::Store { states })? {
            Answer::Done => Ok(()),
            _ => odd(),
        }
    }

    fn held(&self, _: &str) -> Result<Option<Held>, StateStoreError> {
        Err(refused("a worker is told who holds what".into()))
    }

    fn set(&self, _: &str, _: &[StoredState], _: Option<u64>) -> Result<usize, StateStoreError> {
        Err(refused("a worker does not set states".into()))
    }

    fn clear(
        &self,
        _: &str,
        streams: Option<&[StreamDescriptor]>,
    ) -> Result<usize, StateStoreError> {
        // How many there were is the parent's to know.
        match self.ask(Question::Clear { streams: streams.map(<[_]>::to_vec) })? {
            Answer::Done => Ok(0),
            _ => odd(),
        }
    }

    fn last_sync(&self, _: &str) -> Result<u64, StateStoreError> {
        Err(refused("a worker is told its sync".into()))
    }

    fn adopt(&self, _: &str, _: &Remembered, _: Option<u64>) -> Result<(), StateStoreError> {
        Err(refused("a worker takes nothing over".into()))
    }

    fn connections(&self) -> Result<Vec<(String, u64, i64)>, StateStoreError> {
        Err(refused("a worker knows one connection only".into()))
    }

    fn change_config(
        &self,
        _: &str,
        of: &str,
        digest: &str,
        members: &Json,
    ) -> Result<(), StateStoreError> {
        let (digest, members) = (digest.to_owned(), members.clone());
        match self.ask(Question::ChangeConfig { side: side(of), digest, members })? {
            Answer::Done => Ok(()),
            _ => odd(),
        }
    }

    fn changed_config(
        &self,
        _: &str,
        of: &str,
        digest: &str,
    ) -> Result<Option<Json>, StateStoreError> {
        match self.ask(Question::ChangedConfig { side: side(of), digest: digest.to_owned() })? {
            Answer::Config(members) => Ok(members),
            _ => odd(),
        }
    }

    fn replace_changed_config(
        &self,
        _: &str,
        _: &str,
        _: &str,
        _: Option<&Json>,
    ) -> Result<(), StateStoreError> {
        // What is in files, and which changes that makes needless, is the parent's.
        odd()
    }
}

/// The parent's observer of one side.
pub(super) struct RemoteObserver {
    pub(super) parent: Arc<Parent>,
    pub(super) side: Side,
}

#[async_trait]
impl Observer for RemoteObserver {
    fn log(&self, level: LogLevel, message: &str) {
        let (level, message) = (level.airbyte().to_owned(), message.to_owned());
        self.parent.say(&FromWorker::Log { side: self.side, level, message });
    }

    async fn update_config(&self, config: Json) -> Result<(), Failure> {
        match self.parent.ask(Question::UpdateConfig { side: self.side, config }).await {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::Failed(reason)) => Err(Failure::system(reason)),
            _ => Err(Failure::system("the parent did not take the changed configuration")),
        }
    }

    fn decided(&self, decision: &Decision) {
        let decision = decision.clone();
        self.parent.say(&FromWorker::Decided { side: self.side, decision });
    }
}

/// The parent's resolver, for one side.
#[derive(Debug)]
pub(super) struct RemoteResolver {
    pub(super) parent: Arc<Parent>,
    pub(super) side: Side,
}

#[async_trait]
impl Resolver for RemoteResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let question = Question::Resolve { side: self.side, name: name.to_owned() };
        match self.parent.ask(question).await {
            Ok(Answer::Addresses(addresses)) => Ok(addresses),
            Ok(Answer::Failed(reason)) => Err(io::Error::other(reason)),
            _ => Err(io::Error::other("the parent did not look it up")),
        }
    }
}

/// A component whose operations the parent hears of, off the threads of the runtime.
///
/// Nothing interrupts a guest here. On a thread of the runtime one that computes would hold up what
/// else waits for that thread, its own deadline among it; so it is run beside it, and is left behind
/// when its time is over, until the process ends.
pub(super) struct Announced {
    pub(super) inner: ComponentExecutor,
    pub(super) limits: Limits,
    pub(super) parent: Arc<Parent>,
    pub(super) turns: Arc<Turns>,
    pub(super) side: Side,
}

/// How long a source that was told to stop may compute on.
const STOPPING: Duration = Duration::from_millis(250);

impl std::fmt::Debug for Announced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announced").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Announced {
    /// Says that a limit was reached that nothing in the store looks after here.
    fn reached(&self, limit: &str) {
        let decision = Decision::deny(Capability::Limit, limit, format!("limit {limit}"));
        self.parent.say(&FromWorker::Decided { side: self.side, decision });
    }

    async fn apart<T: Send + 'static>(
        &self,
        cancel: Option<&Cancel>,
        operation: Operation,
        running: impl Future<Output = Result<T, ExecutorError>> + Send + 'static,
    ) -> Result<T, ExecutorError> {
        let limit = operation.deadline(&self.limits);
        let overdue = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let stopped = async {
            match cancel {
                Some(cancel) => cancel.cancelled().await,
                None => std::future::pending().await,
            }
            tokio::time::sleep(STOPPING).await;
        };
        let meter = Arc::new(Meter::default());
        let exhausted = exhausted(meter.clone(), self.limits.cpu_time);
        self.parent.say(&FromWorker::Began { side: self.side, operation });
        let (done, result) = oneshot::channel();
        // Nobody waits any more for one that was left behind.
        let running = async move { drop(done.send(running.await)) };
        if self.limits.cpu_time.is_some() {
            let running = Metered { meter, operation: Box::pin(running) };
            self.turns.spawn(self.side.place(), running).await;
        } else {
            self.turns.spawn(self.side.place(), running).await;
        }
        let result = tokio::select! {
                biased;
                result = result => result.unwrap_or_else(|_| {
                    Err(Failure::system("a fault in the host ended the operation").into())
                }),
                () = overdue => {
                    self.reached(operation.deadline_name());
                    let (operation, limit) = (operation.word(), limit.unwrap_or_default());
                    Err(ComponentError::Timeout { operation, limit }.into())
                }
                () = exhausted => {
                    self.reached("cpu-time");
                    let (operation, limit) = (operation.word(), self.limits.cpu_time);
                    let limit = limit.unwrap_or_default();
                    Err(ComponentError::Cpu { operation, limit }.into())
                }
                () = stopped => Err(Failure::cancelled().into()),
        };
        self.parent.say(&FromWorker::Ended { side: self.side, operation });
        result
    }
}

/// Ends when an operation has used up its CPU time.
async fn exhausted(meter: Arc<Meter>, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    while let Some(left) = limit.checked_sub(meter.spent()).filter(|left| !left.is_zero()) {
        // It has one thread at a time, and cannot use more than the time that passes.
        tokio::time::sleep(left.max(Duration::from_millis(10))).await;
    }
}

#[async_trait]
impl Executor for Announced {
    fn describe(&self) -> Described {
        self.inner.describe()
    }

    fn identity(&self) -> Vec<String> {
        self.inner.identity()
    }

    fn policy(&self) -> Option<&Policy> {
        self.inner.policy()
    }

    fn may_import(&self) -> Result<(), ExecutorError> {
        self.inner.may_import()
    }

    async fn spec(&self, context: &Context) -> Result<Specification, ExecutorError> {
        let (inner, context) = (self.inner.clone(), context.clone());
        let asking = async move { inner.spec(&context).await };
        let spec = self.apart(None, Operation::Spec, asking).await?;
        let (needs, schema) = (spec.needs.clone(), spec.config_schema.clone());
        self.parent.say(&FromWorker::Needs { side: self.side, needs, schema });
        Ok(spec)
    }

    async fn check(&self, context: &Context, config: &Json) -> Result<(), ExecutorError> {
        let (inner, context, config) = (self.inner.clone(), context.clone(), config.clone());
        let checking = async move { inner.check(&context, &config).await };
        self.apart(None, Operation::Check, checking).await
    }

    async fn discover(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        let (inner, context, config) = (self.inner.clone(), context.clone(), config.clone());
        let discovering = async move { inner.discover(&context, &config).await };
        self.apart(None, Operation::Discover, discovering).await
    }

    async fn read(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        let (inner, context, config) = (self.inner.clone(), context.clone(), config.clone());
        let (cancel, catalog, states) = (context.cancel.clone(), catalog.clone(), states.to_vec());
        let reading = async move { inner.read(&context, &config, &catalog, &states, output).await };
        self.apart(Some(&cancel), Operation::Read, reading).await
    }

    async fn write(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        let (inner, context, config) = (self.inner.clone(), context.clone(), config.clone());
        let catalog = catalog.clone();
        let writing = async move { inner.write(&context, &config, &catalog, input).await };
        self.apart(None, Operation::Write, writing).await
    }
}
