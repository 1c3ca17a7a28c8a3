//! The source of a sync that clears: it has all the streams of another, and no row of them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::connector::{Connector, Silent};
use crate::executor::{Context, Described, Executor, ExecutorError};
use crate::protocol::{
    Catalog, DiscoveredStream, Json, SourceOutput, Specification, StateMessage, StreamStatus,
};

/// Has every stream, empty and complete.
#[derive(Debug)]
struct Empty(Described);

/// A source in the place of `source` that has nothing.
pub(super) fn nothing_of(source: &Connector) -> Connector {
    let executor = Arc::new(Empty(source.describe()));
    Connector::new(source.name(), executor, Json::empty_object(), Arc::new(Silent))
}

fn reads_only<T>() -> Result<T, ExecutorError> {
    Err(ExecutorError::Unsupported("it is there to read nothing".into()))
}

#[async_trait]
impl Executor for Empty {
    fn describe(&self) -> Described {
        self.0.clone()
    }

    async fn spec(&self, _: &Context) -> Result<Specification, ExecutorError> {
        reads_only()
    }

    async fn check(&self, _: &Context, _: &Json) -> Result<(), ExecutorError> {
        reads_only()
    }

    async fn discover(
        &self,
        _: &Context,
        _: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        reads_only()
    }

    async fn read(
        &self,
        _: &Context,
        _: &Json,
        catalog: &Catalog,
        _: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        for stream in 0..catalog.streams.len() {
            let stream = u32::try_from(stream).unwrap_or(u32::MAX);
            output.status(stream, StreamStatus::Complete).await?;
        }
        Ok(())
    }
}
