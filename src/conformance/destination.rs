//! The rules of destinations, on what is read back of what they wrote.

use serde_json::json;

use super::compare::Differences;
use super::play::{End, Played, Step, write};
use super::read_back::ReadBackError;
use super::report::Findings;
use super::rule::{
    WRITE_BAD_ROW, WRITE_BIG_ROW, WRITE_COMMITS, WRITE_COUNTS, WRITE_DURABLE, WRITE_ENDS,
    WRITE_GLOBAL, WRITE_INTERLEAVED, WRITE_INTERRUPTED, WRITE_NAMES, WRITE_STATE_WHOLE,
    WRITE_UNLISTED, WRITE_VALUES,
};
use super::scenario::{Scenario, scenarios};
use super::tried::{Stream, Tried, failed, numbers};
use super::{Trial, answered, refresh};
use crate::executor::ExecutorError;
use crate::protocol::{DestinationSyncMode, Specification};

/// Bytes of the big row.
const BIG: usize = 8 << 20;

pub(super) async fn rules(trial: &Trial<'_>, findings: &mut Findings, spec: &Specification) {
    let back = trial.options.read_back.as_ref();
    let tried = Tried { trial, spec, back, namespace: trial.options.namespace.clone() };
    if !values(&tried, findings).await {
        return;
    }
    unlisted(&tried, findings).await;
    if back.is_none() {
        global(&tried, findings).await;
        for rule in super::rule::RULES {
            let needs = rule.code.starts_with("WRITE_") || rule.code.starts_with("REFRESH_");
            if needs && !findings.has(*rule) {
                findings.skip(*rule, "nothing is read back; say how with --read-back");
            }
        }
        return;
    }
    refresh::modes(&tried, findings).await;
    interleaved(&tried, findings).await;
    if findings.failed(WRITE_INTERLEAVED) {
        findings.skip(WRITE_GLOBAL, "WRITE_INTERLEAVED does not hold");
    } else {
        global(&tried, findings).await;
    }
    named(&tried, findings).await;
    big(&tried, findings).await;
    bad(&tried, findings).await;
    durable(&tried, findings).await;
    if findings.failed(super::rule::WRITE_OVERWRITE) {
        findings.skip(WRITE_INTERRUPTED, "WRITE_OVERWRITE does not hold");
    } else {
        refresh::interrupted(&tried, findings).await;
    }
}

/// An acknowledgement that should not be is a fault of the program's protocol.
fn misconfirmed(played: &Played) -> Option<String> {
    let of = |mut error: &ExecutorError| {
        while let ExecutorError::Fenced { error: inner, .. }
        | ExecutorError::Contained { error: inner, .. } = error
        {
            error = inner;
        }
        match error {
            ExecutorError::Protocol(text) if text.contains("acknowledged") => Some(text.clone()),
            _ => None,
        }
    };
    played.ended.as_ref().and_then(|ended| ended.as_ref().err()).and_then(of)
}

/// Why a write did not end well, but for its confirmations.
fn ended_ill(played: &Played) -> Option<String> {
    failed(played).filter(|_| misconfirmed(played).is_none())
}

/// What is wrong with the confirmations of a write that ended well otherwise.
fn unconfirmed(played: &Played) -> Vec<String> {
    let mut faults: Vec<String> = misconfirmed(played).into_iter().collect();
    faults.extend(played.confirmed.faults.clone());
    if faults.is_empty() && played.confirmed.through < played.given {
        let (through, given) = (played.confirmed.through, played.given);
        faults.push(format!("it ended well, and confirmed {through} of {given} checkpoints"));
    }
    faults
}

/// That states came back without all that they had.
fn lacking(played: &Played) -> Option<String> {
    let (lacking, echoes) = (played.confirmed.lacking, played.confirmed.echoes);
    let fault = format!("{lacking} of {echoes} states came back without some of their members");
    (lacking > 0).then_some(fault)
}

