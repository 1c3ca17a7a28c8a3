//! `lockgate discover SOURCE --config C`.

use serde_json::{Value, json};

use super::arguments::WithConfig;
use super::check::connector;
use super::output::{CliError, Output};
use crate::connector::validate_config;
use crate::protocol::DiscoveredStream;

/// An Airbyte catalog.
pub(super) fn catalog(streams: &[DiscoveredStream]) -> Value {
    json!({ "streams": streams.iter().map(DiscoveredStream::to_airbyte).collect::<Vec<_>>() })
}

pub(super) async fn run(call: &WithConfig, output: &Output) -> Result<(), CliError> {
    let connector = connector(call, output)?;
    validate_config(connector.name(), &connector.spec().await?, connector.config())?;
    output.json(&catalog(&connector.discover().await?));
    Ok(())
}
