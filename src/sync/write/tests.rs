//! What happens before the first row.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::connector::{Host, Silent};
use crate::executor::{Context, Described, Executor, ExecutorError};
use crate::protocol::{DiscoveredStream, Json, SourceOutput, StreamStatus};
use crate::state::SqliteStateStore;

/// A source whose token works once: each operation gets the next.
#[derive(Debug, Default)]
struct OneTimeToken {
    seen: Mutex<Vec<String>>,
    /// Whether its check never answers.
    hangs: bool,
}

impl OneTimeToken {
    async fn use_up(&self, context: &Context, config: &Json) -> Result<(), ExecutorError> {
        let token = config.to_value().unwrap()["token"].as_u64().unwrap();
        self.seen.lock().unwrap().push(token.to_string());
        let next = Json::object(format!(r#"{{"token":{}}}"#, token + 1)).unwrap();
        Ok(context.observer.update_config(next).await?)
    }
}

#[async_trait]
impl Executor for OneTimeToken {
    fn describe(&self) -> Described {
        Described {
            executor: "noop",
            reference: "one-time-token".into(),
            digest: None,
            fence: None,
        }
    }

    async fn spec(&self, _: &Context) -> Result<Specification, ExecutorError> {
        Ok(Specification::from_airbyte(r#"{"connectionSpecification":{}}"#).unwrap())
    }

    async fn check(&self, context: &Context, config: &Json) -> Result<(), ExecutorError> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.use_up(context, config).await
    }

    async fn discover(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        self.use_up(context, config).await?;
        let text = r#"{"streams":[{"name":"a","json_schema":{}}]}"#;
        Ok(DiscoveredStream::list_from_airbyte(text).unwrap())
    }

    async fn read(
        &self,
        context: &Context,
        config: &Json,
        _: &Catalog,
        _: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        self.use_up(context, config).await?;
        Ok(output.status(0, StreamStatus::Complete).await?)
    }
}

fn source(executor: &Arc<OneTimeToken>) -> Source {
    let config = Json::object(r#"{"token":1}"#).unwrap();
    Source(Connector::new("one-time-token", executor.clone(), config, Arc::new(Silent)))
}

#[tokio::test]
async fn every_operation_gets_the_configuration_as_the_one_before_left_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStateStore::open(&folder.path().join("state.db")).unwrap();
    let options = WriteOptions { state: Some(Arc::new(store)), ..WriteOptions::default() };
    let executor = Arc::new(OneTimeToken::default());
    let destination = Host::get_noop_destination();
    for tokens in [["1", "2", "3"], ["4", "5", "6"]] {
        destination.write(&source(&executor), &options).await.unwrap();
        assert_eq!(std::mem::take(&mut *executor.seen.lock().unwrap()), tokens);
    }
}

#[tokio::test]
async fn a_sync_can_be_stopped_before_its_first_row() {
    let (canceller, cancel) = Cancel::new();
    let options = WriteOptions { cancel: Some(cancel), ..WriteOptions::default() };
    let executor = Arc::new(OneTimeToken { hangs: true, ..OneTimeToken::default() });
    let source = source(&executor);
    let destination = Host::get_noop_destination();
    let (result, ()) = tokio::join!(destination.write(&source, &options), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        canceller.cancel();
    });
    assert!(matches!(result.unwrap_err().error, SyncError::Cancelled));
}

#[tokio::test]
async fn a_sync_can_be_spawned() {
    let source = source(&Arc::new(OneTimeToken::default()));
    let spawned = tokio::spawn(async move {
        let options = WriteOptions::default();
        Host::get_noop_destination().write(&source, &options).await.map(drop)
    });
    spawned.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_plan_asks_and_moves_nothing() {
    let executor = Arc::new(OneTimeToken::default());
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStateStore::open(&folder.path().join("state.db")).unwrap());
    let options = WriteOptions { state: Some(store.clone()), ..WriteOptions::default() };
    let destination = Host::get_noop_destination();
    let plan = destination.plan(&source(&executor), &options).await.unwrap();
    assert_eq!((plan.streams.len(), plan.operation), (1, "read"));
    assert_eq!(plan.streams[0].generation.next, 1);
    assert_eq!(store.generations(&plan.connection).unwrap(), []);
    // Tokens that were used up are not used again.
    let result = destination.write(&source(&executor), &options).await.unwrap();
    assert_eq!(result.report.sync_id, 1);
    assert_eq!(*executor.seen.lock().unwrap(), ["1", "2", "3", "4", "5"]);
}
