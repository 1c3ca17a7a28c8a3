//! One holder at a time, and nothing from one that lost its lease.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lockgate::StateStore;
use lockgate::protocol::StreamDescriptor;
use lockgate::state::{
    Fenced, Holder, Lease, StateStoreError, StoredState, StreamBegin, StreamStart, SyncStart,
};

use crate::{Place, bodies, keep, stream, texts};

crate::of_each_store!(
    one_holder_at_a_time,
    of_many_at_once_one_gets_it,
    a_holder_of_this_machine_that_is_gone_holds_nothing,
    nothing_is_changed_under_a_lease_that_was_lost,
    a_fenced_store_writes_under_its_lease,
);

const LONG: Duration = Duration::from_secs(600);

fn elsewhere(host: &str) -> Holder {
    Holder { host: host.into(), process: 1, start: "another 5".into(), run: Some("r-1".into()) }
}

fn one_holder_at_a_time(place: &Place) {
    let (store, other) = (place.open(), place.open());
    assert_eq!(store.held("a").unwrap(), None);
    let lease = store.acquire("a", &elsewhere("first"), LONG).unwrap();
    let here = Holder::this_process(None);
    let error = other.acquire("a", &here, LONG).unwrap_err();
    let StateStoreError::Held { connection, holder, since, until } = &error else {
        panic!("{error}")
    };
    assert_eq!((connection.as_str(), holder.as_str()), ("a", "process 1 on first (run r-1)"));
    assert!(since < until && since.ends_with('Z'), "{since} {until}");
    let held = other.held("a").unwrap().unwrap();
    assert_eq!((held.holder.unwrap(), held.ended), (elsewhere("first"), false));
    other.acquire("b", &here, LONG).unwrap();
    // It ends by itself. As long as nobody came, it can be renewed.
    store.renew(&lease, Duration::ZERO).unwrap();
    assert!(other.held("a").unwrap().unwrap().ended);
    store.renew(&lease, LONG).unwrap();
    assert!(other.acquire("a", &here, LONG).is_err());
    store.renew(&lease, Duration::ZERO).unwrap();
    let second = other.acquire("a", &here, LONG).unwrap();
    assert!(second.token > lease.token);
    assert!(matches!(store.renew(&lease, LONG), Err(StateStoreError::Lost { .. })));
    store.release(&lease).unwrap();
    other.renew(&second, LONG).unwrap();
    other.release(&second).unwrap();
    assert_eq!(store.held("a").unwrap(), None);
    assert!(matches!(other.renew(&second, LONG), Err(StateStoreError::Lost { .. })));
    store.acquire("a", &elsewhere("first"), LONG).unwrap();
}

fn of_many_at_once_one_gets_it(place: &Place) {
    place.open();
    for round in 0..5 {
        let connection = format!("c{round}");
        let results: Vec<Result<Lease, StateStoreError>> = std::thread::scope(|scope| {
            let acquire = |i: usize| {
                let (store, connection) = (place.open(), &connection);
                move || store.acquire(connection, &elsewhere(&format!("h{i}")), LONG)
            };
            let threads: Vec<_> = (0..8).map(|i| scope.spawn(acquire(i))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
        for refused in results.iter().filter_map(|r| r.as_ref().err()) {
            assert!(matches!(refused, StateStoreError::Held { .. }), "{refused}");
        }
    }
}

fn a_holder_of_this_machine_that_is_gone_holds_nothing(place: &Place) {
    let store = place.open();
    let here = Holder::this_process(None);
    let mut child = Command::new("true").spawn().unwrap();
    let gone = Holder { process: child.id(), ..here.clone() };
    child.wait().unwrap();
    store.acquire("a", &gone, LONG).unwrap();
    store.acquire("a", &here, LONG).unwrap();
    assert!(store.acquire("a", &here, LONG).is_err());
}

fn nothing_is_changed_under_a_lease_that_was_lost(place: &Place) {
    let store = place.open();
    let descriptor = StreamDescriptor::new("s");
    let streams = vec![StreamStart {
        descriptor: descriptor.clone(),
        begin: StreamBegin::FullRead { truncates: true, resumable: false },
    }];
    let start = SyncStart { streams, ..SyncStart::default() };
    let first = store.acquire("a", &elsewhere("first"), Duration::ZERO).unwrap();
    let token = Some(first.token);
    // One that only ended is good: nobody has written since.
    store.begin_sync("a", &start, token).unwrap();
    store.store("a", &[StoredState::incremental(stream("s", 1))], token).unwrap();
    let second = store.acquire("a", &elsewhere("second"), LONG).unwrap();
    let late = [StoredState::incremental(stream("s", 0))];
    let lost = [
        store.store("a", &late, token),
        store.set("a", &late, token).map(drop),
        store.begin_sync("a", &start, token).map(drop),
        store.complete("a", std::slice::from_ref(&descriptor), token),
    ];
    for result in lost {
        assert!(matches!(result, Err(StateStoreError::Lost { .. })), "{result:?}");
    }
    assert_eq!(bodies(store.as_ref(), "a"), texts([stream("s", 1)]));
    assert!(store.generations("a").unwrap()[0].1.open.is_some());
    assert_eq!(store.generations("a").unwrap()[0].1.number, 1);
    assert!(store.past("a").unwrap().is_empty());
    let token = Some(second.token);
    store.complete("a", std::slice::from_ref(&descriptor), token).unwrap();
    assert_eq!(store.begin_sync("a", &start, token).unwrap().sync_id, 2);
    store.store("a", &late, token).unwrap();
    assert_eq!(bodies(store.as_ref(), "a"), texts([stream("s", 0)]));
}

fn a_fenced_store_writes_under_its_lease(place: &Place) {
    let store: Arc<dyn StateStore> = place.open();
    let lease = store.acquire("a", &elsewhere("first"), Duration::ZERO).unwrap();
    let fenced = Fenced::new(store.clone(), lease);
    keep(&fenced, "a", [stream("s", 1)]);
    let second = store.acquire("a", &elsewhere("second"), LONG).unwrap();
    assert!(!fenced.is_lost());
    assert!(matches!(fenced.clear("a", None), Err(StateStoreError::Lost { .. })));
    assert!(fenced.is_lost());
    assert_eq!(bodies(store.as_ref(), "a"), texts([stream("s", 1)]));
    // A token that was given out once is kept in any case.
    let token = lockgate::protocol::Json::parse(r#"{"t":"2"}"#).unwrap();
    fenced.change_config("a", "source", "d", &token).unwrap();
    let fenced = Fenced::new(store.clone(), second);
    assert_eq!(fenced.clear("a", None).unwrap(), 1);
}
