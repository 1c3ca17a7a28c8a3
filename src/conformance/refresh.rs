//! The rules of what becomes of rows that are there already: modes, generations, interruptions.

use super::compare::Differences;
use super::play::{End, Step, write};
use super::report::Findings;
use super::rule::{
    REFRESH_CLEAR, REFRESH_RESUME, REFRESH_RETAIN, REFRESH_TRUNCATE, Rule, WRITE_APPEND,
    WRITE_DEDUP, WRITE_EMPTY, WRITE_INTERRUPTED, WRITE_OVERWRITE,
};
use super::tried::{Stream, Tried, cannot, failed, numbers};
use crate::protocol::DestinationSyncMode;

use DestinationSyncMode::{Append, AppendDedup, Overwrite};

/// One stream that is written twice.
struct Twice {
    rule: Rule,
    name: &'static str,
    mode: DestinationSyncMode,
    /// Generation and minimum generation of the second write; the first has 1 and 0, or 1 and 1
    /// where it replaces.
    second: (u64, u64),
    rows: [Vec<String>; 2],
    /// What is there afterwards.
    expected: Vec<String>,
}

fn cases() -> Vec<Twice> {
    let (one, two) = (|| numbers(0..5, "first"), || numbers(3..9, "second"));
    let both = [one(), two()].concat();
    let case = |rule, name, mode, second, rows, expected| Twice {
        rule,
        name,
        mode,
        second,
        rows,
        expected,
    };
    // Of the same key the last counts, within a write and from write to write.
    let changed = [numbers(4..6, "earlier"), numbers(3..9, "second")].concat();
    let merged = [numbers(0..3, "first"), numbers(3..9, "second")].concat();
    vec![
        case(WRITE_APPEND, "appended", Append, (1, 0), [one(), two()], both.clone()),
        case(WRITE_OVERWRITE, "replaced", Overwrite, (2, 2), [one(), two()], two()),
        case(WRITE_DEDUP, "merged", AppendDedup, (1, 0), [one(), changed], merged),
        case(WRITE_EMPTY, "idle", Append, (1, 0), [one(), Vec::new()], one()),
        case(REFRESH_TRUNCATE, "truncated", Append, (2, 2), [one(), two()], two()),
        case(REFRESH_RETAIN, "retained", Append, (2, 0), [one(), two()], both),
        case(REFRESH_CLEAR, "cleared", Overwrite, (2, 2), [one(), Vec::new()], Vec::new()),
    ]
}

/// Whether generations mean something to it: to a component they do, by its contract.
fn knows_generations(tried: &Tried<'_>) -> bool {
    tried.spec.supports_refreshes() || tried.trial.executor.component().is_some()
}

/// Two writes of streams in every mode, and what is there afterwards.
pub(super) async fn modes(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("two writes in every mode");
    let mut cases = cases();
    cases.retain(|case| {
        if !tried.supports(case.mode) {
            cannot(findings, case.rule, case.mode);
            return false;
        }
        let generations = [REFRESH_TRUNCATE, REFRESH_RETAIN].contains(&case.rule);
        if generations && !knows_generations(tried) {
            findings.skip(case.rule, "it does not say supportsRefreshes");
            return false;
        }
        true
    });
    findings.begin();
    for turn in 0..2usize {
        let streams: Vec<Stream> = cases
            .iter()
            .map(|case| {
                let first = (1, u64::from(case.mode == Overwrite));
                let (generation, minimum) = if turn == 0 { first } else { case.second };
                let mut stream = Stream::numbers(case.name, case.mode);
                stream.key = case.mode == AppendDedup;
                stream.in_generation(generation, minimum)
            })
            .collect();
        let mut steps = Vec::new();
        for (index, case) in (0u32..).zip(&cases) {
            if let Some(rows) = case.rows.get(turn).filter(|rows| !rows.is_empty()) {
                steps.push(Step::Rows(index, rows.clone()));
            }
            steps.push(Step::State(index, turn as u64));
            steps.push(Step::Complete(index));
        }
        let played = write(tried.trial, &tried.catalog(&streams, 10 + turn as u64), steps).await;
        if let Some(failed) = failed(&played) {
            for case in &cases {
                findings.judge(case.rule, vec![format!("write {}: {failed}", turn + 1)]);
            }
            return;
        }
    }
    for case in &cases {
        if case.rule == REFRESH_CLEAR && findings.failed(WRITE_OVERWRITE) {
            findings.skip(case.rule, "WRITE_OVERWRITE does not hold");
            continue;
        }
        findings.judge_back(case.rule, tried.differs(case.name, &case.expected).await);
    }
}

/// An overwrite that is interrupted, and goes on.
pub(super) async fn interrupted(tried: &Tried<'_>, findings: &mut Findings) {
    if !tried.supports(Overwrite) {
        cannot(findings, WRITE_INTERRUPTED, Overwrite);
        cannot(findings, REFRESH_RESUME, Overwrite);
        return;
    }
    tried.trial.progress.tries("an overwrite that is interrupted");
    findings.begin();
    let name = "interrupted";
    // Who does not keep the rows of an incomplete generation is given all of them again.
    let keeps = tried.spec.supports_refreshes();
    let stream = |generation| {
        let stream = Stream::numbers(name, Overwrite).in_generation(generation, generation);
        Stream { whole: !keeps, ..stream }
    };
    let (old, first, rest) =
        (numbers(0..20, "old"), numbers(100..120, "new"), numbers(120..130, "new"));
    let begun = vec![Step::Rows(0, old.clone()), Step::State(0, 1), Step::Complete(0)];
    let played = write(tried.trial, &tried.catalog(&[stream(1)], 20), begun).await;
    if let Some(failed) = failed(&played) {
        findings.judge(WRITE_INTERRUPTED, vec![failed]);
        return;
    }
    let steps =
        vec![Step::Rows(0, first.clone()), Step::State(0, 2), Step::WhenConfirmed(End::Fail)];
    let broken = write(tried.trial, &tried.catalog(&[stream(2)], 21), steps).await;
    // The old rows are there; whether those of the new generation are shown is not asked.
    if !findings.judge_back(
        WRITE_INTERRUPTED,
        tried.differs(name, &old).await.map(Differences::without_more),
    ) {
        findings.skip(REFRESH_RESUME, "WRITE_INTERRUPTED does not hold");
        return;
    }
    tried.trial.progress.tries("an overwrite that goes on");
    findings.begin();
    let goes_on = keeps && broken.confirmed_open;
    let again = if goes_on { rest.clone() } else { [first.clone(), rest.clone()].concat() };
    // A read that begins again has a generation of its own, where rows stay.
    let generation = if keeps && !goes_on { 3 } else { 2 };
    let steps = vec![Step::Rows(0, again), Step::State(0, 3), Step::Complete(0)];
    let resumed = write(tried.trial, &tried.catalog(&[stream(generation)], 22), steps).await;
    if let Some(failed) = failed(&resumed) {
        findings.judge(REFRESH_RESUME, vec![failed]);
    } else {
        findings.judge_back(REFRESH_RESUME, tried.differs(name, &[first, rest].concat()).await);
    }
}
