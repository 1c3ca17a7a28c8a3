//! The connector in memory.

use std::collections::HashSet;

use lockgate_sdk::bindings::types::{State, StreamState};
use lockgate_sdk::testing::{self, Emitted, SourceRun};
use lockgate_sdk::{Catalog, FailureKind, source};
use serde_json::{Value, json};

use crate::Faker;

const STREAMS: [&str; 3] = ["products", "users", "purchases"];

fn catalog() -> Catalog {
    testing::catalog(STREAMS.map(testing::stream))
}

fn read(config: &Value, state: Vec<State>) -> SourceRun {
    let run = testing::read::<Faker>(&config.to_string(), &catalog(), state);
    assert_eq!(run.result, Ok(()));
    run
}

fn saved(stream: &str, state: &Value) -> State {
    State::Stream(StreamState {
        descriptor: lockgate_sdk::StreamDescriptor::new(stream),
        state: Some(state.to_string()),
    })
}

/// The last state of each stream.
fn last_states(run: &SourceRun) -> Vec<State> {
    let of = |name: &str| {
        let states = run.sink.states().filter(
            |state| matches!(state, State::Stream(stream) if stream.descriptor.name == name),
        );
        states.last().cloned().expect("a stream has a checkpoint")
    };
    STREAMS.map(of).to_vec()
}

#[test]
fn discovered_streams_are_those_of_airbyte() {
    let streams = source::discover::<Faker>("{}").expect("there are streams");
    let timestamp = json!({
        "type": "string", "format": "date-time", "airbyte_type": "timestamp_with_timezone",
    });
    for (stream, name) in streams.iter().zip(STREAMS) {
        assert_eq!(stream.descriptor.name, name);
        assert_eq!(stream.descriptor.namespace, None);
        assert_eq!(stream.sync_modes.len(), 2);
        assert!(stream.source_defined_cursor && stream.resumable);
        assert_eq!(stream.default_cursor_field, ["updated_at"]);
        assert_eq!(stream.source_defined_primary_key, [["id"]]);
        let schema: Value = serde_json::from_str(&stream.json_schema).expect("a schema is JSON");
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert_eq!(schema["properties"]["updated_at"], timestamp);
    }
}

#[test]
fn rows_have_the_members_and_types_of_their_schema() {
    let run = read(&json!({ "count": 500 }), Vec::new());
    let streams = source::discover::<Faker>("{}").expect("there are streams");
    for (index, stream) in (0..).zip(&streams) {
        let schema: Value = serde_json::from_str(&stream.json_schema).expect("a schema is JSON");
        let rows = run.sink.rows(index);
        let ids: HashSet<_> = rows.iter().map(|row| row["id"].as_u64()).collect();
        assert_eq!(ids.len(), rows.len());
        for (place, row) in (1..).zip(&rows) {
            assert_eq!(row["id"], place);
            assert_fits(row, &schema, index != 2);
        }
    }
    assert_eq!(run.sink.rows(0).len(), 100);
    assert_eq!(run.sink.rows(1).len(), 500);
    assert_eq!(run.sink.rows(2).len(), 500);
}

fn assert_fits(row: &Value, schema: &Value, all: bool) {
    let members = schema["properties"].as_object().expect("a schema has properties");
    for (name, value) in row.as_object().expect("a row is an object") {
        let types = &members.get(name).unwrap_or_else(|| panic!("{name} is not known"))["type"];
        let fits = |of: &Value| match of.as_str() {
            Some("integer") => value.is_u64(),
            Some("number") => value.is_number(),
            Some("string") => value.is_string(),
            Some("object") => value.is_object(),
            _ => false,
        };
        let types = types.as_array().map_or(std::slice::from_ref(types), Vec::as_slice);
        assert!(types.iter().any(fits), "{name}: {value}");
        if name.ends_with("_at") {
            let text = value.as_str().unwrap_or_default();
            assert!(text.len() == 25 && text.ends_with("+00:00"), "{text}");
        }
        if name == "address" {
            assert_fits(value, &members[name], true);
        }
    }
    if all {
        assert_eq!(row.as_object().map(serde_json::Map::len), Some(members.len()));
    }
}

