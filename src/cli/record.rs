//! The record of a command's run: begun before a connector is loaded, ended whatever happens.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::logger::Logger;
use super::output::{CliError, Output};
use crate::connector::{Connector, ConnectorError};
use crate::fault::ExitClass;
use crate::runs::{Outcome, RunError, RunRecord, RunsFolder, Side};
use crate::sandbox::printable;

/// A run, with a record or (`--no-record`) without.
pub(super) struct Recording {
    record: Option<Arc<RunRecord>>,
    denied: OnceLock<u64>,
    output: Output,
}

impl Recording {
    /// Begins, in the folder of a project.
    pub(super) fn begin(
        command: &str,
        wanted: bool,
        base: &Path,
        output: &Output,
    ) -> Result<Self, CliError> {
        let record = match wanted {
            true => Some(Arc::new(RunRecord::begin(&RunsFolder::make(base)?, command)?)),
            false => None,
        };
        Ok(Self { record, denied: OnceLock::new(), output: *output })
    }

    /// Its name.
    pub(super) fn id(&self) -> Option<String> {
        self.record.as_ref().map(|record| record.id().to_string())
    }

    /// What to do when the trail cannot be written on.
    pub(super) fn on_loss(&self, stop: impl Fn() + Send + Sync + 'static) {
        if let Some(record) = &self.record {
            record.on_loss(stop);
        }
    }

    /// Loads a connector; it is heard on stderr and in the trail.
    pub(super) fn load(
        &self,
        side: Side,
        key: Option<String>,
        name: &str,
        load: impl FnOnce() -> Result<Connector, ConnectorError>,
    ) -> Result<Connector, CliError> {
        let logger = Arc::new(Logger::new(side.word(), &self.output));
        let output = self.output;
        let load = || load().inspect(|connector| output.chosen(side.word(), connector));
        let Some(record) = &self.record else { return Ok(load()?.with_observer(logger)) };
        record.connector(side, key, name)?;
        let connector = load().inspect_err(|error| {
            if let ConnectorError::Run { error, .. } = error
                && let Some(decision) = error.decision()
            {
                record.decided(side, &decision);
            }
        })?;
        let described = connector.describe();
        record.describe(side, described.executor, described.digest, connector.policy())?;
        Ok(connector.with_observer(record.recorder(side, logger)))
    }

    /// Names the connection.
    pub(super) fn connection(&self, connection: &str) -> Result<(), CliError> {
        self.record.as_ref().map_or(Ok(()), |record| Ok(record.connection(connection)?))
    }

    /// Keeps what a connector said it needs.
    pub(super) fn needs(&self, side: Side, connector: &Connector) -> Result<(), CliError> {
        self.record.as_ref().map_or(Ok(()), |record| Ok(record.needs(side, &connector.needs())?))
    }

    /// Ends it.
    pub(super) fn end(
        &self,
        result: Result<(), CliError>,
        report: Option<Value>,
    ) -> Result<(), CliError> {
        let Some(record) = &self.record else { return result };
        let mut outcome = Outcome { status: "succeeded", error: None, report };
        if let Err(CliError::Fault(fault)) = &result {
            outcome.status = match fault.exit() {
                ExitClass::Refused => "refused",
                ExitClass::Interrupted => "interrupted",
                ExitClass::Failed | ExitClass::Usage => "failed",
            };
            outcome.error = Some(RunError {
                code: fault.code().to_owned(),
                message: printable(&fault.to_string()).into_owned(),
            });
        }
        match (record.finish(outcome), result) {
            (Ok(denied), result) => {
                let _ = self.denied.set(denied);
                result
            }
            // A run that was stopped because its trail was lost does not say that somebody did it.
            (Err(lost), Ok(())) => Err(lost.into()),
            (Err(lost), Err(CliError::Fault(fault))) if fault.exit() == ExitClass::Interrupted => {
                Err(lost.into())
            }
            // What went wrong first is what one wants to read.
            (Err(_), result) => result,
        }
    }

    /// Says where to read on when something was refused.
    pub(super) fn say_denied(&self) {
        if let (Some(record), Some(denied @ 1..)) = (&self.record, self.denied.get())
            && !self.output.is_json()
        {
            let id = record.id();
            self.output.note(&format!("run {id}: {denied} denied, see `lockgate runs show {id}`"));
        }
    }
}
