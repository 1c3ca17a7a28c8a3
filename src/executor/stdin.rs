//! A source that someone else runs: its messages come in on our own stdin (`lockgate exec … write`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::stdio::{LineReader, SourceDecoder};
use super::{Context, Described, Executor, ExecutorError};
use crate::protocol::{Catalog, Failure, Json, Rows, SourceOutput, StateMessage, StreamStatus};
use crate::sandbox::Limits;

/// Reads Airbyte's messages from stdin until it ends.
#[derive(Debug, Clone, Default)]
pub struct StdinSource {
    limits: Limits,
}

/// Passes everything on and notes whether statuses are spoken here.
struct Noting {
    inner: Arc<dyn SourceOutput>,
    any: AtomicBool,
}

#[async_trait]
impl SourceOutput for Noting {
    async fn emit(&self, rows: Rows) -> Result<(), Failure> {
        self.inner.emit(rows).await
    }

    async fn checkpoint(&self, state: StateMessage) -> Result<u64, Failure> {
        self.inner.checkpoint(state).await
    }

    async fn status(&self, stream: u32, status: StreamStatus) -> Result<(), Failure> {
        self.any.store(true, Ordering::Relaxed);
        self.inner.status(stream, status).await
    }

    fn estimate(&self, stream: u32, rows: Option<u64>, bytes: Option<u64>) {
        self.inner.estimate(stream, rows, bytes);
    }
}

#[async_trait]
impl Executor for StdinSource {
    fn describe(&self) -> Described {
        Described { executor: "stdin", reference: "stdin".into(), digest: None, fence: None }
    }

    async fn read(
        &self,
        context: &Context,
        _: &Json,
        catalog: &Catalog,
        _: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        let noting = Arc::new(Noting { inner: output.clone(), any: AtomicBool::new(false) });
        let mut reader = LineReader::new(tokio::io::stdin(), self.limits.line_bytes);
        let decoder = SourceDecoder::new(catalog, &self.limits, noting.clone(), context.clone());
        let fault = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(Failure::cancelled().into()),
            fault = decoder.run(&mut reader) => fault?,
        };
        if let Some(failure) = fault {
            return Err(failure.into());
        }
        // Who never speaks of statuses ends a stream by ending the input, as before protocol 0.3.3.
        // A torn input looks the same, so nothing is replaced on the strength of it.
        if !noting.any.load(Ordering::Relaxed) {
            for (stream, configured) in (0..).zip(&catalog.streams) {
                if !configured.truncates() {
                    output.status(stream, StreamStatus::Complete).await?;
                }
            }
        }
        Ok(())
    }
}