#[test]
fn purchases_are_of_users_and_products_there_are() {
    let run = read(&json!({ "count": 95 }), Vec::new());
    let purchases = run.sink.rows(2);
    assert!((90..=100).contains(&purchases.len()), "{}", purchases.len());
    let mut last_user = 0;
    for purchase in &purchases {
        let user = purchase["user_id"].as_u64().expect("it is a number");
        assert!(last_user <= user && (1..=95).contains(&user));
        last_user = user;
        let product = purchase["product_id"].as_u64().expect("it is a number");
        assert!((1..=100).contains(&product));
        let times = ["created_at", "added_to_cart_at", "purchased_at", "returned_at"];
        let times: Vec<_> = times.iter().filter_map(|name| purchase[*name].as_str()).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
    assert!(purchases.iter().any(|purchase| purchase.get("purchased_at").is_none()));
    assert!(purchases.iter().any(|purchase| purchase.get("returned_at").is_some()));
}

#[test]
fn a_read_goes_on_from_any_checkpoint() {
    let config = json!({ "count": 250, "records_per_checkpoint": 30 });
    let whole = read(&config, Vec::new());
    let mut before: Vec<Vec<u8>> = vec![Vec::new(); STREAMS.len()];
    let mut checkpoints = 0;
    for emitted in &whole.sink.emitted {
        match emitted {
            Emitted::Rows(rows) => before[rows.stream as usize].extend(&rows.data),
            Emitted::Checkpoint(_, state) => {
                checkpoints += 1;
                let State::Stream(StreamState { descriptor, .. }) = state else {
                    panic!("there are no global states");
                };
                let index = STREAMS.iter().position(|name| *name == descriptor.name);
                let index = index.expect("it is a stream of ours");
                let rest = read(&config, vec![state.clone()]).sink.data(index as u32);
                assert_eq!([&before[index][..], &rest].concat(), whole.sink.data(index as u32));
            }
            _ => {}
        }
    }
    // 100 products, 250 users and 250 purchases.
    assert!((4 + 9 + 8..=4 + 9 + 9).contains(&checkpoints), "{checkpoints}");
}

#[test]
fn more_users_are_only_the_new_ones() {
    let few = read(&json!({ "count": 120 }), Vec::new());
    let more = read(&json!({ "count": 300 }), last_states(&few));
    let all = read(&json!({ "count": 300 }), Vec::new());
    assert_eq!(more.sink.rows(0).len(), 0);
    assert_eq!(more.sink.rows(1).len(), 180);
    for stream in 0..3 {
        let joined = [few.sink.data(stream), more.sink.data(stream)].concat();
        assert_eq!(joined, all.sink.data(stream));
    }
}

#[test]
fn nothing_new_is_still_a_checkpoint() {
    let first = read(&json!({ "count": 50 }), Vec::new());
    for count in [50, 10, 0] {
        let again = read(&json!({ "count": count }), last_states(&first));
        for stream in 0..3 {
            assert_eq!(again.sink.data(stream), b"");
            assert_eq!(again.sink.statuses(stream).len(), 2);
        }
        assert_eq!(last_states(&again), last_states(&first));
    }
}

#[test]
fn another_seed_starts_again() {
    let first = read(&json!({ "count": 50 }), Vec::new());
    let other = read(&json!({ "count": 50, "seed": -7 }), last_states(&first));
    assert_eq!(other.sink.rows(1).len(), 50);
    assert_ne!(other.sink.data(1), first.sink.data(1));
    assert_eq!(other.logs.len(), 3);
    assert_eq!(
        other.logs[0].1,
        "products: the seed was 42 and is -7 now, so the stream starts again"
    );
}

#[test]
fn states_are_like_those_of_airbyte() {
    let run = read(&json!({ "count": 2000 }), Vec::new());
    let states: Vec<Value> = run
        .sink
        .states()
        .filter_map(|state| match state {
            State::Stream(stream) if stream.descriptor.name == "users" => stream.state.as_deref(),
            _ => None,
        })
        .map(|text| serde_json::from_str(text).expect("a state is JSON"))
        .collect();
    let updated_at = "2024-01-01T00:16:39+00:00";
    assert_eq!(states[0], json!({ "seed": 42, "loop_offset": 1000, "updated_at": updated_at }));
    assert_eq!(run.sink.rows(1)[999]["updated_at"], updated_at);
    assert_eq!(states.len(), 2);

    let theirs = json!({ "seed": 42, "updated_at": "2026-11-24T14:58:56+00:00" });
    let run = read(&json!({}), vec![saved("products", &theirs)]);
    assert_eq!(run.sink.data(0), b"");
}

#[test]
fn faults_of_the_operator_are_named() {
    let failure = source::check::<Faker>(r#"{"records_per_checkpoint":0}"#);
    let failure = failure.expect_err("there would be no row before a checkpoint");
    assert_eq!(failure.message, "`records_per_checkpoint` must be at least 1");
    assert!(source::check::<Faker>(r#"{"parallelism":4}"#).is_err());
    assert!(source::check::<Faker>(r#"{"count":-1}"#).is_err());

    let catalog = testing::catalog([testing::stream("orders")]);
    let run = testing::read::<Faker>("{}", &catalog, Vec::new());
    let failure = run.result.expect_err("there is no such stream");
    assert_eq!(failure.kind, FailureKind::Config);
    assert_eq!(failure.message, "there is no stream `orders`, only products, users and purchases");
}

#[test]
fn words_need_no_escape() {
    let rows = read(&json!({ "count": 3000 }), Vec::new());
    for stream in 0..3 {
        assert!(!rows.sink.data(stream).contains(&b'\\'));
    }
}
