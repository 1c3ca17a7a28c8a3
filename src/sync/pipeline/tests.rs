//! How an input ends, and what becomes of both sides when nobody waits for them.

use super::*;
use crate::executor::{Described, Executor};
use crate::protocol::Json;
use crate::sync::{Confirmed, StateSink};

struct Nowhere;

#[async_trait]
impl StateSink for Nowhere {
    async fn store(&self, _: Vec<Confirmed>) -> Result<(), Failure> {
        Ok(())
    }
}

fn catalog() -> Arc<Catalog> {
    let text = r#"{"streams":[{"stream":{"name":"a","json_schema":{}},"sync_mode":"full_refresh",
        "destination_sync_mode":"overwrite"}]}"#;
    Arc::new(Catalog::from_airbyte(text).unwrap())
}

fn ledger(catalog: &Catalog) -> (Arc<Ledger>, Arc<Counters>) {
    let counters = Arc::new(Counters::new(catalog));
    (Arc::new(Ledger::new(catalog, Arc::new(Nowhere), counters.clone())), counters)
}

fn side() -> (DestinationSide, mpsc::Sender<Item>) {
    let (sender, receiver) = mpsc::channel(EVENTS);
    let (ledger, counters) = ledger(&catalog());
    let side = DestinationSide {
        ledger,
        counters,
        queue: AsyncMutex::new(receiver),
        held: Mutex::new(None),
        asks: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        stopped: AtomicBool::new(false),
    };
    (side, sender)
}

#[tokio::test]
async fn an_input_that_is_let_go_of_is_not_whole() {
    let (side, sender) = side();
    sender.send(Item::Event(Event::Flush, None)).await.unwrap();
    drop(sender);
    assert!(matches!(side.next().await, Ok(Some(Event::Flush))));
    for _ in 0..2 {
        assert!(side.next().await.unwrap_err().is_cancelled());
    }
    assert!(!side.ended.load(Ordering::Acquire));
}

#[tokio::test]
async fn an_input_ends_once_it_was_said() {
    let (side, sender) = side();
    sender.send(Item::End).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(side.next().await, Ok(None)));
    }
}

/// Says that it runs as long as it does, and does nothing.
#[derive(Debug, Clone)]
struct Idle(Arc<()>);

#[async_trait]
impl Executor for Idle {
    fn describe(&self) -> Described {
        Described { executor: "noop", reference: "idle".into(), digest: None, fence: None }
    }

    async fn read(
        &self,
        _: &Context,
        _: &Json,
        _: &Catalog,
        _: &[StateMessage],
        _: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        let _running = self.0.clone();
        std::future::pending().await
    }

    async fn write(
        &self,
        _: &Context,
        _: &Json,
        _: &Catalog,
        _: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        let _running = self.0.clone();
        std::future::pending().await
    }
}

#[tokio::test]
async fn who_drops_a_sync_drops_both_sides() {
    let running = Arc::new(());
    let connector = || {
        let executor = Arc::new(Idle(running.clone()));
        Connector::new("idle", executor, Json::empty_object(), Arc::new(crate::connector::Silent))
    };
    let (source, destination, catalog) = (connector(), connector(), catalog());
    let (ledger, counters) = ledger(&catalog);
    let (idle, (_canceller, cancel)) = (Arc::strong_count(&running), Cancel::new());
    let sync = run(Job {
        source: &source,
        destination: &destination,
        catalog: &catalog,
        states: Vec::new(),
        ledger: &ledger,
        counters: &counters,
        cancel: &cancel,
        idle_time: None,
    });
    let time = Duration::from_millis(50);
    assert!(tokio::time::timeout(time, sync).await.is_err());
    tokio::time::sleep(time).await;
    // Each running side held the executor, and its token once more.
    assert_eq!(Arc::strong_count(&running), idle);
}

/// Breaks the contract, and goes on whatever it is told.
#[derive(Debug, Clone)]
struct Deaf;

#[async_trait]
impl Executor for Deaf {
    fn describe(&self) -> Described {
        Described { executor: "noop", reference: "deaf".into(), digest: None, fence: None }
    }

    async fn read(
        &self,
        context: &Context,
        _: &Json,
        _: &Catalog,
        _: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        let going_on = async {
            loop {
                assert!(output.status(7, StreamStatus::Running).await.is_err());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = going_on => Ok(()),
            () = context.cancel.cancelled() => Err(Failure::cancelled().into()),
        }
    }

    async fn write(
        &self,
        _: &Context,
        _: &Json,
        _: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        while input.next().await?.is_some() {}
        Ok(())
    }
}

#[tokio::test]
async fn a_source_that_is_told_that_it_broke_the_contract_does_not_go_on_for_ever() {
    let observer = || Arc::new(crate::connector::Silent);
    let connector = || Connector::new("deaf", Arc::new(Deaf), Json::empty_object(), observer());
    let (source, destination, catalog) = (connector(), connector(), catalog());
    let (ledger, counters) = ledger(&catalog);
    let cancel = Cancel::new().1;
    let sync = run(Job {
        source: &source,
        destination: &destination,
        catalog: &catalog,
        states: Vec::new(),
        ledger: &ledger,
        counters: &counters,
        cancel: &cancel,
        idle_time: None,
    });
    let ended = tokio::time::timeout(PATIENCE * 10, sync).await.unwrap().unwrap_err();
    assert!(ended.to_string().contains("stream 7"), "{ended}");
}
