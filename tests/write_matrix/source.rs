//! A source whose tables change between two syncs.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lockgate::Source;
use lockgate::connector::{Connector, Silent};
use lockgate::executor::{Context, Described, Executor, ExecutorError};
use lockgate::protocol::{
    Catalog, DiscoveredStream, EmittedAt, Json, Rows, SourceOutput, Specification, StateMessage,
    StreamStatus, SyncMode,
};

use crate::model::State;

/// What is there now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables(Arc<Mutex<State>>);

impl Tables {
    pub(crate) fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(crate) fn source(&self) -> Source {
        let executor = Arc::new(self.clone());
        Connector::new("tables", executor, Json::empty_object(), Arc::new(Silent)).into()
    }
}

const STREAMS: &str = r#"{"streams":[
    {"name":"keyed","json_schema":{"properties":{"id":{"type":"integer"},"v":{"type":"integer"}}},
     "supported_sync_modes":["full_refresh","incremental"],"source_defined_cursor":true,
     "source_defined_primary_key":[["id"]]},
    {"name":"plain","json_schema":{"properties":{"n":{"type":"integer"}}},"supported_sync_modes":["full_refresh"]}]}"#;

/// Where the stream is in its state.
fn at(state: &StateMessage) -> usize {
    let part = state.parts().remove(0).state.expect("a state").to_value().expect("JSON");
    usize::try_from(part["at"].as_u64().expect("a number")).expect("a number")
}

#[async_trait]
impl Executor for Tables {
    fn describe(&self) -> Described {
        let reference = "tables".into();
        Described { executor: "tables", reference, digest: None, fence: None }
    }

    async fn spec(&self, _: &Context) -> Result<Specification, ExecutorError> {
        Ok(Specification::from_airbyte(r#"{"connectionSpecification":{}}"#).expect("a spec"))
    }

    async fn check(&self, _: &Context, _: &Json) -> Result<(), ExecutorError> {
        Ok(())
    }

    async fn discover(
        &self,
        _: &Context,
        _: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        Ok(DiscoveredStream::list_from_airbyte(STREAMS).expect("streams"))
    }

    async fn read(
        &self,
        _: &Context,
        _: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        let tables = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (number, stream) in (0_u32..).zip(&catalog.streams) {
            let name = &stream.stream.descriptor;
            let rows = &tables[usize::from(name.name == "plain")];
            let incremental = stream.sync_mode == SyncMode::Incremental;
            let given = states.iter().find(|s| s.parts().iter().any(|p| p.descriptor == *name));
            let from = given.filter(|_| incremental).map_or(0, at);
            for (place, row) in rows.iter().enumerate().skip(from) {
                let data = format!("{row}\n").into_bytes();
                let emitted_at = EmittedAt::All(1_700_000_000_000 + i64::from(number));
                let batch = Rows {
                    stream: number,
                    count: 1,
                    data,
                    emitted_at,
                    meta: Vec::new(),
                    parsed: false,
                };
                output.emit(batch).await?;
                let state = Json::parse(format!(r#"{{"at":{}}}"#, place + 1)).expect("JSON");
                output.checkpoint(StateMessage::stream(name.clone(), Some(&state))).await?;
            }
            output.status(number, StreamStatus::Complete).await?;
        }
        Ok(())
    }
}
