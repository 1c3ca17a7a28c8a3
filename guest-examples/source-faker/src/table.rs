//! Reads one stream.

use lockgate_sdk::{Failure, Stream, StreamDescriptor, StreamOutput, log};
use serde::{Deserialize, Serialize};

use crate::{Config, products, purchases, schema, time, users};

/// A stream that can be made up.
pub(crate) struct Table {
    name: &'static str,
    schema: fn() -> serde_json::Value,
    /// How many places the stream has; a place gives some rows, or none.
    places: fn(Config) -> u64,
    /// Roughly how long a row is.
    row_bytes: u64,
    /// Writes the rows of one place and returns how many.
    rows: fn(seed: u64, place: u64, &mut StreamOutput<'_>) -> Result<u64, Failure>,
}

pub(crate) static ALL: [Table; 3] = [
    Table {
        name: "products",
        schema: schema::products,
        places: |_| products::COUNT,
        row_bytes: 180,
        rows: products::rows,
    },
    Table {
        name: "users",
        schema: schema::users,
        places: |config| config.count,
        row_bytes: 450,
        rows: users::rows,
    },
    Table {
        name: "purchases",
        schema: schema::purchases,
        places: |config| config.count,
        row_bytes: 230,
        rows: purchases::rows,
    },
];

/// Where a stream stands.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct State {
    seed: i64,
    /// The places that are read; absent in a state of Airbyte's source-faker for the products.
    loop_offset: Option<u64>,
    /// The cursor's value in the last row.
    updated_at: Option<String>,
}

impl Table {
    pub(crate) fn find(descriptor: &StreamDescriptor) -> Result<&'static Self, Failure> {
        ALL.iter()
            .find(|table| descriptor.namespace.is_none() && descriptor.name == table.name)
            .ok_or_else(|| {
                Failure::config(format!(
                    "there is no stream `{descriptor}`, only products, users and purchases"
                ))
                .in_stream(descriptor)
            })
    }

    pub(crate) fn stream(&self) -> Stream {
        Stream::new(self.name, (self.schema)())
            .incremental()
            .resumable()
            .source_defined_cursor(["updated_at"])
            .primary_key([["id"]])
    }

    pub(crate) fn read(
        &self,
        config: Config,
        saved: Option<State>,
        stream: &mut StreamOutput<'_>,
    ) -> Result<(), Failure> {
        let places = (self.places)(config);
        let start = self.start(config, saved);
        let left = places.saturating_sub(start);
        stream.estimate(Some(left), Some(left * self.row_bytes));

        // Any mapping of seeds will do as long as no two share one.
        let seed = config.seed.cast_unsigned();
        let mut since_checkpoint = 0;
        for place in start..places {
            if since_checkpoint >= config.records_per_checkpoint {
                stream.checkpoint(&state(config.seed, place))?;
                since_checkpoint = 0;
            }
            since_checkpoint += (self.rows)(seed, place, stream)?;
        }
        stream.checkpoint(&state(config.seed, start.max(places)))?;
        stream.complete()
    }

    fn start(&self, config: Config, saved: Option<State>) -> u64 {
        let name = self.name;
        match saved {
            None => 0,
            Some(State { seed, .. }) if seed != config.seed => {
                log::info(format_args!(
                    "{name}: the seed was {seed} and is {} now, so the stream starts again",
                    config.seed
                ));
                0
            }
            Some(State { loop_offset, .. }) => loop_offset.unwrap_or_else(|| (self.places)(config)),
        }
    }
}

fn state(seed: i64, place: u64) -> State {
    State {
        seed,
        loop_offset: Some(place),
        updated_at: place.checked_sub(1).map(|last| time::text(time::updated_at(last))),
    }
}
