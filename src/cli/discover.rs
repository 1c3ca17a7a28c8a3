//! `lockgate discover SOURCE --config C`.

use serde_json::{Value, json};

use super::arguments::WithConfig;
use super::check::recorded;
use super::output::{CliError, Output};
use crate::protocol::DiscoveredStream;

/// An Airbyte catalog.
pub(super) fn catalog(streams: &[DiscoveredStream]) -> Value {
    json!({ "streams": streams.iter().map(DiscoveredStream::to_airbyte).collect::<Vec<_>>() })
}

pub(super) async fn run(call: &WithConfig, output: &Output) -> Result<(), CliError> {
    let (recording, streams) =
        recorded("discover", call, output, async |connector| Ok(connector.discover().await?)).await;
    let result = streams.map(|streams| output.json(&catalog(&streams)));
    if let Some(recording) = recording {
        recording.say_denied();
    }
    result
}
