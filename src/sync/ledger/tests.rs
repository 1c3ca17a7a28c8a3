//! The ledger's rules, one by one.

use super::*;
use crate::protocol::{EmittedAt, Json};

/// Keeps what it is given, in order.
#[derive(Default)]
struct Kept(Mutex<Vec<String>>, bool);

#[async_trait]
impl StateSink for Kept {
    async fn store(&self, states: Vec<Confirmed>) -> Result<(), Failure> {
        if self.1 {
            return Err(Failure::system("disk full"));
        }
        let mut kept = self.0.lock().unwrap();
        for confirmed in states {
            let part = &confirmed.state.parts()[0];
            let state = part.state.as_ref().unwrap().get().to_owned();
            let mark = if confirmed.of_full_read { " (full)" } else { "" };
            kept.push(format!("{}={state}{mark}", part.descriptor));
        }
        Ok(())
    }
}

struct Bench {
    ledger: Ledger,
    kept: Arc<Kept>,
    runtime: tokio::runtime::Runtime,
}

/// A ledger of the streams `a` and `b`.
fn bench(mode: &str) -> Bench {
    failing(mode, false)
}

fn failing(mode: &str, fails: bool) -> Bench {
    of(&[("incremental", mode), ("incremental", mode)], fails)
}

/// A ledger of the streams `a` and `b`, with these modes.
fn of(modes: &[(&str, &str); 2], fails: bool) -> Bench {
    let stream = |name, (read, write): (&str, &str)| {
        format!(
            r#"{{"stream":{{"name":"{name}","json_schema":{{}}}},"sync_mode":"{read}","destination_sync_mode":"{write}"}}"#
        )
    };
    let text = format!(r#"{{"streams":[{},{}]}}"#, stream("a", modes[0]), stream("b", modes[1]));
    let catalog = Catalog::from_airbyte(&text).unwrap();
    let kept = Arc::new(Kept(Mutex::default(), fails));
    let counters = Arc::new(Counters::new(&catalog));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Bench { ledger: Ledger::new(&catalog, kept.clone(), counters), kept, runtime }
}

impl Bench {
    fn rows(&self, stream: u32, count: u32) {
        let rows = Rows {
            stream,
            count,
            data: b"{}\n".repeat(count as usize),
            emitted_at: EmittedAt::All(0),
            meta: Vec::new(),
            parsed: false,
        };
        self.ledger.received(&rows).unwrap();
    }

    fn state(&self, stream: &str, at: u64) -> u64 {
        self.state_with(stream, at, "").unwrap()
    }

    fn state_with(&self, stream: &str, at: u64, more: &str) -> Result<u64, Failure> {
        let text = format!(
            r#"{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"{stream}"}},"stream_state":{at}}}{more}}}"#
        );
        let state = StateMessage::from_airbyte(Json::parse(text).unwrap()).unwrap();
        self.ledger.checkpoint(&Arc::new(state))
    }

    fn through(&self, checkpoint: u64, written: [u64; 2]) -> Result<(), Failure> {
        let total =
            |(stream, written): (u32, u64)| StreamTotal { stream, written, rejected: 0, bytes: 0 };
        let totals = (0..).zip(written).filter(|(_, w)| *w > 0).map(total).collect();
        self.commit(Commit::Through { checkpoint, totals })
    }

    fn echo(&self, checkpoint: u64, records: Option<f64>) -> Result<(), Failure> {
        let stats = records.map(|records| Stats { records: Some(records), rejected: None });
        self.commit(Commit::Echo { checkpoint, stats, whole: true })
    }

    fn commit(&self, commit: Commit) -> Result<(), Failure> {
        self.runtime.block_on(self.ledger.committed(vec![commit]))
    }

    fn close(&self) -> Result<(), Failure> {
        self.runtime.block_on(self.ledger.close())
    }

    fn kept(&self) -> Vec<String> {
        self.kept.0.lock().unwrap().clone()
    }
}

fn says(result: Result<(), Failure>, words: &str) {
    let failure = result.unwrap_err();
    assert!(failure.to_string().contains(words), "{failure}");
}

#[test]
fn a_state_is_stored_when_the_rows_before_it_are_durable() {
    let b = bench("append");
    b.rows(0, 2);
    let first = b.state("a", 1);
    b.rows(1, 3);
    let second = b.state("b", 1);
    assert!(b.kept().is_empty());
    b.through(first, [2, 0]).unwrap();
    assert_eq!(b.kept(), ["a=1"]);
    b.through(second, [2, 3]).unwrap();
    assert_eq!(b.kept(), ["a=1", "b=1"]);
    assert!(!b.ledger.is_waiting());
    b.close().unwrap();
}

#[test]
fn one_commit_covers_all_before_it_and_stores_the_last_of_each_stream() {
    let b = bench("append");
    b.rows(0, 1);
    b.state("a", 1);
    b.state("b", 1);
    b.rows(0, 1);
    let last = b.state("a", 2);
    b.through(last, [2, 0]).unwrap();
    assert_eq!(b.kept(), ["b=1", "a=2"]);
}

#[test]
fn commits_that_cannot_be_true_break_the_sync() {
    type Case<'a> = (&'a dyn Fn(&Bench) -> Result<(), Failure>, &'a str);
    let cases: [Case<'_>; 6] = [
        (&|b| b.through(9, [2, 0]), "never given"),
        (&|b| b.through(0, [0, 0]), "never given"),
        (&|b| b.through(1, [1, 0]), "given 2 rows up to checkpoint 1, and says it wrote 1"),
        (&|b| b.through(1, [2, 1]), "stream b"),
        (&|b| b.through(1, [2, 0]).and_then(|()| b.through(1, [2, 0])), "out of order"),
        (
            &|b| {
                b.commit(Commit::Through {
                    checkpoint: 1,
                    totals: vec![StreamTotal { stream: 7, written: 2, rejected: 0, bytes: 0 }],
                })
            },
            "stream 7",
        ),
    ];
    for (case, words) in cases {
        let b = bench("append");
        b.rows(0, 2);
        b.state("a", 1);
        says(case(&b), words);
        assert!(matches!(b.ledger.broken(), Some(LedgerFault::Destination(_))));
        // Nothing is accepted after it, however right it is.
        says(b.through(1, [2, 0]), words);
    }
}

#[test]
fn sums_that_overflow_are_no_way_around() {
    let b = bench("append");
    b.rows(0, 2);
    b.state("a", 1);
    let totals = vec![StreamTotal { stream: 0, written: u64::MAX, rejected: 3, bytes: 0 }];
    says(b.commit(Commit::Through { checkpoint: 1, totals }), "given 2 rows");
}

#[test]
fn echoes_confirm_their_stream_only() {
    let b = bench("append");
    b.rows(0, 2);
    let a = b.state("a", 1);
    b.rows(1, 3);
    let other = b.state("b", 1);
    b.echo(other, Some(3.0)).unwrap();
    assert_eq!(b.kept(), ["b=1"]);
    says(b.commit(Commit::Finished), "without acknowledging the last state of stream a");
    let b = bench("append");
    b.rows(0, 2);
    assert_eq!(b.state("a", 1), a);
    b.echo(a, Some(2.0)).unwrap();
    b.commit(Commit::Finished).unwrap();
    b.close().unwrap();
}

#[test]
fn an_echo_with_other_counts_is_refused_and_a_skipped_state_is_fine() {
    let b = bench("append");
    b.rows(0, 2);
    b.state("a", 1);
    b.rows(0, 3);
    let second = b.state("a", 2);
    says(b.echo(second, Some(4.0)), "with 4 records");
    for said in [3.0, 5.0] {
        let b = bench("append");
        b.rows(0, 2);
        b.state("a", 1);
        b.rows(0, 3);
        b.echo(b.state("a", 2), Some(said)).unwrap();
        assert_eq!(b.kept(), ["a=2"]);
    }
}

#[test]
fn the_sources_own_counts_are_checked() {
    let b = bench("append");
    b.rows(0, 2);
    let stats = |n: u32| format!(r#","sourceStats":{{"recordCount":{n}.0}}"#);
    b.state_with("a", 1, &stats(2)).unwrap();
    b.state_with("a", 2, &stats(0)).unwrap();
    b.rows(0, 5);
    let failure = b.state_with("a", 3, &stats(6)).unwrap_err();
    assert!(failure.message.contains("sent 6 records since its last state, and 5 arrived"));
    assert!(matches!(b.ledger.broken(), Some(LedgerFault::Source(_))));
}

#[test]
fn states_of_replaced_streams_wait_for_the_end() {
    let b = bench("overwrite");
    b.rows(0, 2);
    let first = b.state("a", 1);
    b.through(first, [2, 0]).unwrap();
    assert!(b.kept().is_empty());
    let last = b.ledger.last_checkpoint();
    b.through(last, [2, 0]).unwrap();
    assert!(b.kept().is_empty());
    b.close().unwrap();
    assert_eq!(b.kept(), ["a=1"]);
}

#[test]
fn a_sync_does_not_close_over_an_open_checkpoint() {
    let b = bench("append");
    b.rows(0, 2);
    let first = b.state("a", 1);
    b.through(first, [2, 0]).unwrap();
    b.ledger.last_checkpoint();
    says(b.close(), "without committing checkpoint 2");
}

#[test]
fn a_store_that_fails_is_nobody_elses_fault() {
    let b = failing("append", true);
    b.rows(0, 2);
    let first = b.state("a", 1);
    says(b.through(first, [2, 0]), "disk full");
    assert!(matches!(b.ledger.broken(), Some(LedgerFault::Store(_))));
}

#[test]
fn a_state_of_an_unknown_stream_breaks_the_sync() {
    let b = bench("append");
    assert!(b.state_with("c", 1, "").is_err());
    assert!(matches!(b.ledger.broken(), Some(LedgerFault::Source(_))));
}

#[test]
fn rows_are_counted_per_stream_whatever_the_order_of_echoes() {
    let b = bench("append");
    b.rows(0, 2);
    b.state("a", 1);
    b.rows(1, 3);
    b.rows(0, 1);
    let second = b.state("b", 1);
    b.rows(0, 4);
    let third = b.state("a", 2);
    let committed = || [0, 1].map(|stream| b.ledger.counters.streams[stream].get().committed);
    b.echo(second, Some(3.0)).unwrap();
    assert_eq!(committed(), [0, 3]);
    b.echo(third, Some(5.0)).unwrap();
    assert_eq!(committed(), [7, 3]);
    b.rows(1, 10);
    let fourth = b.state("b", 2);
    b.through(fourth, [7, 13]).unwrap();
    assert_eq!(committed(), [7, 13]);
}

#[test]
fn of_states_kept_back_the_last_of_each_stream_is_stored() {
    let b = bench("overwrite");
    for at in 1..=20 {
        let id = b.state(if at % 2 == 0 { "a" } else { "b" }, at);
        b.through(id, [0, 0]).unwrap();
    }
    assert!(b.ledger.lock().deferred.len() <= 7);
    b.close().unwrap();
    assert_eq!(b.kept(), ["b=19", "a=20"]);
}

#[test]
fn states_of_a_full_read_are_marked() {
    let b = of(&[("full_refresh", "append"), ("incremental", "append")], false);
    b.rows(0, 2);
    b.state("a", 1);
    let last = b.state("b", 1);
    b.through(last, [2, 0]).unwrap();
    assert_eq!(b.kept(), ["a=1 (full)", "b=1"]);
    b.close().unwrap();
}

#[test]
fn states_do_not_wait_without_measure() {
    let b = bench("append");
    let large = "x".repeat(16 << 20);
    let more = format!(r#","x":"{large}""#);
    let given = (0..20).map(|at| b.state_with("a", at, &more)).take_while(Result::is_ok).count();
    assert_eq!(given, WAITING_BYTES / large.len() - 1);
    assert!(matches!(b.ledger.broken(), Some(LedgerFault::Destination(_))));
}

#[test]
fn what_was_confirmed_before_a_lie_is_stored() {
    let b = bench("append");
    b.rows(0, 2);
    let first = b.state("a", 1);
    b.rows(1, 2);
    let second = b.state("b", 1);
    let lie = Stats { records: Some(7.0), rejected: None };
    let commits = vec![
        Commit::Echo { checkpoint: first, stats: None, whole: true },
        Commit::Echo { checkpoint: second, stats: Some(lie), whole: true },
    ];
    says(b.runtime.block_on(b.ledger.committed(commits)), "with 7 records");
    assert_eq!(b.kept(), ["a=1"]);
    assert!(matches!(b.ledger.broken(), Some(LedgerFault::Destination(_))));
}

/// Rows rejected, as a destination on stdio says it.
fn rejecting(b: &Bench, checkpoint: u64, records: f64, rejected: f64) {
    let stats = Some(Stats { records: Some(records), rejected: Some(rejected) });
    b.commit(Commit::Echo { checkpoint, stats, whole: true }).unwrap();
}

#[test]
fn what_a_destination_on_stdio_rejects_is_not_committed() {
    let b = bench("append");
    let counted = |stream: usize| {
        let counted = b.ledger.counters.streams[stream].get();
        [counted.committed, counted.rejected]
    };
    b.rows(0, 5);
    let first = b.state("a", 1);
    rejecting(&b, first, 3.0, 2.0);
    assert_eq!(counted(0), [3, 2]);
    // Two states at once: the counts of both.
    b.rows(0, 4);
    b.state("a", 2);
    b.rows(0, 4);
    let third = b.state("a", 3);
    rejecting(&b, third, 7.0, 1.0);
    assert_eq!(counted(0), [10, 3]);
    b.rows(1, 1);
    let last = b.state("b", 1);
    b.echo(last, Some(1.0)).unwrap();
    b.commit(Commit::Finished).unwrap();
    assert_eq!((counted(0), counted(1)), ([10, 3], [1, 0]), "the end makes none of them durable");
    assert_eq!(b.ledger.counters.checkpoints(), (4, 4));
    let of = |stream: usize| {
        let counted = b.ledger.counters.streams[stream].get();
        [counted.checkpoints, counted.checkpoints_committed]
    };
    assert_eq!((of(0), of(1)), ([3, 3], [1, 1]));
}

#[test]
fn what_is_rejected_under_a_global_state_is_nobodys_where_there_are_several() {
    let global = r#"{"type":"GLOBAL","global":{"stream_states":[{"stream_descriptor":{"name":"a"},"stream_state":1}]},"sourceStats":{"recordCount":5,"rejectedRecordCount":3}}"#;
    let state = || {
        let state = StateMessage::from_airbyte(Json::parse(global).unwrap()).unwrap();
        Arc::new(state)
    };
    let b = bench("append");
    let counters = &b.ledger.counters;
    b.rows(0, 5);
    // Only `a` had any.
    let first = b.ledger.checkpoint(&state()).unwrap();
    rejecting(&b, first, 4.0, 1.0);
    let a = counters.streams[0].get();
    assert_eq!([a.committed, a.rejected, a.checkpoints], [4, 1, 1]);
    assert_eq!(counters.loose_rejected(), (0, 3), "the source does not say of which");
    b.rows(0, 2);
    b.rows(1, 3);
    let second = b.ledger.checkpoint(&state()).unwrap();
    rejecting(&b, second, 3.0, 2.0);
    assert_eq!(counters.loose_rejected(), (2, 6));
    assert_eq!(counters.streams[0].get().rejected, 1);
    assert!(counters.streams.iter().all(|s| s.state_stored_at().is_some()));
}

#[test]
fn the_time_of_a_state_is_that_of_its_storing() {
    let b = bench("overwrite");
    let stored = || b.ledger.counters.streams[0].state_stored_at();
    b.rows(0, 1);
    let first = b.state("a", 1);
    b.through(first, [1, 0]).unwrap();
    assert_eq!(stored(), None, "it is kept back");
    let last = b.ledger.last_checkpoint();
    b.through(last, [1, 0]).unwrap();
    b.close().unwrap();
    assert!(stored().is_some());
}
