//! Looks at every byte of every row and keeps none, for measuring what a loop over bytes in a sandbox
//! costs.

use lockgate_sdk::{
    Catalog, Destination, DestinationSyncMode, Event, Failure, Input, Spec, export_destination, log,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Nothing to set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// The destination.
#[derive(Debug)]
pub struct DestinationScan;

impl Destination for DestinationScan {
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

    fn write(_: Config, _: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
        let (mut lines, mut commas) = (0, 0);
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => {
                    for line in rows.lines() {
                        lines += 1;
                        commas += memchr::memchr_iter(b',', line).count();
                    }
                }
                Event::Checkpoint(checkpoint) => input.commit(checkpoint)?,
                Event::StreamEnd(_) | Event::Flush => {}
            }
        }
        log::info(format_args!("{lines} lines, {commas} commas"));
        Ok(())
    }
}

export_destination!(DestinationScan);

#[cfg(test)]
mod tests {
    use lockgate_sdk::testing::{self, Feed};

    use super::DestinationScan;

    #[test]
    fn looks_at_every_row() {
        let catalog = testing::catalog([testing::stream("rows")]);
        let feed = Feed::new().rows(0, &[r#"{"a":1,"b":[2,3]}"#, "{}"]).checkpoint();
        let run = testing::write::<DestinationScan>("{}", &catalog, feed);
        assert_eq!(run.result, Ok(()));
        assert_eq!(run.commits[0].totals[0].written, 2);
        assert_eq!(run.logs[0].1, "2 lines, 2 commas");
    }
}
