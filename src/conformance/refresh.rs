//! The rules of what becomes of rows that are there already: modes, generations, interruptions.

use super::compare::Differences;
use super::play::{End, Step, write};
use super::report::Findings;
use super::rule::{
    REFRESH_CLEAR, REFRESH_RESUME, REFRESH_RETAIN, REFRESH_TRUNCATE, Rule, WRITE_APPEND,
    WRITE_DEDUP, WRITE_DURABLE, WRITE_EMPTY, WRITE_INTERLEAVED, WRITE_INTERRUPTED, WRITE_OVERWRITE,
};
use super::tried::{Stream, Tried, failed, numbers, parts, unlisted};
use crate::protocol::DestinationSyncMode;

use DestinationSyncMode::{Append, AppendDedup, Overwrite};

/// One stream that is written twice.
struct Twice {
    rule: Rule,
    name: &'static str,
    mode: DestinationSyncMode,
    key: &'static [&'static str],
    /// Generation and minimum generation of the second write; the first has 1 and 0, or 1 and 1
    /// where it replaces.
    second: (u64, u64),
    rows: [Vec<String>; 2],
    /// What is there afterwards.
    expected: Vec<String>,
}

impl Twice {
    fn named(&self, ending: &str) -> String {
        format!("{}{ending}", self.name)
    }
}

fn cases() -> Vec<Twice> {
    let (one, two) = (|| numbers(0..5, "first"), || numbers(3..9, "second"));
    let both = [one(), two()].concat();
    let case = |rule, name, mode, second, rows, expected| Twice {
        rule,
        name,
        mode,
        key: &[],
        second,
        rows,
        expected,
    };
    // Of the same key the last counts, within a write and from write to write.
    let changed = [numbers(4..6, "earlier"), numbers(3..9, "second")].concat();
    let merged = [numbers(0..3, "first"), numbers(3..9, "second")].concat();
    // Of a key of two columns too, where the last is the smallest, or nothing.
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let pairs = [
        lines(&[
            r#"{"part":"a","id":1,"value":10}"#,
            r#"{"part":"b","id":1,"value":20}"#,
            r#"{"part":"a","id":2,"value":30}"#,
            r#"{"part":"b","id":2,"value":40}"#,
        ]),
        lines(&[
            r#"{"part":"a","id":1,"value":null}"#,
            r#"{"part":"a","id":2,"value":90}"#,
            r#"{"part":"a","id":2,"value":5}"#,
        ]),
    ];
    let paired = lines(&[
        r#"{"part":"a","id":1,"value":null}"#,
        r#"{"part":"b","id":1,"value":20}"#,
        r#"{"part":"a","id":2,"value":5}"#,
        r#"{"part":"b","id":2,"value":40}"#,
    ]);
    vec![
        case(WRITE_APPEND, "appended", Append, (1, 0), [one(), two()], both.clone()),
        case(WRITE_OVERWRITE, "replaced", Overwrite, (2, 2), [one(), two()], two()),
        Twice {
            key: &["id"],
            ..case(WRITE_DEDUP, "merged", AppendDedup, (1, 0), [one(), changed], merged)
        },
        Twice {
            key: &["part", "id"],
            ..case(WRITE_DEDUP, "paired", AppendDedup, (1, 0), pairs, paired)
        },
        case(WRITE_EMPTY, "idle", Append, (1, 0), [one(), Vec::new()], one()),
        case(REFRESH_TRUNCATE, "truncated", Append, (2, 2), [one(), two()], two()),
        Twice {
            key: &["id"],
            ..case(REFRESH_TRUNCATE, "truncated_keys", AppendDedup, (2, 2), [one(), two()], two())
        },
        case(REFRESH_RETAIN, "retained", Append, (2, 0), [one(), two()], both),
        case(REFRESH_CLEAR, "cleared", Overwrite, (2, 2), [one(), Vec::new()], Vec::new()),
        case(REFRESH_CLEAR, "cleared_append", Append, (2, 2), [one(), Vec::new()], Vec::new()),
    ]
}

/// Whether generations mean something to it: to a component they do, by its contract.
fn knows_generations(tried: &Tried<'_>) -> bool {
    tried.spec.supports_refreshes() || tried.trial.executor.component().is_some()
}

/// The rule that one rests on, where it is of the same machinery.
fn rests_on(rule: Rule) -> Option<Rule> {
    if [WRITE_EMPTY, REFRESH_RETAIN].contains(&rule) {
        return Some(WRITE_APPEND);
    }
    [REFRESH_TRUNCATE, REFRESH_CLEAR].contains(&rule).then_some(WRITE_OVERWRITE)
}

