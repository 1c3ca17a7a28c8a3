//! Takes rows and keeps none: to try a source, or to measure one.
//!
//! The configuration is that of Airbyte's destination-dev-null: rows can also be logged, slowed down
//! or refused.

mod sample;
#[cfg(test)]
mod tests;

use std::time::Duration;

use lockgate_sdk::{
    Catalog, Destination, DestinationSyncMode, Event, Failure, Input, Spec, export_destination,
};
use schemars::JsonSchema;
use serde::Deserialize;

use sample::{Logging, Sampler};

/// What happens to the rows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "/dev/null")]
pub struct Config {
    /// What happens to the rows. Without it they are dropped silently.
    #[serde(default)]
    #[schemars(title = "Test Destination")]
    test_destination: Behavior,
}

/// What happens to the rows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(tag = "test_destination_type", deny_unknown_fields)]
enum Behavior {
    /// Drops them.
    #[default]
    #[serde(rename = "SILENT")]
    Silent,
    /// Logs some of them.
    #[serde(rename = "LOGGING")]
    Logging {
        /// Which rows are logged.
        logging_config: Logging,
    },
    /// Takes its time.
    #[serde(rename = "THROTTLED")]
    Throttled {
        /// Milliseconds to wait for each row.
        millis_per_record: u64,
    },
    /// Fails.
    #[serde(rename = "FAILING")]
    Failing {
        /// How many rows it takes before it fails.
        num_messages: u64,
    },
}

/// The connector.
#[derive(Debug)]
pub struct DevNull;

impl Destination for DevNull {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).modes([
            DestinationSyncMode::Append,
            DestinationSyncMode::Overwrite,
            DestinationSyncMode::AppendDedup,
        ])
    }

    fn check(_: Config) -> Result<(), Failure> {
        Ok(())
    }

    fn write(config: Config, catalog: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
        let mut sampler = match &config.test_destination {
            Behavior::Logging { logging_config } => Some(Sampler::new(logging_config, catalog)),
            _ => None,
        };
        let mut taken = 0;
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => {
                    let count = u64::from(rows.count());
                    taken += count;
                    match config.test_destination {
                        Behavior::Silent => {}
                        Behavior::Logging { .. } => {
                            if let Some(sampler) = &mut sampler {
                                sampler.take(&rows);
                            }
                        }
                        Behavior::Throttled { millis_per_record } => std::thread::sleep(
                            Duration::from_millis(millis_per_record.saturating_mul(count)),
                        ),
                        Behavior::Failing { num_messages } if taken >= num_messages => {
                            return Err(Failure::system(format!(
                                "failing on purpose after {num_messages} rows"
                            )));
                        }
                        Behavior::Failing { .. } => {}
                    }
                }
                // There is nothing to make durable.
                Event::Checkpoint(checkpoint) => input.commit(checkpoint)?,
                Event::StreamEnd(_) | Event::Flush => {}
            }
        }
        Ok(())
    }
}

export_destination!(DevNull);
