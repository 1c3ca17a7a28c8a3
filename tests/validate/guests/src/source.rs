//! A source of numbers, and what can be wrong with it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::marker::PhantomData;

use lockgate_sdk::{Catalog, Failure, Output, SavedState, Spec, Stream, log};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is wrong with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFault {
    /// None.
    None,
    /// It gives no state at all.
    NoState,
    /// A state covers rows that are still to come.
    StateTooEarly,
    /// It reads everything, whatever state it is given.
    IgnoresState,
    /// When there is nothing new, it gives a state of nothing.
    ForgetsState,
    /// A state beyond its rows counts as none.
    ClampsFuture,
    /// One row has a number where the schema has a text.
    RowNotAsSchema,
    /// Its rows are others each time.
    RandomRows,
    /// One row has no key.
    NullKey,
    /// Its check says yes to everything.
    SaysYes,
    /// It logs its token.
    Leaks,
    /// Its cursor is not in the schema.
    CursorNowhere,
    /// It completes streams that it does not have.
    AnyStream,
    /// Its key is neither in the schema nor in the rows.
    KeyNowhere,
    /// Its states hold its token.
    KeepsToken,
}

/// Its configuration.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// How many rows there are; at least one.
    limit: u64,
    /// Proves who asks.
    #[serde(default)]
    #[schemars(extend("airbyte_secret" = true))]
    token: Option<String>,
}

/// The same, without care.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OpenConfig {
    /// How many rows there are; at least one.
    limit: u64,
    /// Proves who asks.
    #[serde(default)]
    token: Option<String>,
}

impl From<OpenConfig> for Config {
    fn from(OpenConfig { limit, token }: OpenConfig) -> Self {
        Self { limit, token }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    last: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Rows between two states.
const CHUNK: u64 = 10;

/// A source of numbers with a fault.
#[derive(Debug)]
pub struct Source<const FAULT: u8, C>(PhantomData<C>);

impl<const FAULT: u8, C> Source<FAULT, C> {
    fn has(fault: SourceFault) -> bool {
        FAULT == fault as u8
    }

    fn row(number: u64) -> Value {
        let text = match number {
            5 if Self::has(SourceFault::NullKey) => Value::Null,
            5 if Self::has(SourceFault::RowNotAsSchema) => json!(5),
            5 if Self::has(SourceFault::RandomRows) => {
                format!("random {}", RandomState::new().build_hasher().finish()).into()
            }
            number => format!("number {number}").into(),
        };
        json!({ "number": number, "text": text })
    }
}

impl<const FAULT: u8, C> lockgate_sdk::Source for Source<FAULT, C>
where
    C: DeserializeOwned + JsonSchema + Into<Config>,
{
    type Config = C;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    }

    fn check(config: C) -> Result<(), Failure> {
        if config.into().limit == 0 && !Self::has(SourceFault::SaysYes) {
            return Err(Failure::config("limit is 0, and there must be a row"));
        }
        Ok(())
    }

    fn discover(_: C) -> Result<Vec<Stream>, Failure> {
        let schema = json!({ "type": "object", "properties": {
            "number": { "type": "integer" }, "text": { "type": ["null", "string"] } } });
        let key = if Self::has(SourceFault::KeyNowhere) { "uuid" } else { "text" };
        let cursor = if Self::has(SourceFault::CursorNowhere) { "modified" } else { "number" };
        Ok(vec![
            Stream::new("numbers", schema)
                .incremental()
                .default_cursor([cursor])
                .primary_key([[key]]),
        ])
    }

    fn read(
        config: C,
        catalog: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let config = config.into();
        if Self::has(SourceFault::Leaks) {
            log::info(format_args!("signed in with {:?}", config.token));
        }
        for (index, configured) in catalog.streams.iter().enumerate() {
            if configured.descriptor.name != "numbers" {
                if Self::has(SourceFault::AnyStream) {
                    output.stream(index)?.complete()?;
                    continue;
                }
                return Err(
                    Failure::config("there is no such stream").in_stream(&configured.descriptor)
                );
            }
            let saved: Option<State> = state.stream(&configured.descriptor)?;
            let mut begin = saved.map_or(0, |state| state.last);
            if Self::has(SourceFault::IgnoresState)
                || (Self::has(SourceFault::ClampsFuture) && begin > config.limit)
            {
                begin = 0;
            }
            let state = |last: u64| State {
                last,
                token: config.token.clone().filter(|_| Self::has(SourceFault::KeepsToken)),
            };
            let mut stream = output.stream(index)?;
            let mut last = begin;
            while last < config.limit {
                let next = config.limit.min(last + CHUNK);
                if Self::has(SourceFault::StateTooEarly) {
                    stream.checkpoint(&state(next))?;
                }
                for number in last + 1..=next {
                    stream.write(&Self::row(number))?;
                }
                if !Self::has(SourceFault::NoState) {
                    stream.checkpoint(&state(next))?;
                }
                last = next;
            }
            if last == begin && !Self::has(SourceFault::NoState) {
                let nothing = Self::has(SourceFault::ForgetsState);
                stream.checkpoint(&state(if nothing { 0 } else { last }))?;
            }
            stream.complete()?;
        }
        Ok(())
    }
}