/// Writes streams twice, with names of this ending; why that did not end well.
async fn written(tried: &Tried<'_>, cases: &[&Twice], ending: &str) -> Option<String> {
    for turn in 0..2usize {
        let streams: Vec<Stream> = cases
            .iter()
            .map(|case| {
                let first = (1, u64::from(case.mode == Overwrite));
                let (generation, minimum) = if turn == 0 { first } else { case.second };
                let mut stream = Stream::numbers(&case.named(ending), case.mode);
                stream.key = case.key;
                stream.in_generation(generation, minimum)
            })
            .collect();
        let mut steps = Vec::new();
        for (index, case) in (0u32..).zip(cases) {
            let rows = case.rows.get(turn).map_or(&[][..], Vec::as_slice);
            // In two parts: who replaces with each of them loses the first.
            let number = 10 * turn as u64;
            steps.extend(parts(index, rows, rows.len() / 2, [number, number + 1]));
            steps.push(Step::State(index, number + 9));
            steps.push(Step::Complete(index));
        }
        let played = write(tried.trial, &tried.catalog(&streams, 10 + turn as u64), steps).await;
        if let Some(failed) = failed(&played) {
            return Some(format!("write {}: {failed}", turn + 1));
        }
    }
    None
}

/// A write of one stream without a row; what is wrong with it.
async fn nothing(tried: &Tried<'_>) -> Option<String> {
    let stream = Stream::numbers("empty_stream", tried.plain_mode());
    let steps = vec![Step::State(0, 1), Step::Complete(0)];
    failed(&write(tried.trial, &tried.catalog(&[stream], 9), steps).await)
}

/// Two writes of streams in every mode, and what is there afterwards.
pub(super) async fn modes(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("two writes in every mode");
    findings.begin();
    let mut cases = cases();
    if let Some(fault) = nothing(tried).await {
        findings.judge(WRITE_EMPTY, vec![fault]);
        findings.skip(REFRESH_CLEAR, "WRITE_EMPTY does not hold");
        cases.retain(|case| ![WRITE_EMPTY, REFRESH_CLEAR].contains(&case.rule));
    }
    let mut cannot = Vec::new();
    cases.retain(|case| {
        let why = if !tried.supports(case.mode) {
            unlisted(case.mode)
        } else if case.mode != Overwrite && case.second.0 > 1 && !knows_generations(tried) {
            "it does not say supportsRefreshes".to_owned()
        } else {
            return true;
        };
        cannot.push((case.rule, why));
        false
    });
    for (rule, why) in cannot {
        if !findings.has(rule) && !cases.iter().any(|case| case.rule == rule) {
            findings.skip(rule, why);
        }
    }
    let failed = written(tried, &cases.iter().collect::<Vec<_>>(), "").await;
    let mut alone = false;
    for of_rule in cases.chunk_by(|a, b| a.rule == b.rule) {
        let Some(rule) = of_rule.first().map(|case| case.rule) else { continue };
        // Who does not replace generations does not clear them, and who does not merge does not
        // merge in a new one.
        let void = |case: &Twice| match case.mode {
            Append => rule == REFRESH_CLEAR && findings.failed(REFRESH_TRUNCATE),
            AppendDedup => rule == REFRESH_TRUNCATE && findings.failed(WRITE_DEDUP),
            _ => false,
        };
        let of_rule: Vec<&Twice> = of_rule.iter().filter(|case| !void(case)).collect();
        if of_rule.is_empty() {
            findings.skip(rule, super::report::RESTS);
            continue;
        }
        if let Some(before) = rests_on(rule).filter(|before| findings.failed(*before)) {
            findings.skip(rule, format!("{} does not hold", before.code));
            continue;
        }
        let mut ending = "";
        if failed.is_some() {
            // Which of them it is that it cannot do.
            ending = "_alone";
            if let Some(fault) = written(tried, &of_rule, ending).await {
                findings.judge(rule, vec![fault]);
                alone = true;
                continue;
            }
        }
        let names: Vec<String> = of_rule.iter().map(|case| case.named(ending)).collect();
        let expected = of_rule.iter().map(|case| case.expected.as_slice());
        let streams: Vec<(&str, &[String])> =
            names.iter().map(String::as_str).zip(expected).collect();
        tried.judge_streams(findings, rule, &streams).await;
    }
    if let Some(failed) = failed.filter(|_| !alone) {
        let what = "streams of several modes in one write, which it does one by one";
        findings.judge(WRITE_INTERLEAVED, vec![format!("{what}: {failed}")]);
    }
}

