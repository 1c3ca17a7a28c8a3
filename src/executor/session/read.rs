//! A source on stdout.

use std::sync::Arc;

use super::{Call, Launch, Started};
use crate::executor::stdio::{LineReader, SourceDecoder};
use crate::executor::{Context, ExecutorError};
use crate::protocol::{Catalog, Failure, Json, SourceOutput, StateMessage};

pub(super) async fn read(
    executor: &impl Launch,
    context: &Context,
    config: &Json,
    catalog: &Catalog,
    states: &[StateMessage],
    output: Arc<dyn SourceOutput>,
) -> Result<(), ExecutorError> {
    let mut call = Call::new("read")
        .file("config", config.get())
        .file("catalog", catalog.to_airbyte().to_string());
    if !states.is_empty() {
        call = call.file("state", StateMessage::list_to_file(states));
    }
    let Started { mut connector, stdout, .. } = executor.start(call, context).await?;
    let limits = executor.limits();
    let mut reader = LineReader::new(stdout, limits.line_bytes);
    let decoder = SourceDecoder::new(catalog, limits, output, context.clone());
    let result = tokio::select! {
        biased;
        () = context.cancel.cancelled() => Err(Failure::cancelled().into()),
        result = decoder.run(&mut reader) => result,
    };
    match result {
        Ok(fault) => {
            connector.wait().await?;
            // What the source says of its failure is worth more than its exit code.
            match (fault, connector.ended(false)) {
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
