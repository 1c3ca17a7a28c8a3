//! Which rows are logged.

use lockgate_sdk::{Catalog, Rows, log};
use schemars::JsonSchema;
use serde::Deserialize;

/// Which rows of each stream are logged.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(tag = "logging_type", deny_unknown_fields)]
pub(crate) enum Logging {
    /// The first rows.
    FirstN {
        /// How many rows of a stream are logged.
        #[serde(default = "max_entry_count")]
        max_entry_count: u64,
    },
    /// Every so manieth row.
    EveryNth {
        /// The distance between two rows that are logged.
        #[schemars(range(min = 1))]
        nth_entry_to_log: u64,
        /// How many rows of a stream are logged.
        #[serde(default = "max_entry_count")]
        max_entry_count: u64,
    },
    /// A random part of the rows.
    RandomSampling {
        /// The part, from 0 to 1.
        #[serde(default = "sampling_ratio")]
        #[schemars(range(min = 0.0, max = 1.0))]
        sampling_ratio: f64,
        /// The same seed logs the same rows.
        #[serde(default)]
        seed: u64,
        /// How many rows of a stream are logged.
        #[serde(default = "max_entry_count")]
        max_entry_count: u64,
    },
}

fn max_entry_count() -> u64 {
    100
}

fn sampling_ratio() -> f64 {
    0.001
}

/// Logs some rows of each stream.
#[derive(Debug)]
pub(crate) struct Sampler {
    logging: Logging,
    streams: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    name: String,
    rows: u64,
    logged: u64,
}

impl Sampler {
    pub(crate) fn new(logging: &Logging, catalog: &Catalog) -> Self {
        let streams = catalog.streams.iter().map(|stream| Seen {
            name: stream.descriptor.to_string(),
            rows: 0,
            logged: 0,
        });
        Self { logging: *logging, streams: streams.collect() }
    }

    /// Logs the rows that are due, without looking at those that are not.
    pub(crate) fn take(&mut self, rows: &Rows) {
        let Some(seen) = self.streams.get_mut(rows.stream()) else {
            return;
        };
        let first = seen.rows;
        seen.rows += u64::from(rows.count());
        let most = match self.logging {
            Logging::FirstN { max_entry_count }
            | Logging::EveryNth { max_entry_count, .. }
            | Logging::RandomSampling { max_entry_count, .. } => max_entry_count,
        };
        if seen.logged >= most {
            return;
        }
        for (row, line) in (first..).zip(rows.lines()) {
            if seen.logged < most && self.logging.includes(row) {
                seen.logged += 1;
                let line = String::from_utf8_lossy(line);
                log::info(format_args!("{} row {}: {line}", seen.name, row + 1));
            }
        }
    }
}

impl Logging {
    /// Is the row logged? `row` counts the stream's rows from 0.
    fn includes(&self, row: u64) -> bool {
        match *self {
            Self::FirstN { .. } => true,
            Self::EveryNth { nth_entry_to_log, .. } => {
                (row + 1).is_multiple_of(nth_entry_to_log.max(1))
            }
            Self::RandomSampling { sampling_ratio, seed, .. } => unit(seed, row) < sampling_ratio,
        }
    }
}

/// A number from 0 up to 1 that looks random (splitmix64).
fn unit(seed: u64, row: u64) -> f64 {
    let mut bits = seed.wrapping_add((row + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    // 53 bits are what an f64 holds.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}
