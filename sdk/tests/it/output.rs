//! What a source's calls make of its rows.

use std::cell::RefCell;

use lockgate_sdk::bindings::output::StreamStatus::{Complete, Incomplete, Running, Started};
use lockgate_sdk::bindings::types::{GlobalState, Rows, State, StreamState};
use lockgate_sdk::testing::{self, Emitted, Sink, SourceRun};
use lockgate_sdk::{
    BATCH_BYTES, Catalog, Failure, FailureKind, Output, SavedState, Source, Spec, Stream,
    StreamDescriptor,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

type Script = fn(&SavedState, &mut Output<'_>) -> Result<(), Failure>;

thread_local! {
    static SCRIPT: RefCell<Option<Script>> = const { RefCell::new(None) };
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Config {}

/// Does in `read` what the test says.
struct Scripted;

impl Source for Scripted {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new("source-scripted", "1.0.0")
    }

    fn check(_: Config) -> Result<(), Failure> {
        Ok(())
    }

    fn discover(_: Config) -> Result<Vec<Stream>, Failure> {
        Ok(Vec::new())
    }

    fn read(
        _: Config,
        _: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        SCRIPT.with_borrow(|script| script.expect("a script")(state, output))
    }
}

fn run(streams: &[&str], script: Script) -> SourceRun {
    run_into(streams, Vec::new(), Sink::default(), script)
}

fn run_into(streams: &[&str], state: Vec<State>, sink: Sink, script: Script) -> SourceRun {
    SCRIPT.set(Some(script));
    let catalog = testing::catalog(streams.iter().map(|name| testing::stream(name)));
    testing::read_into::<Scripted>("{}", &catalog, state, sink)
}

#[test]
fn rows_are_batched_and_statuses_follow() {
    let run = run(&["a"], |_, output| {
        let mut stream = output.stream(0)?;
        for id in 0..10_000 {
            stream.write(&json!({ "id": id, "text": "0123456789" }))?;
        }
        stream.complete()
    });
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.sink.statuses(0), [Started, Running, Complete]);
    let batches: Vec<_> = run.sink.batches(0).collect();
    let (last, full) = batches.split_last().expect("there are rows");
    for batch in full {
        assert!(batch.data.len() <= BATCH_BYTES && batch.data.len() > BATCH_BYTES - 100);
    }
    assert!(last.data.len() <= BATCH_BYTES);
    for batch in &batches {
        assert_eq!(batch.count as usize, batch.data.split_inclusive(|b| *b == b'\n').count());
        assert!(batch.emitted_at.is_empty() && batch.meta.is_empty());
    }
    let rows = run.sink.rows(0);
    assert_eq!(rows.len(), 10_000);
    assert_eq!(rows[9_999]["id"], 9_999);
}

#[test]
fn a_large_row_goes_alone() {
    let run = run(&["a"], |_, output| {
        let mut stream = output.stream(0)?;
        for length in [1, BATCH_BYTES * 3, 1, BATCH_BYTES, 1] {
            stream.write(&json!({ "text": "x".repeat(length) }))?;
        }
        stream.complete()
    });
    assert_eq!(run.result, Ok(()));
    let counts: Vec<_> = run.sink.batches(0).map(|rows| rows.count).collect();
    assert_eq!(counts, [1, 1, 1, 1, 1]);
}

#[test]
fn a_checkpoint_sends_its_own_stream_first() {
    let run = run(&["a", "b"], |_, output| {
        output.stream(0)?.write(&json!({}))?;
        output.stream(1)?.write(&json!({}))?;
        assert_eq!(output.stream(1)?.checkpoint(&json!({ "at": 1 }))?, 1);
        output.stream(0)?.complete()?;
        output.stream(1)?.complete()?;
        // After the end a checkpoint may still follow.
        output.stream(1)?.checkpoint(&json!({ "at": 2 })).map(|_| ())
    });
    assert_eq!(run.result, Ok(()));
    let order: Vec<_> = run
        .sink
        .emitted
        .iter()
        .filter_map(|emitted| match emitted {
            Emitted::Rows(rows) => Some(format!("rows of {}", rows.stream)),
            Emitted::Checkpoint(id, _) => Some(format!("checkpoint {id}")),
            Emitted::Status(stream, Complete) => Some(format!("end of {stream}")),
            _ => None,
        })
        .collect();
    assert_eq!(
        order,
        ["rows of 1", "checkpoint 1", "rows of 0", "end of 0", "end of 1", "checkpoint 2"]
    );
}

#[test]
fn a_global_checkpoint_sends_all_streams_first() {
    let run = run(&["a", "b"], |_, output| {
        output.stream(0)?.write(&json!({}))?;
        output.stream(1)?.write(&json!({}))?;
        let streams = [(StreamDescriptor::new("a"), json!({ "n": 1 }))];
        output.checkpoint_all(Some(&json!({ "lsn": 7 })), &streams)?;
        output.stream(0)?.complete()?;
        output.stream(1)?.complete()
    });
    assert_eq!(run.result, Ok(()));
    let at = run.sink.emitted.iter().position(|e| matches!(e, Emitted::Checkpoint(..)));
    let before = &run.sink.emitted[..at.expect("there is one")];
    assert_eq!(before.iter().filter(|e| matches!(e, Emitted::Rows(_))).count(), 2);
    let Some(State::Global(global)) = run.sink.states().next() else {
        panic!("not global");
    };
    assert_eq!(global.shared.as_deref(), Some(r#"{"lsn":7}"#));
    assert_eq!(global.streams[0].state.as_deref(), Some(r#"{"n":1}"#));
}

#[test]
fn a_stream_without_an_end_fails_the_read() {
    let run = run(&["a", "b", "c"], |_, output| {
        output.stream(0)?.complete()?;
        output.stream(1)?.write(&json!({}))
    });
    let failure = run.result.expect_err("b has no end");
    assert_eq!(failure.kind, FailureKind::System);
    assert_eq!(failure.message, "the source returned without saying how the stream `b` ended");
    assert_eq!(run.sink.statuses(0), [Started, Complete]);
    assert_eq!(run.sink.statuses(1), [Started, Running, Incomplete]);
    assert_eq!(run.sink.statuses(2), []);
}

#[test]
fn a_failure_leaves_open_streams_incomplete() {
    let run = run(&["a", "b"], |_, output| {
        output.stream(0)?.incomplete()?;
        output.stream(1)?;
        Err(Failure::transient("away"))
    });
    assert_eq!(run.result, Err(Failure::transient("away")));
    assert_eq!(run.sink.statuses(0), [Started, Incomplete]);
    assert_eq!(run.sink.statuses(1), [Started, Incomplete]);
}

#[test]
fn nothing_follows_the_end_of_a_stream() {
    let scripts: [Script; 4] = [
        |_, output| output.stream(0)?.write(&json!({})),
        |_, output| output.stream(0)?.write_with(|data| data.extend_from_slice(b"{}")),
        |_, output| output.stream(0)?.complete(),
        |_, output| output.stream(0)?.incomplete(),
    ];
    for script in scripts {
        SCRIPT.set(Some(script));
        let run = run_once_complete(script);
        let failure = run.result.expect_err("it ended");
        assert_eq!(failure.message, "the source went on with the stream `a` after its end");
        assert_eq!(run.sink.statuses(0), [Started, Complete]);
    }
}

fn run_once_complete(script: Script) -> SourceRun {
    thread_local!(static THEN: RefCell<Option<Script>> = const { RefCell::new(None) });
    THEN.set(Some(script));
    run(&["a"], |state, output| {
        output.stream(0)?.complete()?;
        THEN.with_borrow(|then| then.expect("a script")(state, output))
    })
}

#[test]
fn what_is_no_object_is_refused() {
    let scripts: [Script; 7] = [
        |_, output| output.stream(0)?.write(&[1]),
        |_, output| output.stream(0)?.write("text"),
        |_, output| output.stream(0)?.write_json(b"[1]"),
        |_, output| output.stream(0)?.write_json(b"{\n}"),
        |_, output| output.stream(0)?.write_json(b""),
        |_, output| output.stream(0)?.checkpoint(&[1]).map(|_| ()),
        |_, output| {
            let mut stream = output.stream(0)?;
            stream.write(&json!({}))?;
            stream.meta("text")
        },
    ];
    for script in scripts {
        let failure = run(&["a"], script).result.expect_err("it is no object");
        assert_eq!(failure.kind, FailureKind::System);
    }
    let run = run(&["a"], |_, output| output.stream(1).map(|_| ()));
    assert_eq!(
        run.result.expect_err("there is one stream").message,
        "the source wrote to stream 1 of a catalog with 1"
    );
}

#[test]
fn times_are_none_one_or_one_a_row() {
    let run = run(&["a"], |_, output| {
        let mut stream = output.stream(0)?;
        for time in [None, Some(5), Some(5), Some(6), Some(6), Some(7), None] {
            stream.emitted_at(time)?;
            stream.write(&json!({}))?;
        }
        stream.flush()?;
        stream.emitted_at(Some(8))?;
        stream.write(&json!({}))?;
        stream.write(&json!({}))?;
        stream.complete()
    });
    assert_eq!(run.result, Ok(()));
    let times: Vec<_> =
        run.sink.batches(0).map(|rows| (rows.count, &rows.emitted_at[..])).collect();
    assert_eq!(times, [(1, &[][..]), (5, &[5, 5, 6, 6, 7]), (1, &[]), (2, &[8])]);
}

#[test]
fn times_and_meta_survive_a_full_batch() {
    let run = run(&["a"], |_, output| {
        let mut stream = output.stream(0)?;
        for row in 0..3 {
            stream.emitted_at(Some(row))?;
            stream.write(&json!({ "text": "x".repeat(BATCH_BYTES / 2 - 20) }))?;
            stream.meta(&json!({ "row": row }))?;
        }
        stream.complete()
    });
    assert_eq!(run.result, Ok(()));
    let batches: Vec<_> = run.sink.batches(0).collect();
    assert_eq!(batches.len(), 2);
    assert_eq!((batches[0].count, &batches[0].emitted_at[..]), (2, &[0, 1][..]));
    assert_eq!((batches[1].count, &batches[1].emitted_at[..]), (1, &[2][..]));
    let meta = |batch: &Rows| -> Vec<_> {
        batch.meta.iter().map(|meta| (meta.row, meta.meta.clone())).collect()
    };
    assert_eq!(meta(batches[0]), [(0, r#"{"row":0}"#.into()), (1, r#"{"row":1}"#.into())]);
    assert_eq!(meta(batches[1]), [(0, r#"{"row":2}"#.into())]);
}

#[test]
fn the_hosts_failure_stops_the_source() {
    let stop = Failure::new(FailureKind::Cancelled, "stop");
    let swallow: Script = |_, output| {
        for _ in 0..5 {
            let mut stream = output.stream(0)?;
            // A source that does not look at what it is told.
            let _ = stream.write(&json!({}));
            let _ = stream.flush();
        }
        Ok(())
    };
    let run = run_into(&["a"], Vec::new(), Sink::stop_after(2, stop.clone()), swallow);
    assert_eq!(run.result, Err(stop));
    assert_eq!(run.sink.batches(0).count(), 2);
    assert_eq!(run.sink.statuses(0), [Started, Running]);
}

#[test]
fn a_whole_batch_goes_as_it_is() {
    let run = run(&["a"], |_, output| {
        let mut stream = output.stream(0)?;
        stream.write(&json!({}))?;
        let mut batch = Rows {
            stream: 0,
            count: 2,
            data: b"{}\n{}\n".to_vec(),
            emitted_at: Vec::new(),
            meta: Vec::new(),
        };
        stream.write_batch(&batch)?;
        batch.stream = 1;
        assert!(stream.write_batch(&batch).is_err());
        stream.complete()
    });
    assert_eq!(run.result, Ok(()));
    let counts: Vec<_> = run.sink.batches(0).map(|rows| rows.count).collect();
    assert_eq!(counts, [1, 2]);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    n: u64,
}

#[test]
fn saved_states_come_back_typed() {
    let of = |name: &str, state: Option<&str>| StreamState {
        descriptor: StreamDescriptor::new(name),
        state: state.map(str::to_owned),
    };
    let states = vec![
        State::Stream(of("a", Some(r#"{"n":1}"#))),
        State::Stream(of("b", None)),
        State::Stream(of("c", Some(r#"{"n":"secret"}"#))),
    ];
    let run = run_into(&[], states, Sink::default(), |state, _| {
        assert!(!state.is_empty());
        let place = |name| state.stream::<Place>(&StreamDescriptor::new(name));
        assert_eq!(place("a"), Ok(Some(Place { n: 1 })));
        assert_eq!(place("b"), Ok(None));
        assert_eq!(place("d"), Ok(None));
        let elsewhere = StreamDescriptor::in_namespace("", "a");
        assert_eq!(state.stream::<Place>(&elsewhere), Ok(None));
        assert_eq!(
            place("c").map_err(|failure| failure.message),
            Err("the stored state of the stream `c`: `n` is a string, not u64".to_owned())
        );
        Ok(())
    });
    assert_eq!(run.result, Ok(()));

    let global = State::Global(GlobalState {
        shared: Some(r#"{"n":9}"#.to_owned()),
        streams: vec![of("a", Some(r#"{"n":2}"#))],
    });
    let run = run_into(&[], vec![global], Sink::default(), |state, _| {
        assert_eq!(state.shared::<Place>(), Ok(Some(Place { n: 9 })));
        let a = state.stream::<Place>(&StreamDescriptor::new("a"));
        assert_eq!(a, Ok(Some(Place { n: 2 })));
        Ok(())
    });
    assert_eq!(run.result, Ok(()));
}