/// The scenarios in one write: how it ended, what it confirmed and counted, and what is there.
async fn values(tried: &Tried<'_>, findings: &mut Findings) -> bool {
    tried.trial.progress.tries("writing 22 scenarios");
    findings.begin();
    let scenarios = scenarios();
    let keyed = tried.supports(DestinationSyncMode::AppendDedup);
    let streams: Vec<Stream> = scenarios.iter().map(|s| scenario_stream(tried, s, keyed)).collect();
    let mut steps = Vec::new();
    for (index, scenario) in (0u32..).zip(&scenarios) {
        steps.push(Step::Rows(index, scenario.rows.clone()));
        steps.push(Step::State(index, u64::from(index)));
        steps.push(Step::Complete(index));
    }
    let played = write(tried.trial, &tried.catalog(&streams, 1), steps).await;
    if !findings.judge(WRITE_ENDS, ended_ill(&played).into_iter().collect()) {
        return false;
    }
    if !findings.judge(WRITE_COMMITS, unconfirmed(&played)) {
        return false;
    }
    counted(findings, &scenarios, &played);
    if played.confirmed.echoes == 0 {
        findings.skip(WRITE_STATE_WHOLE, "a component is not given states, and echoes none");
    } else {
        findings.judge(WRITE_STATE_WHOLE, lacking(&played).into_iter().collect());
    }
    if tried.back.is_some() {
        tried.trial.progress.tries("reading the scenarios back");
        findings.begin();
        let mut differs = Ok(Differences::default());
        for scenario in &scenarios {
            let kept = scenario.kept.as_ref().filter(|_| keyed);
            let rows: Vec<String> = match kept {
                Some(kept) => kept.iter().filter_map(|n| scenario.rows.get(*n).cloned()).collect(),
                None => scenario.rows.clone(),
            };
            differs = added(differs, tried.differs(scenario.name, &rows).await);
        }
        // Who asked for it is not told that all is well where nothing was looked at.
        let faults = differs.map_or_else(|error| vec![error.to_string()], Differences::all);
        findings.judge(WRITE_VALUES, faults);
    }
    true
}

/// What differs in both, unless one cannot be read back.
fn added(
    all: Result<Differences, ReadBackError>,
    more: Result<Differences, ReadBackError>,
) -> Result<Differences, ReadBackError> {
    Ok(all?.and(more?))
}

/// In a mode that keeps one row a key only where the scenario is of keys.
fn scenario_stream(tried: &Tried<'_>, scenario: &Scenario, keyed: bool) -> Stream {
    let dedup = keyed && scenario.kept.as_ref().is_some_and(|k| k.len() < scenario.rows.len());
    Stream {
        name: scenario.name.to_owned(),
        schema: scenario.schema(),
        mode: if dedup { DestinationSyncMode::AppendDedup } else { tried.plain_mode() },
        key: dedup,
        whole: false,
        generation: 1,
        minimum: 0,
    }
}

fn counted(findings: &mut Findings, scenarios: &[Scenario], played: &Played) {
    if played.confirmed.totals.is_empty() {
        findings.skip(WRITE_COUNTS, "it gives no counts");
        return;
    }
    let mut faults = Vec::new();
    for (stream, given) in &played.rows {
        let name = scenarios.get(*stream as usize).map_or("", |scenario| scenario.name);
        match played.confirmed.totals.get(stream) {
            Some((written, rejected)) if written + rejected != *given => faults.push(format!(
                "{name}: it was given {given} rows, and wrote {written} and rejected {rejected}"
            )),
            Some((_, rejected)) if *rejected > 0 => {
                faults.push(format!("{name}: it rejected {rejected} rows that fit the schema"));
            }
            Some(_) => {}
            None => faults.push(format!("{name}: it gives no counts of it")),
        }
    }
    faults.sort();
    findings.judge(WRITE_COUNTS, faults);
}

