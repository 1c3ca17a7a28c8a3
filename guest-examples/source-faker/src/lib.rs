//! Makes up products, users and purchases: the streams of Airbyte's source-faker.
//!
//! A row depends on nothing but the seed, its stream and its place, timestamps included. So a read
//! that goes on from any checkpoint gives exactly the rows that were missing, byte for byte, and two
//! reads can be compared.

mod json;
mod products;
mod purchases;
mod random;
mod schema;
mod table;
#[cfg(test)]
mod tests;
mod time;
mod users;
mod words;

use lockgate_sdk::{Catalog, Failure, Output, SavedState, Source, Spec, Stream, export_source};
use schemars::JsonSchema;
use serde::Deserialize;

use table::Table;

/// How much is made up.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Faker")]
pub struct Config {
    /// How many users there are. There are about as many purchases, and always 100 products.
    #[schemars(title = "Count", extend("order" = 0))]
    count: u64,
    /// Another seed makes up other rows.
    #[schemars(title = "Seed", extend("order" = 1))]
    seed: i64,
    /// A checkpoint follows each time this many rows of a stream were read.
    #[schemars(title = "Records per checkpoint", range(min = 1), extend("order" = 2))]
    records_per_checkpoint: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { count: 1000, seed: 42, records_per_checkpoint: 1000 }
    }
}

impl Config {
    fn validate(self) -> Result<Self, Failure> {
        if self.records_per_checkpoint == 0 {
            return Err(Failure::config("`records_per_checkpoint` must be at least 1"));
        }
        Ok(self)
    }
}

/// The connector.
#[derive(Debug)]
pub struct Faker;

impl Source for Faker {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    }

    fn check(config: Config) -> Result<(), Failure> {
        config.validate().map(|_| ())
    }

    fn discover(_: Config) -> Result<Vec<Stream>, Failure> {
        Ok(table::ALL.iter().map(Table::stream).collect())
    }

    fn read(
        config: Config,
        catalog: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let config = config.validate()?;
        for (index, stream) in catalog.streams.iter().enumerate() {
            let table = Table::find(&stream.descriptor)?;
            let saved = state.stream(&stream.descriptor)?;
            table.read(config, saved, &mut output.stream(index)?)?;
        }
        Ok(())
    }
}

export_source!(Faker);
