//! Parses every row and keeps none, for measuring what parsing in a sandbox costs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lockgate_sdk::{
    Catalog, Destination, DestinationSyncMode, Event, Failure, Input, Spec, export_destination, log,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// How the rows are parsed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is made of a row.
    pub depth: Depth,
}

/// What is made of a row.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Its members by name, each as the text it was.
    #[default]
    Members,
    /// Nothing, once it is known to be JSON.
    Syntax,
    /// All of its values.
    Values,
}

/// The destination.
#[derive(Debug)]
pub struct DestinationParse;

impl Destination for DestinationParse {
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

    fn write(config: Config, _: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
        let mut members = 0;
        while let Some(event) = input.next()? {
            match event {
                Event::Rows(rows) => {
                    for line in rows.lines() {
                        members += parse(line, config.depth)?;
                    }
                }
                Event::Checkpoint(checkpoint) => input.commit(checkpoint)?,
                Event::StreamEnd(_) | Event::Flush => {}
            }
        }
        log::info(format_args!("{members} members"));
        Ok(())
    }
}

export_destination!(DestinationParse);

/// A member's name, borrowed unless it has escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn parse(line: &[u8], depth: Depth) -> Result<usize, Failure> {
    match depth {
        Depth::Members => serde_json::from_slice::<BTreeMap<Name<'_>, &RawValue>>(line)
            .map(|members| members.len()),
        Depth::Syntax => serde_json::from_slice::<IgnoredAny>(line).map(|_| 1),
        Depth::Values => serde_json::from_slice::<serde_json::Value>(line)
            .map(|value| value.as_object().map_or(0, serde_json::Map::len)),
    }
    .map_err(|error| Failure::system("a row is not JSON").with_detail(error))
}

#[cfg(test)]
mod tests {
    use lockgate_sdk::testing::{self, Feed};

    use super::DestinationParse;

    #[test]
    fn parses_every_row() {
        let catalog = testing::catalog([testing::stream("rows")]);
        for depth in ["members", "syntax", "values"] {
            let feed = Feed::new().rows(0, &[r#"{"a":1,"\u0062":[2]}"#, "{}"]).checkpoint();
            let config = format!(r#"{{"depth":"{depth}"}}"#);
            let run = testing::write::<DestinationParse>(&config, &catalog, feed);
            assert_eq!(run.result, Ok(()));
            assert_eq!(run.commits[0].totals[0].written, 2);
            assert!(run.logs[0].1.starts_with('2'), "{}", run.logs[0].1);
        }
        let feed = Feed::new().rows(0, &["{"]);
        let run = testing::write::<DestinationParse>("{}", &catalog, feed);
        assert!(run.result.is_err());
    }
}