/// Streams in turns, with states of both.
async fn global(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("states of all streams");
    findings.begin();
    let names = ["global_a", "global_b"];
    let streams: Vec<Stream> =
        names.iter().map(|name| Stream::numbers(name, tried.plain_mode())).collect();
    let mut steps = Vec::new();
    for turn in 0..5u64 {
        for (index, name) in (0u32..).zip(names) {
            steps.push(Step::Rows(index, numbers(turn * 7..turn * 7 + 7, name)));
        }
        steps.push(Step::Global(turn));
    }
    steps.extend((0u32..).take(names.len()).map(Step::Complete));
    steps.push(Step::Global(99));
    let played = write(tried.trial, &tried.catalog(&streams, 8), steps).await;
    let mut faults = ended_ill(&played).map_or_else(|| unconfirmed(&played), |fault| vec![fault]);
    // Who drops members of every state does so here too.
    faults.extend(lacking(&played).filter(|_| !findings.failed(WRITE_STATE_WHOLE)));
    if !faults.is_empty() || tried.back.is_none() {
        findings.judge(WRITE_GLOBAL, faults);
        return;
    }
    let mut differs = Ok(Differences::default());
    for name in names {
        differs = added(differs, tried.differs(name, &numbers(0..35, name)).await);
    }
    findings.judge_back(WRITE_GLOBAL, differs);
}

/// Streams and states in turns.
async fn interleaved(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("streams that take turns");
    findings.begin();
    let names = ["turns_a", "turns_b", "turns_c"];
    let streams: Vec<Stream> =
        names.iter().map(|name| Stream::numbers(name, tried.plain_mode())).collect();
    let mut steps = Vec::new();
    let mut rows: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for turn in 0..20u64 {
        for (index, name) in (0u32..).zip(names) {
            let some = numbers(turn * 7..turn * 7 + 7, name);
            rows[index as usize].extend(some.iter().cloned());
            steps.push(Step::Rows(index, some));
            if turn % 3 == u64::from(index) {
                steps.push(Step::State(index, turn));
            }
        }
    }
    for index in (0u32..).take(names.len()) {
        steps.push(Step::State(index, 99));
        steps.push(Step::Complete(index));
    }
    let played = write(tried.trial, &tried.catalog(&streams, 2), steps).await;
    if let Some(failed) = failed(&played) {
        findings.judge(WRITE_INTERLEAVED, vec![failed]);
        return;
    }
    let mut differs = Ok(Differences::default());
    for (name, rows) in names.iter().zip(&rows) {
        differs = added(differs, tried.differs(name, rows).await);
    }
    findings.judge_back(WRITE_INTERLEAVED, differs);
}

/// Names that a system may take for one.
const NAMES: [&str; 7] =
    ["odd name", "odd_name", "odd-name", "Odd_Name", "ODD_NAME", "select", "names.with.dots"];

async fn named(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("streams of similar names");
    findings.begin();
    let streams: Vec<Stream> =
        NAMES.iter().map(|name| Stream::numbers(name, tried.plain_mode())).collect();
    let rows: Vec<Vec<String>> = NAMES.iter().map(|name| numbers(0..3, name)).collect();
    let mut steps = Vec::new();
    for (index, rows) in (0u32..).zip(&rows) {
        steps.push(Step::Rows(index, rows.clone()));
        steps.push(Step::State(index, 1));
        steps.push(Step::Complete(index));
    }
    let played = write(tried.trial, &tried.catalog(&streams, 3), steps).await;
    if let Some(Err(error)) = played.ended {
        findings.judge(WRITE_NAMES, answered(error).err().into_iter().collect());
        return;
    }
    let mut faults = Vec::new();
    let mut unsure = Vec::new();
    for (name, rows) in NAMES.iter().zip(&rows) {
        match tried.differs(name, rows).await {
            Ok(differs) => faults.extend(differs.all()),
            // Several tables may be the stream's: the way back cannot tell.
            Err(error) => unsure.push(error.to_string()),
        }
    }
    if unsure.len() == NAMES.len() {
        findings.skip(WRITE_NAMES, unsure.swap_remove(0));
    } else {
        findings.judge_noting(WRITE_NAMES, faults, unsure);
    }
}

/// What came of a write that may be refused: nothing, or what differs.
async fn harmless(
    tried: &Tried<'_>,
    played: Played,
    name: &str,
    rows: &[String],
) -> Result<Differences, ReadBackError> {
    let rejected = played.confirmed.totals.values().map(|(_, rejected)| rejected).sum::<u64>();
    match played.ended {
        Some(Err(error)) => Ok(Differences::crash(answered(error).err())),
        _ if rejected > 0 => Ok(Differences::default()),
        _ => tried.differs(name, rows).await,
    }
}

