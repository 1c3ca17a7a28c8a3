//! `lockgate check CONNECTOR --config C`.

use std::sync::Arc;

use serde_json::json;

use super::arguments::WithConfig;
use super::logger::Logger;
use super::output::{CliError, Output};
use crate::config::read_config;
use crate::connector::{Connector, ConnectorError, Host};
use crate::sync::ErrorReport;

/// The connector of a call, with its configuration.
pub(super) fn connector(call: &WithConfig, output: &Output) -> Result<Connector, CliError> {
    let config = read_config(&call.config)?;
    let connector = Host::new().get_connector(&call.connector, &call.grants.options(), config)?;
    Ok(connector.with_observer(Arc::new(Logger::new("connector", output))))
}

pub(super) async fn run(call: &WithConfig, output: &Output) -> Result<(), CliError> {
    let connector = connector(call, output)?;
    match connector.check().await {
        Ok(()) if output.is_json() => output.json(&json!({ "status": "succeeded" })),
        Ok(()) => output.result(&format!("{}: ok\n", call.connector)),
        Err(error) => {
            if output.is_json() {
                let report: ErrorReport = ErrorReport::new(&error);
                output.json(&json!({ "status": "failed", "error": report }));
            }
            return Err(ConnectorError::into(error));
        }
    }
    Ok(())
}
