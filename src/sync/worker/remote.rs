//! In the worker: what the parent does for it, behind the traits that a sync knows.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::frame::encode;
use super::message::{Answer, FromWorker, Question, Side, StateForm};
use crate::component::Operation;
use crate::executor::{ComponentExecutor, Context, Described, Executor, ExecutorError};
use crate::protocol::{
    Catalog, Decision, DestinationInput, DiscoveredStream, Failure, Json, LogLevel, Observer,
    SourceOutput, Specification, StateMessage, StreamDescriptor,
};
use crate::state::{StateStore, StateStoreError, StoredState, SyncNumbers};

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
    fn begin_sync(
        &self,
        _: &str,
        streams: &[(StreamDescriptor, bool)],
    ) -> Result<SyncNumbers, StateStoreError> {
        match self.ask(Question::BeginSync { streams: streams.to_vec() })? {
            Answer::Numbers { sync_id, generations } => Ok(SyncNumbers { sync_id, generations }),
            _ => odd(),
        }
    }

    fn load(&self, _: &str) -> Result<Vec<StoredState>, StateStoreError> {
        let Answer::States(states) = self.ask(Question::Load)? else { return odd() };
        let states = states.into_iter().map(StateForm::stored);
        states.collect::<Result<_, _>>().map_err(|e| refused(e.to_string()))
    }

    fn store(&self, _: &str, states: &[StoredState]) -> Result<(), StateStoreError> {
        let states = states.iter().map(StateForm::of).collect();
        match self.ask(Question::Store { states })? {
            Answer::Done => Ok(()),
            _ => odd(),
        }
    }

    fn clear(&self, _: &str, _: Option<&[StreamDescriptor]>) -> Result<usize, StateStoreError> {
        Err(refused("a worker does not clear states".into()))
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

/// A component whose operations the parent hears of, so that it can end them.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) inner: ComponentExecutor,
    pub(super) parent: Arc<Parent>,
    pub(super) side: Side,
}

impl Announced {
    async fn during<T>(&self, operation: Operation, running: impl Future<Output = T>) -> T {
        self.parent.say(&FromWorker::Began { side: self.side, operation });
        let result = running.await;
        self.parent.say(&FromWorker::Ended { side: self.side, operation });
        result
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

    async fn spec(&self, context: &Context) -> Result<Specification, ExecutorError> {
        self.during(Operation::Spec, self.inner.spec(context)).await
    }

    async fn check(&self, context: &Context, config: &Json) -> Result<(), ExecutorError> {
        self.during(Operation::Check, self.inner.check(context, config)).await
    }

    async fn discover(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        self.during(Operation::Discover, self.inner.discover(context, config)).await
    }

    async fn read(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        let reading = self.inner.read(context, config, catalog, states, output);
        self.during(Operation::Read, reading).await
    }

    async fn write(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        let writing = self.inner.write(context, config, catalog, input);
        self.during(Operation::Write, writing).await
    }
}