/// An overwrite that is interrupted, and goes on.
pub(super) async fn interrupted(tried: &Tried<'_>, findings: &mut Findings) {
    if !tried.supports(Overwrite) {
        findings.skip_all(&[WRITE_INTERRUPTED, REFRESH_RESUME], &unlisted(Overwrite));
        return;
    }
    if findings.failed(WRITE_OVERWRITE) {
        findings.skip_all(&[WRITE_INTERRUPTED, REFRESH_RESUME], "WRITE_OVERWRITE does not hold");
        return;
    }
    tried.trial.progress.tries("an overwrite that is interrupted");
    findings.begin();
    let (name, truncated, incomplete) =
        ("interrupted", "interrupted_truncate", "interrupted_incomplete");
    // Who does not keep the rows of an incomplete generation is given all of them again.
    let keeps = tried.spec.supports_refreshes();
    let stream = |name: &str, mode, generation| {
        let stream = Stream::numbers(name, mode).in_generation(generation, generation);
        Stream { whole: !keeps, ..stream }
    };
    // A refresh in mode append replaces as well.
    let refreshes = keeps
        && tried.supports(Append)
        && ![WRITE_APPEND, REFRESH_TRUNCATE].iter().any(|rule| findings.failed(*rule));
    let names = [Some((name, Overwrite)), refreshes.then_some((truncated, Append))];
    let streams = |generation| -> Vec<Stream> {
        names.iter().flatten().map(|(name, mode)| stream(name, *mode, generation)).collect()
    };
    let (old, first, rest) =
        (numbers(0..20, "old"), numbers(100..123, "new"), numbers(123..134, "new"));
    let mut begun = streams(1);
    begun.push(stream(incomplete, Overwrite, 1));
    let steps = (0u32..).zip(&begun).flat_map(|(index, _)| {
        [Step::Rows(index, old.clone()), Step::State(index, 1), Step::Complete(index)]
    });
    let played = write(tried.trial, &tried.catalog(&begun, 20), steps.collect()).await;
    if let Some(failed) = failed(&played) {
        findings.judge(WRITE_INTERRUPTED, vec![failed]);
        return;
    }
    // The input ends, and the stream is said to be incomplete: it failed at its source. What the
    // destination says of that is its own.
    let steps = vec![Step::Rows(0, first.clone()), Step::State(0, 2), Step::Incomplete(0)];
    let second = [stream(incomplete, Overwrite, 2)];
    write(tried.trial, &tried.catalog(&second, 21), steps).await;
    let mut steps: Vec<Step> = (0u32..)
        .zip(names.iter().flatten())
        .flat_map(|(index, _)| [Step::Rows(index, first.clone()), Step::State(index, 2)])
        .collect();
    steps.push(Step::WhenConfirmed(End::Fail));
    let broken = write(tried.trial, &tried.catalog(&streams(2), 21), steps).await;
    // The old rows are there; whether those of the new generation are shown is not asked.
    let shown = names.iter().flatten().map(|(name, _)| *name).chain([incomplete]);
    let differs = tried.differ(shown.map(|name| (name, old.as_slice()))).await;
    let differs = differs.map(Differences::without_more);
    if !tried.judge(findings, WRITE_INTERRUPTED, differs, &[&old]).await {
        findings.skip(REFRESH_RESUME, "WRITE_INTERRUPTED does not hold");
        return;
    }
    if findings.failed(WRITE_DURABLE) {
        findings.skip(REFRESH_RESUME, "WRITE_DURABLE does not hold");
        return;
    }
    tried.trial.progress.tries("an overwrite that goes on");
    findings.begin();
    let goes_on = keeps && broken.confirmed_open;
    let again = if goes_on { rest.clone() } else { [first.clone(), rest.clone()].concat() };
    // A read that begins again has a generation of its own, where rows stay.
    let generation = if keeps && !goes_on { 3 } else { 2 };
    let streams = streams(generation);
    let steps = (0u32..).zip(&streams).flat_map(|(index, _)| {
        [Step::Rows(index, again.clone()), Step::State(index, 3), Step::Complete(index)]
    });
    let resumed = write(tried.trial, &tried.catalog(&streams, 22), steps.collect()).await;
    if let Some(failed) = failed(&resumed) {
        findings.judge(REFRESH_RESUME, vec![failed]);
        return;
    }
    let whole = [first, rest].concat();
    let streams: Vec<(&str, &[String])> =
        streams.iter().map(|stream| (stream.name.as_str(), whole.as_slice())).collect();
    tried.judge_streams(findings, REFRESH_RESUME, &streams).await;
}
