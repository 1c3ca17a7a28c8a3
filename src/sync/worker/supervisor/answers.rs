//! What the supervisor does for its worker: states and changed configurations, of this sync only.

use std::sync::Arc;

use super::{Supervisor, broken};
use crate::config::StreamSelection;
use crate::connector::CHANGE_BYTES;
use crate::protocol::{Json, Observer, StateScope, StreamDescriptor};
use crate::state::{StateStore, StateStoreError, SyncStart};
use crate::sync::worker::WorkerError;
use crate::sync::worker::message::{Answer, Question, Side, StateForm};
use crate::sync::write::blocking;

impl Supervisor<'_> {
    /// Answers a question. What it asks for is durable when this returns.
    pub(super) async fn answer(&self, question: Question) -> Result<Answer, WorkerError> {
        if let Question::UpdateConfig { side, config } = question {
            checked(&config)?;
            return Ok(match self.observers[side.place()].update_config(config).await {
                Ok(()) => Answer::Done,
                Err(failure) => Answer::Failed(failure.message),
            });
        }
        let Some(store) = &self.options.state else {
            return Err(broken("it asks for states where none are kept"));
        };
        let connection = self.connection.to_owned();
        let result: Result<Answer, StateStoreError> = match question {
            Question::BeginSync { start } => {
                // Which sync it goes on with is not the worker's to say.
                let start = SyncStart { again: self.again, ..start };
                blocking(store, move |store| {
                    Ok(Answer::Numbers(store.begin_sync(&connection, &start, None)?))
                })
                .await
            }
            Question::Complete { streams } => {
                self.must_be_planned(&streams)?;
                blocking(store, move |store| {
                    store.complete(&connection, &streams, None)?;
                    Ok(Answer::Done)
                })
                .await
            }
            Question::Clear { streams } => {
                self.may_clear(streams.as_deref())?;
                blocking(store, move |store| {
                    store.clear(&connection, streams.as_deref())?;
                    Ok(Answer::Done)
                })
                .await
            }
            Question::Load => {
                blocking(store, move |store| {
                    let states = store.load(&connection)?;
                    Ok(Answer::States(states.iter().map(StateForm::of).collect()))
                })
                .await
            }
            Question::Store { states } => self.store(store, states).await?,
            Question::ChangedConfig { side, digest } => {
                self.must_be_ours(side, &digest)?;
                blocking(store, move |store| {
                    store.changed_config(&connection, side.word(), &digest).map(Answer::Config)
                })
                .await
            }
            Question::ChangeConfig { side, digest, members } => {
                self.must_be_ours(side, &digest)?;
                checked(&members)?;
                blocking(store, move |store| {
                    store.change_config(&connection, side.word(), &digest, &members)?;
                    Ok(Answer::Done)
                })
                .await
            }
            // Answered above.
            Question::UpdateConfig { .. } | Question::Resolve { .. } => Ok(Answer::Done),
        };
        Ok(result.unwrap_or_else(|error| Answer::StoreFault(error.into())))
    }

    async fn store(
        &self,
        store: &Arc<dyn StateStore>,
        states: Vec<StateForm>,
    ) -> Result<Result<Answer, StateStoreError>, WorkerError> {
        let states = states.into_iter().map(StateForm::stored).collect::<Result<Vec<_>, _>>();
        let states = states.map_err(|e| broken(e.to_string()))?;
        for stored in &states {
            // A global state is the source's to fill; a stream's is of a stream that is read.
            if let StateScope::Stream(of) = stored.state.scope() {
                self.must_be_planned(std::slice::from_ref(of))?;
            }
            let streams: Vec<_> = stored.generations.keys().cloned().collect();
            self.must_be_planned(&streams)?;
        }
        let connection = self.connection.to_owned();
        let stored = blocking(store, move |store| {
            store.store(&connection, &states, None)?;
            Ok(Answer::Done)
        });
        Ok(stored.await)
    }

    /// Refuses what is said of streams that this sync does not move.
    fn must_be_planned(&self, streams: &[StreamDescriptor]) -> Result<(), WorkerError> {
        let Some(moving) = &self.moving else {
            return Err(broken("it stores states before rows move"));
        };
        let planned = &moving.plan.catalog.streams;
        let known = |of: &StreamDescriptor| planned.iter().any(|s| s.stream.descriptor == *of);
        if streams.iter().all(known) {
            return Ok(());
        }
        Err(broken("it stores a state of a stream that is not in its plan"))
    }

    /// Refuses to forget states that nobody asked to forget.
    fn may_clear(&self, streams: Option<&[StreamDescriptor]>) -> Result<(), WorkerError> {
        let asked = self.options.clear
            && (streams.is_some() || self.options.streams == StreamSelection::All);
        if !asked {
            return Err(broken("it forgets states that nobody asked it to forget"));
        }
        self.must_be_planned(streams.unwrap_or_default())
    }

    fn must_be_ours(&self, side: Side, digest: &str) -> Result<(), WorkerError> {
        if self.digests[side.place()] == digest {
            return Ok(());
        }
        Err(broken("it asks about a configuration that is not its own"))
    }
}

/// A change of a configuration, as the worker should have checked it.
fn checked(config: &Json) -> Result<(), WorkerError> {
    if config.is_object() && config.get().len() <= CHANGE_BYTES {
        return Ok(());
    }
    Err(broken("it changes a configuration to what cannot be one"))
}
