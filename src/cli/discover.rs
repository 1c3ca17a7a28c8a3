//! `lockgate discover SOURCE --config C`.

use serde_json::{Value, json};

use super::arguments::WithConfig;
use super::check::connector;
use super::output::{CliError, Output};
use crate::protocol::DiscoveredStream;

/// An Airbyte catalog.
pub(super) fn catalog(streams: &[DiscoveredStream]) -> Value {
    json!({ "streams": streams.iter().map(DiscoveredStream::to_airbyte).collect::<Vec<_>>() })
}

pub(super) async fn run(call: &WithConfig, output: &Output) -> Result<(), CliError> {
    let connector = connector(call, output)?;
    connector.validate(&connector.whole_spec().await?).await?;
    output.json(&catalog(&connector.discover().await?));
    Ok(())
}
