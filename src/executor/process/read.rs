//! A source on stdout.

use std::ffi::OsString;
use std::sync::Arc;

use super::ProcessExecutor;
use crate::executor::stdio::{LineReader, SourceDecoder};
use crate::executor::{Context, ExecutorError};
use crate::protocol::{Catalog, Failure, Json, SourceOutput, StateMessage};

pub(super) async fn read(
    executor: &ProcessExecutor,
    context: &Context,
    config: &Json,
    catalog: &Catalog,
    states: &[StateMessage],
    output: Arc<dyn SourceOutput>,
) -> Result<(), ExecutorError> {
    let folder = ProcessExecutor::folder()?;
    let mut arguments = vec![
        OsString::from("read"),
        "--config".into(),
        ProcessExecutor::file(&folder, "config.json", config.get())?,
        "--catalog".into(),
        ProcessExecutor::file(&folder, "catalog.json", &catalog.to_airbyte().to_string())?,
    ];
    if !states.is_empty() {
        arguments.push("--state".into());
        let text = StateMessage::list_to_file(states);
        arguments.push(ProcessExecutor::file(&folder, "state.json", &text)?);
    }
    let (mut connector, _, stdout) = executor.start(&arguments, false, folder, context)?;
    let limits = &executor.policy.limits;
    let mut reader = LineReader::new(stdout, limits.line_bytes);
    let decoder = SourceDecoder::new(catalog, limits, output, context.clone());
    let result = tokio::select! {
        biased;
        () = context.cancel.cancelled() => Err(Failure::cancelled().into()),
        result = decoder.run(&mut reader) => result,
    };
    match result {
        Ok(fault) => {
            let status = connector.wait().await?;
            // What the source says of its failure is worth more than its exit code.
            match (fault, connector.ended(status, false)) {
                (Some(failure), _) => Err(failure.into()),
                (None, Some(error)) => Err(error),
                (None, None) => Ok(()),
            }
        }
        Err(error) => {
            connector.stop().await?;
            Err(error)
        }
    }
}
