//! What earlier syncs stored.

use serde::de::DeserializeOwned;

use crate::Failure;
use crate::bindings::types::{GlobalState, State, StreamDescriptor, StreamState};

/// The states a source goes on from; see [`Source::read`](crate::Source::read).
///
/// ```
/// use lockgate_sdk::bindings::types::{State, StreamState};
/// use lockgate_sdk::{SavedState, StreamDescriptor};
///
/// #[derive(serde::Deserialize)]
/// struct Reached {
///     updated_at: String,
/// }
///
/// let descriptor = StreamDescriptor::new("items");
/// let state = Some(r#"{"updated_at":"2024-01-01"}"#.to_owned());
/// let stored = State::Stream(StreamState { descriptor: descriptor.clone(), state });
/// let saved = SavedState::new(vec![stored]);
/// let reached: Option<Reached> = saved.stream(&descriptor)?;
/// assert_eq!(reached.map(|reached| reached.updated_at).as_deref(), Some("2024-01-01"));
/// # Ok::<(), lockgate_sdk::Failure>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SavedState {
    states: Vec<State>,
}

impl SavedState {
    /// The states as the contract gives them.
    #[must_use]
    pub fn new(states: Vec<State>) -> Self {
        Self { states }
    }

    /// Is there nothing to go on from?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// What was stored for a stream, by itself or within a global state. None: start again.
    ///
    /// # Errors
    /// `config` when the stored state is no `T`: the operator may clear it.
    pub fn stream<T: DeserializeOwned>(
        &self,
        descriptor: &StreamDescriptor,
    ) -> Result<Option<T>, Failure> {
        self.states
            .iter()
            .flat_map(|state| match state {
                State::Stream(stream) => std::slice::from_ref(stream),
                State::Global(global) => &global.streams,
            })
            .find(|stream| stream.descriptor == *descriptor)
            .and_then(|StreamState { state, .. }| state.as_deref())
            .map(|text| parse(text, &format!("the stored state of the stream `{descriptor}`")))
            .transpose()
            .map_err(|failure: Failure| failure.in_stream(descriptor))
    }

    /// The shared part of a global state. None: start again.
    ///
    /// # Errors
    /// `config` when the stored state is no `T`: the operator may clear it.
    pub fn shared<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        self.states
            .iter()
            .find_map(|state| match state {
                State::Global(GlobalState { shared, .. }) => shared.as_deref(),
                State::Stream(_) => None,
            })
            .map(|text| parse(text, "the stored state"))
            .transpose()
    }
}

fn parse<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, Failure> {
    crate::config::parse_as(text, what)
}
