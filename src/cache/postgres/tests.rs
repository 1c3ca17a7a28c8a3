use super::*;

/// A cache in a schema that is gone afterwards. Without a server there is nothing to test.
#[expect(clippy::disallowed_methods, reason = "the tests' server is named in the environment")]
fn with(test: fn(&dyn RecordCache)) {
    let Ok(server) = std::env::var("LOCKGATE_TEST_POSTGRES") else {
        eprintln!("LOCKGATE_TEST_POSTGRES names no server: nothing was tested");
        return;
    };
    let schema = format!("cache_{:016x}", random());
    let sign = if server.contains('?') { '&' } else { '?' };
    let url = PostgresUrl::parse(&format!("{server}{sign}schema={schema}")).unwrap();
    let cache = PostgresCache::open(url.clone()).unwrap();
    assert_eq!(PostgresCache::open(url.clone()).unwrap().describe().id, cache.describe().id);
    let tested = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&cache)));
    drop(cache);
    let session = Session::open(&url, settings(&schema)).unwrap();
    let drop_all = format!("DROP SCHEMA {} CASCADE", quoted(&schema));
    session.run(move |client| Ok(client.batch_execute(&drop_all)?)).unwrap();
    if let Err(panic) = tested {
        std::panic::resume_unwind(panic);
    }
}

crate::cache::tests::conformance!(with);
