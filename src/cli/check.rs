//! `lockgate check CONNECTOR --config C`.

use serde_json::json;

use super::arguments::WithConfig;
use super::output::{CliError, Output};
use super::record::Recording;
use super::signals;
use super::store::{here, host_here};
use super::write_back::{self, WriteBack};
use crate::config::read_config;
use crate::connector::{Choice, Connector};
use crate::runs::Side;
use crate::sandbox::redacted;
use crate::sync::ErrorReport;

/// The connector of a call, with its configuration, and the record of its run.
pub(super) async fn recorded<T>(
    command: &str,
    call: &WithConfig,
    output: &Output,
    body: impl AsyncFnOnce(&Connector) -> Result<T, CliError>,
) -> (Option<Recording>, Result<T, CliError>) {
    let begin = || -> Result<_, CliError> {
        let config = read_config(&call.config)?;
        let base = super::store::state_folder(&here()?);
        Ok((config, Recording::begin(command, !call.no_record, &base, output)?))
    };
    let (config, recording) = match begin() {
        Ok(begun) => begun,
        Err(error) => return (None, Err(error)),
    };
    let run = async {
        let host = host_here(&[&call.connector])?;
        let file = write_back::open(write_back::origin(&call.config))?;
        let options = call.grants.options()?;
        let connector = recording.load(Side::Connector, None, &call.connector, || {
            host.get_connector(&call.connector, &options, config)
        })?;
        let (config, grants) = (connector.config().clone(), &options.allow_net);
        let written = WriteBack::new("connector", file, &config, grants, None, *output);
        let connector = connector.on_config_change(written);
        let result = signals::until_stopped(body(&connector)).await;
        recording.needs(Side::Connector, &connector)?;
        result
    };
    let mut value = None;
    let result = run.await.map(|done| value = Some(done));
    let result = recording.end(result, None);
    let result = match (result, value) {
        (Ok(()), Some(value)) => Ok(value),
        (Err(error), _) => Err(error),
        // There is a value wherever there is no error.
        (Ok(()), None) => Err(CliError::Said(1)),
    };
    (Some(recording), result)
}

pub(super) async fn run(call: &WithConfig, output: &Output) -> Result<(), CliError> {
    let mut chosen = None;
    let (recording, result) = recorded("check", call, output, async |connector| {
        chosen = connector.choice().map(Choice::chosen);
        Ok(connector.check().await?)
    })
    .await;
    let run = recording.as_ref().and_then(Recording::id);
    match &result {
        Ok(()) if output.is_json() => {
            output.json(&json!({ "status": "succeeded", "run": run, "chosen": chosen }));
        }
        Ok(()) => output.result(&format!("{}: ok\n", redacted(&call.connector))),
        Err(CliError::Fault(fault)) if output.is_json() => {
            let report = ErrorReport::new(fault.as_ref());
            output.json(
                &json!({ "status": "failed", "run": run, "error": report, "chosen": chosen }),
            );
        }
        Err(_) => {}
    }
    if let Some(recording) = recording {
        recording.say_denied();
    }
    result
}
