//! Every combination of what `Destination::write` can be told: where rows come from, the cache, the
//! states, the strategy, a full refresh. Two syncs each, between which the source's tables change; what
//! the destination has at the end is compared row by row with a model.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod common;
#[path = "write_matrix/model.rs"]
mod model;
#[path = "common/schema.rs"]
mod schema;
#[path = "write_matrix/source.rs"]
mod source;
#[path = "write_matrix/target.rs"]
mod target;

use std::path::Path;
use std::sync::Arc;

use common::Folder;
use lockgate::cache::{RecordCache, open_cache};
use lockgate::fault::Fault;
use lockgate::{
    PostgresStateStore, PostgresUrl, ReadOptions, SqliteStateStore, StateStore, StreamSelection,
    SyncFailure, WriteOptions, WriteResult,
};
use model::{Cached, Case, From, States};
use schema::Schema;
use source::Tables;
use target::Target;

/// The cache of a case.
fn cache(case: &Case, folder: &Path, schema: Option<&Schema>) -> Option<Arc<dyn RecordCache>> {
    let choice = match case.cache {
        Cached::Nowhere => "none".to_owned(),
        Cached::Default => "default".to_owned(),
        Cached::Sqlite => format!("sqlite:{}", folder.join("given.db").display()),
        Cached::Postgres => format!("postgres:{}", schema.expect("a schema").url()),
    };
    open_cache(&choice, folder).expect("a cache")
}

/// The state store of a case; a shared one is in the cache's own database.
fn states(
    case: &Case,
    cache: Option<&Arc<dyn RecordCache>>,
    folder: &Path,
    schema: Option<&Schema>,
) -> Option<Arc<dyn StateStore>> {
    let path = match (case.states, schema) {
        (States::Off, _) => return None,
        (States::Separate, _) => folder.join("state.db"),
        (States::Shared, Some(schema)) => {
            let url = PostgresUrl::parse(&schema.url()).expect("a URL");
            return Some(Arc::new(PostgresStateStore::open(url).expect("a store")));
        }
        (States::Shared, None) => cache.expect("a cache").describe().place.into(),
    };
    Some(Arc::new(SqliteStateStore::open(&path).expect("a store")))
}

fn streams(case: &Case) -> StreamSelection {
    if case.keyed_alone {
        StreamSelection::Named(vec!["keyed".into()])
    } else {
        StreamSelection::All
    }
}

async fn write(
    case: &Case,
    tables: &Tables,
    target: &Target,
    cache: Option<&Arc<dyn RecordCache>>,
    options: &WriteOptions,
) -> Result<WriteResult, Box<SyncFailure>> {
    match case.from {
        From::Source => {
            let options = WriteOptions { cache: cache.cloned(), ..options.clone() };
            target.destination.write(&tables.source(), &options).await
        }
        From::ReadResult => {
            let read = ReadOptions {
                strategy: case.strategy,
                full_refresh: case.full_refresh,
                streams: streams(case),
                ..ReadOptions::default()
            };
            let result = tables.source().read(cache.expect("a cache"), &read).await?;
            target.destination.write(&result, options).await
        }
    }
}

async fn run(case: Case, target: impl Fn(&Folder) -> Target) {
    let folder = Folder::new();
    let target = target(&folder);
    let path = folder.path().to_owned();
    // Whatever talks to a server blocks.
    let opening = tokio::task::spawn_blocking(move || {
        let schema = (case.cache == Cached::Postgres).then(Schema::new);
        let cache = cache(&case, &path, schema.as_ref());
        let store = states(&case, cache.as_ref(), &path, schema.as_ref());
        (cache, store, schema)
    });
    let (cache, store, schema) = opening.await.expect("they can be opened");
    let options = WriteOptions {
        connection: Some("matrix".into()),
        strategy: case.strategy,
        full_refresh: case.full_refresh,
        streams: streams(&case),
        state: store,
        ..WriteOptions::default()
    };
    let tables = Tables::default();
    tables.set(model::first());
    let first = write(&case, &tables, &target, cache.as_ref(), &options).await;
    let dropped = |schema: Option<Schema>| tokio::task::spawn_blocking(move || drop(schema));
    let Some(expected) = model::after(&case, target.merges) else {
        let error = first.expect_err("it cannot be").error;
        assert!(
            ["MODE_UNSUPPORTED", "PRIMARY_KEY_MISSING"].contains(&error.code()),
            "{case:?}: {error}"
        );
        assert!(target.rows("keyed").is_empty(), "{case:?}");
        return dropped(schema).await.expect("it can be dropped");
    };
    if let Err(failure) = first {
        panic!("{case:?}: {failure}");
    }
    tables.set(model::second());
    let second = write(&case, &tables, &target, cache.as_ref(), &options).await;
    if let Err(failure) = second {
        panic!("{case:?}: {failure}");
    }
    for (stream, expected) in ["keyed", "plain"].into_iter().zip(expected) {
        let (mut rows, mut expected) = (target.rows(stream), expected);
        if !target.ordered {
            rows.sort();
            expected.sort();
        }
        assert_eq!(rows, expected, "{stream} of {case:?}");
    }
    drop((cache, options));
    dropped(schema).await.expect("it can be dropped");
}

const IN_FILES: [Cached; 3] = [Cached::Nowhere, Cached::Default, Cached::Sqlite];

/// Runs them all; gives how many they were.
async fn run_all(cases: Vec<Case>, target: impl Fn(&Folder) -> Target) -> usize {
    let count = cases.len();
    for case in cases {
        run(case, &target).await;
    }
    count
}

#[tokio::test]
async fn every_combination_ends_in_its_tables_as_files() {
    assert_eq!(run_all(model::cases(&IN_FILES), Target::jsonl).await, 112);
}

#[tokio::test]
async fn every_combination_ends_the_same_through_a_server() {
    assert_eq!(run_all(model::cases(&[Cached::Postgres]), Target::jsonl).await, 48);
}

#[tokio::test]
async fn every_combination_ends_in_its_tables_of_a_database() {
    assert_eq!(run_all(model::cases(&IN_FILES), Target::postgres).await, 112);
    assert_eq!(run_all(model::merges(&IN_FILES), Target::postgres).await, 28);
}

#[tokio::test]
async fn every_combination_ends_in_its_tables_of_a_database_through_a_server() {
    assert_eq!(run_all(model::cases(&[Cached::Postgres]), Target::postgres).await, 48);
    assert_eq!(run_all(model::merges(&[Cached::Postgres]), Target::postgres).await, 12);
}
