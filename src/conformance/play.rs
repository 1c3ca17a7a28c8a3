//! What a destination is given while it is tried, step by step, and what it confirms of it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Notify;

use super::Trial;
use super::ear::Ear;
use crate::executor::ExecutorError;
use crate::protocol::{
    Catalog, Commit, DestinationInput, EmittedAt, Event, Failure, Json, Outcome, Rows,
    StateMessage, StreamDescriptor, now_ms,
};

/// Rows of a batch.
const BATCH_ROWS: usize = 500;

/// One step of a write.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Rows of a stream.
    Rows(u32, Vec<String>),
    /// A state of a stream, with a number in it.
    State(u32, u64),
    /// A state of all streams, with a number in it.
    Global(u64),
    /// The stream is complete.
    Complete(u32),
    /// The stream failed at its source.
    Incomplete(u32),
    /// Nothing more until all states are confirmed, or the time for that is over; then the end.
    WhenConfirmed(End),
    /// The same, when it was told that there is nothing more for now.
    Waiting(End),
}

/// How a write ends before its input is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The destination is killed.
    Kill,
    /// The source fails.
    Fail,
}

/// What a destination confirmed.
#[derive(Debug, Clone, Default)]
pub(super) struct Confirmed {
    /// What is wrong with its confirmations.
    pub(super) faults: Vec<String>,
    /// The last checkpoint that is confirmed.
    pub(super) through: u64,
    /// Rows written and rejected a stream, where it says so.
    pub(super) totals: HashMap<u32, (u64, u64)>,
    /// Echoes, and those among them that lack something of their state.
    pub(super) echoes: usize,
    pub(super) lacking: usize,
    /// The last state of each stream that was echoed, and of all streams.
    echoed: HashMap<Option<u32>, u64>,
    /// Streams with a state that was not echoed, but one after it.
    skipped: HashSet<u32>,
}

/// A write that ended.
#[derive(Debug)]
pub(super) struct Played {
    /// How; none: it was killed.
    pub(super) ended: Option<Result<(), ExecutorError>>,
    pub(super) confirmed: Confirmed,
    /// Checkpoints that were given.
    pub(super) given: u64,
    /// Rows that were given, a stream.
    pub(super) rows: HashMap<u32, u64>,
    /// Whether every state was confirmed before the input went on or ended.
    pub(super) confirmed_open: bool,
}

