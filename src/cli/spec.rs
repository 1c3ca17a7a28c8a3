//! `lockgate spec CONNECTOR`.

use std::sync::Arc;

use super::arguments::Spec;
use super::logger::Logger;
use super::output::{CliError, Output};
use super::signals;
use super::store::host_here;
use crate::protocol::Json;

pub(super) async fn run(call: &Spec, output: &Output) -> Result<(), CliError> {
    let host = host_here(&[&call.connector])?;
    let connector =
        host.get_connector(&call.connector, &call.grants.options()?, Json::empty_object())?;
    output.chosen("connector", &connector);
    let connector = connector.with_observer(Arc::new(Logger::new("connector", output)));
    let spec = signals::until_stopped(async { Ok(connector.spec().await?) }).await?;
    output.json(&spec.to_airbyte());
    Ok(())
}