async fn big(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("a row of 8 MiB");
    findings.begin();
    let name = "big_row";
    let mut rows = numbers(0..2, name);
    rows.insert(1, json!({ "id": 7, "text": "01234567".repeat(BIG / 8) }).to_string());
    let catalog = tried.catalog(&[Stream::numbers(name, tried.plain_mode())], 4);
    // One at a time: a batch of them is bigger still.
    let mut steps: Vec<Step> = rows.iter().map(|row| Step::Rows(0, vec![row.clone()])).collect();
    steps.extend([Step::State(0, 1), Step::Complete(0)]);
    let played = write(tried.trial, &catalog, steps).await;
    let differs = harmless(tried, played, name, &rows).await;
    findings.judge_back(WRITE_BIG_ROW, differs);
}

async fn bad(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("rows that do not fit their schema");
    findings.begin();
    let name = "bad_rows";
    let good = numbers(0..3, name);
    let bad = [
        r#"{"id":"not a number","text":5}"#,
        r#"{"id":1.5,"text":{"deep":[true]}}"#,
        r#"{"id":99999999999999999999999999,"text":"\u0000"}"#,
        r#"{"id":[],"unknown":{"a":1}}"#,
        r"{}",
    ];
    let rows = good.iter().cloned().chain(bad.iter().map(|row| (*row).to_owned())).collect();
    let catalog = tried.catalog(&[Stream::numbers(name, tried.plain_mode())], 5);
    let steps = vec![Step::Rows(0, rows), Step::State(0, 1), Step::Complete(0)];
    let played = write(tried.trial, &catalog, steps).await;
    let differs = match played.ended {
        Some(Err(error)) => Ok(Differences::crash(answered(error).err())),
        // Of the bad ones nothing is asked.
        _ => tried.differs(name, &good).await.map(Differences::without_more),
    };
    findings.judge_back(WRITE_BAD_ROW, differs);
}

/// Modes that it does not list.
async fn unlisted(tried: &Tried<'_>, findings: &mut Findings) {
    use DestinationSyncMode::{Append, AppendDedup, Overwrite};
    let modes = [Append, Overwrite, AppendDedup].into_iter().filter(|mode| !tried.supports(*mode));
    let modes: Vec<DestinationSyncMode> = modes.collect();
    if modes.is_empty() {
        findings.skip(WRITE_UNLISTED, "it lists every mode");
        return;
    }
    tried.trial.progress.tries("a mode that it does not list");
    findings.begin();
    let mut faults = Vec::new();
    for mode in modes {
        let mut stream = Stream::numbers("unlisted", mode);
        stream.key = mode == AppendDedup;
        let steps =
            vec![Step::Rows(0, numbers(0..3, "unlisted")), Step::State(0, 1), Step::Complete(0)];
        let played = write(tried.trial, &tried.catalog(&[stream], 7), steps).await;
        match played.ended {
            Some(Err(error)) => faults.extend(answered(error).err()),
            _ => faults.push(format!("in mode {} it ended well", mode.airbyte())),
        }
    }
    findings.judge(WRITE_UNLISTED, faults);
}

/// Killed after it confirmed.
async fn durable(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("a kill after a confirmed state");
    findings.begin();
    let name = "durable";
    // What replaces is in place only when it is complete.
    if !tried.supports(DestinationSyncMode::Append) {
        findings.skip(WRITE_DURABLE, "it does not append");
        return;
    }
    let rows = numbers(0..700, name);
    let catalog = tried.catalog(&[Stream::numbers(name, DestinationSyncMode::Append)], 6);
    let steps =
        vec![Step::Rows(0, rows.clone()), Step::State(0, 1), Step::WhenConfirmed(End::Kill)];
    let played = write(tried.trial, &catalog, steps).await;
    if let Some(failed) = failed(&played) {
        findings.judge(WRITE_DURABLE, vec![failed]);
    } else if !played.confirmed_open {
        let patience = tried.trial.options.commit_time.as_secs();
        findings.skip(
            WRITE_DURABLE,
            format!(
                "it confirmed nothing for {patience} s while its input was open (--commit-time)"
            ),
        );
    } else {
        findings.judge_back(WRITE_DURABLE, tried.differs(name, &rows).await);
    }
}