/// Gives the steps.
struct Play {
    catalog: Catalog,
    steps: Mutex<VecDeque<Step>>,
    given: AtomicU64,
    rows: Mutex<HashMap<u32, u64>>,
    /// The same, since the last state.
    since: Mutex<HashMap<u32, u64>>,
    /// The stream of each state, none of one of all streams. The last checkpoint is of no state.
    of: Mutex<BTreeMap<u64, Option<u32>>>,
    ended: Mutex<bool>,
    confirmed: Mutex<Confirmed>,
    news: Notify,
    confirmed_open: Mutex<bool>,
    kill: Notify,
    patience: Duration,
    ear: Arc<Ear>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes what the steps say.
pub(super) async fn write(trial: &Trial<'_>, catalog: &Catalog, steps: Vec<Step>) -> Played {
    let play = Arc::new(Play {
        catalog: catalog.clone(),
        steps: Mutex::new(split(steps)),
        given: AtomicU64::new(0),
        rows: Mutex::default(),
        since: Mutex::default(),
        of: Mutex::default(),
        ended: Mutex::new(false),
        confirmed: Mutex::default(),
        news: Notify::new(),
        confirmed_open: Mutex::new(false),
        kill: Notify::new(),
        patience: trial.options.commit_time,
        ear: trial.ear.clone(),
    });
    // What is waited for is no silence.
    let silence = trial.options.idle_time.saturating_add(play.patience);
    trial.ear.alive.sign();
    let context = trial.context();
    let ended = {
        let writing = trial.executor.write(&context, trial.config(), catalog, play.clone());
        tokio::select! {
            biased;
            // Dropped while it runs: nothing of it is told to stop.
            () = play.kill.notified() => None,
            ended = writing => Some(ended),
            silent = trial.ear.alive.silent("a write without a sign of life", silence) => {
                Some(Err(silent))
            }
        }
    };
    let ended = ended.map(|ended| trial.heard(ended));
    Played {
        ended,
        confirmed: locked(&play.confirmed).clone(),
        given: play.given.load(Ordering::SeqCst),
        rows: locked(&play.rows).clone(),
        confirmed_open: *locked(&play.confirmed_open),
    }
}

/// Rows in batches.
fn split(steps: Vec<Step>) -> VecDeque<Step> {
    let mut all = VecDeque::new();
    for step in steps {
        match step {
            Step::Rows(stream, rows) => {
                all.extend(rows.chunks(BATCH_ROWS).map(|rows| Step::Rows(stream, rows.to_vec())));
            }
            step => all.push_back(step),
        }
    }
    all
}

impl Play {
    fn next_id(&self) -> u64 {
        self.given.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// A state with members of the platform, and of nobody; without a stream, of all.
    fn state(&self, stream: Option<u32>, number: u64, rows: u64) -> Option<StateMessage> {
        let part = |descriptor: &StreamDescriptor| {
            json!({
                "stream_descriptor": descriptor,
                "stream_state": { "at": number, "text": "é \"quoted\" \u{1f600}", "none": null },
            })
        };
        let streams = &self.catalog.streams;
        let mut body = match stream {
            Some(stream) => {
                let descriptor = &streams.get(stream as usize)?.stream.descriptor;
                json!({ "type": "STREAM", "stream": part(descriptor) })
            }
            None => json!({ "type": "GLOBAL", "global": {
                "shared_state": { "lsn": number, "none": null },
                "stream_states":
                    streams.iter().map(|s| part(&s.stream.descriptor)).collect::<Vec<_>>(),
            }}),
        };
        body["sourceStats"] = json!({ "recordCount": rows });
        body["lockgate_validate"] = json!({ "number": number });
        StateMessage::from_airbyte(Json::from_value(&body)).ok()
    }

    /// Waits until all states are confirmed; whether they were in time.
    async fn wait(&self) -> bool {
        let given = self.given.load(Ordering::SeqCst);
        let all = async {
            loop {
                let news = self.news.notified();
                if locked(&self.confirmed).through >= given {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(self.patience, all).await.is_ok()
    }
}

#[async_trait]
impl DestinationInput for Play {
    async fn next(&self) -> Result<Option<Event>, Failure> {
        self.ear.alive.sign();
        let step = locked(&self.steps).pop_front();
        Ok(Some(match step {
            Some(Step::Rows(stream, rows)) => {
                let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
                for counts in [&self.rows, &self.since] {
                    *locked(counts).entry(stream).or_default() += u64::from(count);
                }
                let mut data = rows.join("\n").into_bytes();
                data.push(b'\n');
                let emitted_at = EmittedAt::All(now_ms());
                Event::Rows(Rows {
                    stream,
                    count,
                    data,
                    emitted_at,
                    meta: Vec::new(),
                    parsed: true,
                })
            }
            Some(Step::State(stream, number)) => {
                let id = self.next_id();
                locked(&self.of).insert(id, Some(stream));
                let rows = locked(&self.since).remove(&stream).unwrap_or(0);
                let state = self.state(Some(stream), number, rows).map(Arc::new);
                Event::Checkpoint { id, state }
            }
            Some(Step::Global(number)) => {
                let id = self.next_id();
                locked(&self.of).insert(id, None);
                let rows = locked(&self.since).drain().map(|(_, rows)| rows).sum();
                let state = self.state(None, number, rows).map(Arc::new);
                Event::Checkpoint { id, state }
            }
            Some(Step::Complete(stream)) => Event::StreamEnd { stream, outcome: Outcome::Complete },
            Some(Step::Incomplete(stream)) => {
                Event::StreamEnd { stream, outcome: Outcome::Incomplete }
            }
            Some(Step::WhenConfirmed(end)) => {
                locked(&self.steps).push_front(Step::Waiting(end));
                Event::Flush
            }
            Some(Step::Waiting(end)) => {
                *locked(&self.confirmed_open) = self.wait().await;
                if end == End::Kill {
                    self.kill.notify_one();
                    return std::future::pending().await;
                }
                return Err(Failure::cancelled());
            }
            None if !std::mem::replace(&mut *locked(&self.ended), true) => {
                Event::Checkpoint { id: self.next_id(), state: None }
            }
            None => return Ok(None),
        }))
    }

    async fn committed(&self, commits: Vec<Commit>) -> Result<(), Failure> {
        self.ear.alive.sign();
        let given = self.given.load(Ordering::SeqCst);
        {
            let mut confirmed = locked(&self.confirmed);
            for commit in commits {
                confirmed.take(&commit, given, &self.catalog, &locked(&self.of));
            }
        }
        self.news.notify_waiters();
        Ok(())
    }
}

impl Confirmed {
    /// Whether a state of a stream was confirmed by a later one.
    pub(super) fn skipped(&self, stream: u32) -> bool {
        self.skipped.contains(&stream)
    }

    fn take(
        &mut self,
        commit: &Commit,
        given: u64,
        catalog: &Catalog,
        of: &BTreeMap<u64, Option<u32>>,
    ) {
        match commit {
            Commit::Through { checkpoint, totals } => {
                if *checkpoint > given {
                    self.faults
                        .push(format!("it confirmed checkpoint {checkpoint} before it was given"));
                } else if *checkpoint < self.through {
                    let last = self.through;
                    self.faults.push(format!("it confirmed checkpoint {checkpoint} after {last}"));
                }
                self.through = self.through.max(*checkpoint);
                for total in totals {
                    self.totals.insert(total.stream, (total.written, total.rejected));
                }
            }
            Commit::Echo { checkpoint, stats, whole } => {
                self.echoes += 1;
                self.lacking += usize::from(!whole);
                // Of several streams the last may be confirmed first.
                self.through = self.through.max(*checkpoint);
                let scope = of.get(checkpoint).copied();
                if let Some(scope) = scope {
                    let before = self.echoed.insert(scope, *checkpoint).unwrap_or(0);
                    let mut between = of.range(before + 1..*checkpoint);
                    if let Some(stream) = scope
                        && between.any(|(_, other)| *other == Some(stream))
                    {
                        self.skipped.insert(stream);
                    }
                }
                if let (Some(Some(stream)), Some(stats)) = (scope, stats)
                    && let Some(records) = stats.records
                {
                    // A count, which saturates.
                    let count = |value: f64| value.round() as u64;
                    let total = self.totals.entry(stream).or_default();
                    total.0 += count(records);
                    total.1 += count(stats.rejected.unwrap_or(0.0));
                }
            }
            Commit::Finished => {
                self.through = given;
                self.faults.extend(self.unacknowledged(catalog, of));
            }
        }
    }

    /// The streams whose last state was not echoed, though the destination ended well.
    fn unacknowledged(&self, catalog: &Catalog, of: &BTreeMap<u64, Option<u32>>) -> Vec<String> {
        let last: BTreeMap<Option<u32>, u64> =
            of.iter().map(|(checkpoint, scope)| (*scope, *checkpoint)).collect();
        let missing = last
            .into_iter()
            .filter(|(scope, last)| self.echoed.get(scope).is_none_or(|echoed| echoed < last));
        let named = missing.map(|(scope, _)| {
            let stream = scope.and_then(|at| catalog.streams.get(at as usize));
            let of = stream.map_or_else(
                || "all streams".to_owned(),
                |configured| configured.stream.descriptor.to_string(),
            );
            format!("it ended well without acknowledging the last state of {of}")
        });
        named.collect()
    }
}
