//! What is kept, and what it keeps apart.

use std::collections::BTreeSet;

use lockgate::StateStore;
use lockgate::protocol::{Json, StateMessage, StreamDescriptor};
use lockgate::state::{
    KEPT_PASTS, PastStates, Remembered, StoredState, StreamBegin, StreamNumbers, StreamStart,
    SyncStart,
};

use crate::{Place, bodies, keep, state, stream, texts};

crate::of_each_store!(
    states_of_full_reads_are_beside_the_others,
    states_are_kept_per_connection_and_stream,
    a_global_state_replaces_all_and_is_replaced_by_one,
    a_stream_is_cleared_out_of_a_global_state,
    all_is_set_at_once,
    a_text_is_kept_as_it_is,
    numbers_grow,
    syncs_that_begin_at_once_have_ids_of_their_own,
    an_interrupted_refresh_goes_on_and_ends_when_it_is_complete,
    what_was_there_before_is_remembered,
    changed_members_belong_to_one_configuration,
    another_store_goes_on_where_one_was,
);

fn states_of_full_reads_are_beside_the_others(place: &Place) {
    let store = place.open();
    keep(store.as_ref(), "a", [stream("s", 1)]);
    let full = |state| StoredState { of_full_read: true, ..StoredState::incremental(state) };
    store.store("a", &[full(stream("s", 7)), full(stream("t", 7))], None).unwrap();
    let stored = store.load("a").unwrap();
    assert_eq!(stored.iter().filter(|s| !s.of_full_read).count(), 1);
    assert_eq!(bodies(store.as_ref(), "a"), texts([stream("s", 1), stream("t", 7)]));
    let global = state(r#"{"type":"GLOBAL","global":{"stream_states":[]}}"#);
    store.store("a", &[full(global)], None).unwrap();
    assert_eq!(bodies(store.as_ref(), "a"), texts([stream("s", 1)]));
}

fn states_are_kept_per_connection_and_stream(place: &Place) {
    let store = place.open();
    let store = store.as_ref();
    let spaced = || {
        let at = Json::parse("5").unwrap();
        StateMessage::stream(StreamDescriptor::new("s").in_namespace(""), Some(&at))
    };
    keep(store, "a", [stream("s", 1), stream("t", 1), spaced()]);
    keep(store, "b\"'\\;é", [stream("s", 9)]);
    keep(store, "a", [stream("s", 2)]);
    let again = place.open();
    let kept = bodies(again.as_ref(), "a");
    let expected = texts([stream("s", 2), stream("t", 1), spaced()]);
    assert_eq!(BTreeSet::from_iter(kept), BTreeSet::from_iter(expected));
    let names: Vec<_> = again.connections().unwrap().into_iter().map(|c| (c.0, c.1)).collect();
    assert_eq!(names, [("a".to_owned(), 3), ("b\"'\\;é".to_owned(), 1)]);
    assert_eq!(store.clear("a", Some(&[StreamDescriptor::new("t")])).unwrap(), 1);
    assert_eq!(store.clear("a", None).unwrap(), 2);
    assert_eq!(store.clear("a", None).unwrap(), 0);
    assert_eq!(bodies(store, "b\"'\\;é").len(), 1);
}

fn a_global_state_replaces_all_and_is_replaced_by_one(place: &Place) {
    let store = place.open();
    let store = store.as_ref();
    let global = state(r#"{"type":"GLOBAL","global":{"stream_states":[]},"x":1e400}"#);
    keep(store, "a", [stream("s", 1), stream("t", 1)]);
    keep(store, "a", [stream("s", 1), global.clone()]);
    assert_eq!(bodies(store, "a"), texts([global.clone()]));
    keep(store, "a", [global, stream("s", 2)]);
    assert_eq!(bodies(store, "a"), texts([stream("s", 2)]));
    let legacy = state(r#"{"type":"LEGACY","data":{"at":1}}"#);
    keep(store, "a", [legacy.clone()]);
    assert_eq!(bodies(store, "a"), texts([legacy]));
}

fn a_stream_is_cleared_out_of_a_global_state(place: &Place) {
    let store = place.open();
    let store = store.as_ref();
    let global = r#"{"type":"GLOBAL","global":{"shared_state":{"n":1},"stream_states":[{"stream_descriptor":{"name":"s"},"stream_state":{"at":1}},{"stream_descriptor":{"name":"t"},"stream_state":{"at":2}}]}}"#;
    keep(store, "a", [state(global)]);
    assert_eq!(store.clear("a", Some(&[StreamDescriptor::new("other")])).unwrap(), 0);
    assert!(store.past("a").unwrap().is_empty());
    assert_eq!(store.clear("a", Some(&[StreamDescriptor::new("s")])).unwrap(), 1);
    let stored = store.load("a").unwrap();
    let parts = stored[0].state.parts();
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].descriptor, StreamDescriptor::new("t"));
    assert_eq!(stored[0].state.shared().unwrap().get(), r#"{"n":1}"#);
    assert_eq!(store.past("a").unwrap().len(), 1);
}

fn all_is_set_at_once(place: &Place) {
    let store = place.open();
    keep(store.as_ref(), "a", [stream("s", 1), stream("t", 1)]);
    let generations = [(StreamDescriptor::new("u"), 4)].into();
    let new = StoredState { generations, ..StoredState::incremental(stream("u", 2)) };
    assert_eq!(store.set("a", &[new], None).unwrap(), 2);
    assert_eq!(bodies(store.as_ref(), "a"), texts([stream("u", 2)]));
    assert_eq!(store.load("a").unwrap()[0].generations[&StreamDescriptor::new("u")], 4);
    assert_eq!(store.past("a").unwrap()[0].states.len(), 2);
}

fn a_text_is_kept_as_it_is(place: &Place) {
    let store = place.open();
    let pad = "é\\u0000\\ud800".repeat(100_000);
    let text = format!(
        "{{ \"type\" : \"STREAM\",\n\t\"stream\":{{\"stream_descriptor\":{{\"name\":\"s\",\"x\":1}},\"stream_state\":{{\"b\":1.10,\"a\":123456789012345678901234567890,\"b\":[1E+2],\"pad\":\"{pad}\"}}}},\"id\":7 }}"
    );
    keep(store.as_ref(), "a", [state(&text)]);
    assert_eq!(bodies(place.open().as_ref(), "a"), [text]);
}

fn numbers_grow(place: &Place) {
    let store = place.open();
    let read = StreamBegin::FullRead { truncates: true, resumable: false };
    let begins = [("s", read), ("t", StreamBegin::GoOn)];
    let streams = begins.map(|(name, begin)| {
        let descriptor = StreamDescriptor::new(name);
        StreamStart { descriptor, begin }
    });
    let start = SyncStart { streams: streams.into(), ..SyncStart::default() };
    let begin = |start: &SyncStart| {
        let numbers = store.begin_sync("a", start, None).unwrap();
        let of = |n: &StreamNumbers| (n.generation, n.minimum_generation);
        (numbers.sync_id, numbers.streams.iter().map(of).collect::<Vec<_>>())
    };
    assert_eq!(begin(&start), (1, vec![(1, 1), (1, 0)]));
    assert_eq!(begin(&start), (2, vec![(2, 2), (1, 0)]));
    let again = SyncStart { again: Some(2), ..start };
    assert_eq!(begin(&again), (2, vec![(2, 2), (1, 0)]));
    let generations = place.open().generations("a").unwrap();
    let numbers: Vec<_> = generations.iter().map(|(s, g)| (s.name.as_str(), g.number)).collect();
    assert_eq!(numbers, [("s", 2), ("t", 1)]);
    assert!(place.open().generations("b").unwrap().is_empty());
}

fn syncs_that_begin_at_once_have_ids_of_their_own(place: &Place) {
    place.open();
    let ids = std::thread::scope(|scope| {
        let begin = || {
            let store = place.open();
            let begin = |_| store.begin_sync("a", &SyncStart::default(), None).unwrap().sync_id;
            (0..5).map(begin).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect::<BTreeSet<u64>>()
    });
    assert_eq!(ids, (1..=40).collect());
}

fn an_interrupted_refresh_goes_on_and_ends_when_it_is_complete(place: &Place) {
    let store = place.open();
    let descriptor = StreamDescriptor::new("s");
    let begin = |begin| {
        let streams = vec![StreamStart { descriptor: descriptor.clone(), begin }];
        let start = SyncStart { streams, rows_stay: true, ..SyncStart::default() };
        store.begin_sync("a", &start, None).unwrap().streams[0]
    };
    begin(StreamBegin::GoOn);
    let first = begin(StreamBegin::Refresh { truncates: true, resumable: true });
    assert_eq!((first.generation, first.minimum_generation, first.since), (2, 2, 2));
    let generations = [(descriptor.clone(), 2)].into();
    let stored = StoredState { generations, ..StoredState::incremental(stream("s", 5)) };
    store.store("a", &[stored], None).unwrap();
    let next = begin(StreamBegin::GoOn);
    assert_eq!((next.generation, next.minimum_generation, next.goes_on), (2, 2, true));
    store.complete("a", std::slice::from_ref(&descriptor), None).unwrap();
    let next = begin(StreamBegin::GoOn);
    assert_eq!((next.generation, next.minimum_generation, next.goes_on), (2, 0, false));
}

fn what_was_there_before_is_remembered(place: &Place) {
    let store = place.open();
    let store = store.as_ref();
    keep(store, "a", [stream("s", 1)]);
    store.begin_sync("a", &SyncStart::default(), None).unwrap();
    keep(store, "a", [stream("s", 2)]);
    store.begin_sync("a", &SyncStart::default(), None).unwrap();
    keep(store, "a", [stream("s", 3)]);
    store.clear("a", None).unwrap();
    let past = place.open().past("a").unwrap();
    let of = |p: &PastStates| (p.number, p.sync_id, p.states[0].state.body().get().to_owned());
    let expected = [(3, 0, 3), (2, 1, 2), (1, 0, 1)];
    let expected = expected.map(|(n, sync, at)| (n, sync, stream("s", at).body().get().to_owned()));
    assert_eq!(past.iter().map(of).collect::<Vec<_>>(), expected);
    for _ in 0..2 * KEPT_PASTS {
        keep(store, "a", [stream("s", 3)]);
        store.clear("a", None).unwrap();
    }
    let past = store.past("a").unwrap();
    assert_eq!((past.len() as u64, past[0].number), (KEPT_PASTS, 3 + 2 * KEPT_PASTS));
}

fn another_store_goes_on_where_one_was(place: &Place) {
    let before = Place::sqlite();
    let first = before.open();
    let descriptor = StreamDescriptor::new("s");
    let begin = |store: &dyn StateStore, begin| {
        let streams = vec![StreamStart { descriptor: descriptor.clone(), begin }];
        let start = SyncStart { streams, rows_stay: true, ..SyncStart::default() };
        let numbers = store.begin_sync("a", &start, None).unwrap();
        let of = numbers.streams[0];
        (numbers.sync_id, of.generation, of.minimum_generation, of.goes_on)
    };
    begin(first.as_ref(), StreamBegin::GoOn);
    begin(first.as_ref(), StreamBegin::Refresh { truncates: true, resumable: true });
    let generations = [(descriptor.clone(), 2)].into();
    let stored = StoredState { generations, ..StoredState::incremental(stream("s", 5)) };
    let full = StoredState { of_full_read: true, ..stored.clone() };
    first.store("a", &[stored, full], None).unwrap();
    assert_eq!(first.last_sync("a").unwrap(), 2);
    let second = place.open();
    assert_eq!(second.last_sync("a").unwrap(), 0);
    // What was begun there is older.
    begin(second.as_ref(), StreamBegin::GoOn);
    keep(second.as_ref(), "a", [stream("t", 1)]);
    let remembered = Remembered::of(first.as_ref(), "a").unwrap();
    second.adopt("a", &remembered, None).unwrap();
    assert_eq!(bodies(second.as_ref(), "a"), texts([stream("s", 5)]));
    assert!(second.load("a").unwrap()[1].of_full_read);
    assert_eq!(second.past("a").unwrap().len(), 1);
    assert_eq!(begin(place.open().as_ref(), StreamBegin::GoOn), (3, 2, 2, true));
    // And again, from one that is behind by now.
    begin(second.as_ref(), StreamBegin::Refresh { truncates: false, resumable: true });
    second.adopt("a", &remembered, None).unwrap();
    assert_eq!(second.generations("a").unwrap()[0].1.number, 3);
    assert_eq!(second.last_sync("a").unwrap(), 4);
}

fn changed_members_belong_to_one_configuration(place: &Place) {
    let store = place.open();
    let change = |text: &str| Json::parse(text).unwrap();
    store.change_config("a", "source", "d1", &change(r#"{"t":"1","u":"1"}"#)).unwrap();
    store.change_config("a", "source", "d1", &change(r#"{"t":"2"}"#)).unwrap();
    let read = place.open().changed_config("a", "source", "d1").unwrap().unwrap();
    assert!(read.same(&change(r#"{"t":"2","u":"1"}"#)));
    assert!(store.changed_config("a", "source", "d2").unwrap().is_none());
    assert!(store.changed_config("a", "destination", "d1").unwrap().is_none());
    store.replace_changed_config("a", "source", "d2", None).unwrap();
    assert!(store.changed_config("a", "source", "d1").unwrap().is_some());
    store.replace_changed_config("a", "source", "d1", Some(&change(r#"{"v":1}"#))).unwrap();
    let read = store.changed_config("a", "source", "d1").unwrap().unwrap();
    assert!(read.same(&change(r#"{"v":1}"#)));
    store.replace_changed_config("a", "source", "d1", None).unwrap();
    assert!(store.changed_config("a", "source", "d1").unwrap().is_none());
}
