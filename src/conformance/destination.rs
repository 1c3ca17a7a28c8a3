//! The rules of destinations, on what is read back of what they wrote.

use std::sync::atomic::AtomicU32;

use serde_json::json;

use super::compare::Differences;
use super::play::{Played, Step, write};
use super::read_back::ReadBackError;
use super::report::Findings;
use super::rule::{
    SPEC_MODES, WRITE_BAD_ROW, WRITE_BIG_ROW, WRITE_COMMITS, WRITE_COUNTS, WRITE_ENDS,
    WRITE_GLOBAL, WRITE_INTERLEAVED, WRITE_NAMES, WRITE_STATE_WHOLE, WRITE_UNLISTED, WRITE_VALUES,
};
use super::scenario::{Scenario, scenarios};
use super::tried::{Stream, Tried, failed, numbers, parts};
use super::{Trial, answered, bare, durable, refresh};
use crate::executor::ExecutorError;
use crate::protocol::{DestinationSyncMode, Specification};

/// Bytes of the big row.
const BIG: usize = 8 << 20;

/// Bytes of a row that is as large as the scenarios have them.
const LARGE: usize = 100_000;

pub(super) async fn rules(trial: &Trial<'_>, findings: &mut Findings, spec: &Specification) {
    let back = trial.options.read_back.as_ref();
    let namespace = trial.options.namespace.clone();
    let tried = Tried { trial, spec, back, namespace, controls: AtomicU32::new(0) };
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
    durable::rule(&tried, findings).await;
    refresh::interrupted(&tried, findings).await;
}

/// An acknowledgement that should not be is a fault of the program's protocol; whether it is one of a
/// state that was sent otherwise.
fn misconfirmed(played: &Played) -> Option<(String, bool)> {
    match bare(played.ended.as_ref()?.as_ref().err()?) {
        ExecutorError::Acknowledgement { said, changed } => Some((said.clone(), *changed)),
        _ => None,
    }
}

/// Why a write did not end well, but for its confirmations.
fn ended_ill(played: &Played) -> Option<String> {
    failed(played).filter(|_| misconfirmed(played).is_none())
}

/// What is wrong with the confirmations of a write that ended well otherwise.
fn unconfirmed(played: &Played) -> Vec<String> {
    let mut faults: Vec<String> = misconfirmed(played).into_iter().map(|(said, _)| said).collect();
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
    findings.begin();
    // What has no rows is WRITE_EMPTY's.
    let mut scenarios = scenarios();
    scenarios.retain(|scenario| !scenario.rows.is_empty());
    tried.trial.progress.tries(&format!("writing {} scenarios", scenarios.len()));
    let streams: Vec<Stream> = scenarios.iter().map(|s| scenario_stream(tried, s)).collect();
    let mut steps = Vec::new();
    for (index, scenario) in (0u32..).zip(&scenarios) {
        // Two states, the second of which comes first where they are sorted as texts.
        steps.extend(parts(index, &scenario.rows, scenario.rows.len() / 2, [9, 100]));
        steps.push(Step::Complete(index));
    }
    let played = write(tried.trial, &tried.catalog(&streams, 1), steps).await;
    if let Some(fault) = ended_ill(&played) {
        tried.trial.unended(findings, WRITE_ENDS, fault);
        return false;
    }
    findings.judge(WRITE_ENDS, Vec::new());
    if let Some((said, true)) = misconfirmed(&played) {
        findings.judge(WRITE_STATE_WHOLE, vec![said]);
        return false;
    }
    if !findings.judge(WRITE_COMMITS, unconfirmed(&played)) {
        return false;
    }
    if played.confirmed.echoes == 0 {
        findings.skip(WRITE_STATE_WHOLE, "a component is not given states, and echoes none");
    } else {
        findings.judge(WRITE_STATE_WHOLE, lacking(&played).into_iter().collect());
    }
    if tried.back.is_some() {
        tried.trial.progress.tries("reading the scenarios back");
        findings.begin();
        let written = scenarios.iter().map(|scenario| (scenario.name, scenario.rows.as_slice()));
        let differs = tried.differ(written).await;
        // Who asked for it is not told that all is well where nothing was looked at.
        let faults = differs.map_or_else(|error| vec![error.to_string()], Differences::all);
        findings.judge(WRITE_VALUES, faults);
    }
    if findings.failed(WRITE_VALUES) {
        // Who loses rows may count what is left.
        findings.skip(WRITE_COUNTS, "WRITE_VALUES does not hold");
    } else {
        counted(findings, &scenarios, &played);
    }
    true
}

/// All rows of a scenario stay: keys are WRITE_DEDUP's.
fn scenario_stream(tried: &Tried<'_>, scenario: &Scenario) -> Stream {
    let stream = Stream::numbers(scenario.name, tried.plain_mode());
    Stream { schema: scenario.schema(), ..stream }
}

/// Rows that it says it rejected.
fn rejected(played: &Played) -> u64 {
    played.confirmed.totals.values().map(|(_, rejected)| rejected).sum()
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
            // With a state that it left out, its counts may be left out too.
            Some((written, rejected))
                if written + rejected < *given && played.confirmed.skipped(*stream) => {}
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
    let rows = names.map(|name| numbers(0..35, name));
    let written: Vec<(&str, &[String])> =
        names.into_iter().zip(rows.iter().map(Vec::as_slice)).collect();
    tried.judge_streams(findings, WRITE_GLOBAL, &written).await;
}

/// Streams and states in turns.
async fn interleaved(tried: &Tried<'_>, findings: &mut Findings) {
    if findings.has(WRITE_INTERLEAVED) {
        // It does not take streams of several modes at once.
        return;
    }
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
    let written: Vec<(&str, &[String])> =
        names.into_iter().zip(rows.iter().map(Vec::as_slice)).collect();
    tried.judge_streams(findings, WRITE_INTERLEAVED, &written).await;
}

/// Names that a system may take for one.
const NAMES: [&str; 7] =
    ["odd name", "odd_name", "odd-name", "Odd_Name", "ODD_NAME", "select", "names.with.dots"];

/// Names that lead elsewhere where they are taken for paths.
const PATHS: [&str; 2] = ["up/down", "../up_down"];

/// One name in namespaces of their own.
const APART: [&str; 2] = ["a", "b"];

/// Streams of one write of [`named`]: the name, and what is added to its namespace. Who refuses some
/// is still tried with the others.
fn named_groups() -> [Vec<(&'static str, Option<&'static str>)>; 3] {
    let plain = |names: &[&'static str]| names.iter().map(|name| (*name, None)).collect();
    [plain(&NAMES), plain(&PATHS), APART.map(|apart| ("twin", Some(apart))).to_vec()]
}

async fn named(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("streams of similar names");
    findings.begin();
    let mut all = Differences::default();
    let mut kept: Vec<Vec<String>> = Vec::new();
    let (mut unsure, mut tries) = (Vec::new(), 0);
    for (number, group) in (0u64..).zip(named_groups()) {
        // No two have a row in common.
        let rows_of = |(at, (name, _)): (u64, &(&str, _))| {
            numbers(10 * at..10 * at + 3, &name.to_lowercase())
        };
        let rows: Vec<Vec<String>> = (0u64..).zip(&group).map(rows_of).collect();
        let streams: Vec<Stream> = group
            .iter()
            .map(|(name, apart)| Stream {
                apart: *apart,
                ..Stream::numbers(name, tried.plain_mode())
            })
            .collect();
        let mut steps = Vec::new();
        for (index, rows) in (0u32..).zip(&rows) {
            steps.push(Step::Rows(index, rows.clone()));
            steps.push(Step::State(index, 1));
            steps.push(Step::Complete(index));
        }
        let played = write(tried.trial, &tried.catalog(&streams, 30 + number), steps).await;
        if let Some(Err(error)) = played.ended {
            all = all.and(Differences::crash(answered(error).err()));
            continue;
        }
        for ((name, apart), rows) in group.iter().zip(&rows) {
            tries += 1;
            match tried.differs_in(name, *apart, rows).await {
                Ok(differs) => all = all.and(differs),
                // Several tables may be the stream's: the way back cannot tell.
                Err(error) => unsure.push(error.to_string()),
            }
        }
        kept.extend(rows);
    }
    if tries > 0 && unsure.len() == tries {
        findings.skip(WRITE_NAMES, unsure.swap_remove(0));
        return;
    }
    let kept: Vec<&[String]> = kept.iter().map(Vec::as_slice).collect();
    tried.judge_noting(findings, WRITE_NAMES, Ok(all), &kept, unsure).await;
}

/// What came of a write of which `rows` must be there and the rest may be refused: nothing, or what
/// differs.
async fn harmless(
    tried: &Tried<'_>,
    played: Played,
    name: &str,
    rows: &[String],
) -> Result<Differences, ReadBackError> {
    match played.ended {
        Some(Err(error)) => Ok(Differences::crash(answered(error).err())),
        // Of what may be refused nothing is asked here.
        _ => tried.differs(name, rows).await.map(Differences::without_more),
    }
}

async fn big(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("a row of 8 MiB");
    findings.begin();
    let name = "big_row";
    let row = |size: usize| json!({ "id": 7, "text": "01234567".repeat(size / 8) }).to_string();
    let small = numbers(0..2, name);
    let around = |row: String| {
        let [before, after] = [0, 1].map(|at| small.get(at).cloned().unwrap_or_default());
        vec![before, row, after]
    };
    let rows = around(row(BIG));
    let catalog = tried.catalog(&[Stream::numbers(name, tried.plain_mode())], 4);
    // One at a time: a batch of them is bigger still.
    let mut steps: Vec<Step> = rows.iter().map(|row| Step::Rows(0, vec![row.clone()])).collect();
    steps.extend([Step::State(0, 1), Step::Complete(0)]);
    let played = write(tried.trial, &catalog, steps).await;
    // The rows around it must be there where it is rejected.
    let must = if rejected(&played) > 0 { &small } else { &rows };
    let differs = harmless(tried, played, name, must).await;
    tried.judge(findings, WRITE_BIG_ROW, differs, &[&around(row(LARGE))]).await;
}

async fn bad(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("rows that do not fit their schema");
    findings.begin();
    let name = "bad_rows";
    let good = numbers(0..6, name);
    let bad = [
        r#"{"id":"not a number","text":5}"#,
        r#"{"id":1.5,"text":{"deep":[true]}}"#,
        r#"{"id":99999999999999999999999999,"text":"\u0000"}"#,
        r#"{"id":[],"unknown":{"a":1}}"#,
        r"{}",
    ];
    // A good one before, between and after them.
    let mut rows = Vec::new();
    for (at, good) in good.iter().enumerate() {
        rows.push(good.clone());
        rows.extend(bad.get(at).map(|row| (*row).to_owned()));
    }
    let catalog = tried.catalog(&[Stream::numbers(name, tried.plain_mode())], 5);
    let steps = vec![Step::Rows(0, rows), Step::State(0, 1), Step::Complete(0)];
    let played = write(tried.trial, &catalog, steps).await;
    let differs = harmless(tried, played, name, &good).await;
    tried.judge(findings, WRITE_BAD_ROW, differs, &[&good]).await;
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
    if findings.failed(SPEC_MODES) {
        findings.skip(WRITE_UNLISTED, "SPEC_MODES does not hold");
        return;
    }
    tried.trial.progress.tries("a mode that it does not list");
    findings.begin();
    let mut faults = Vec::new();
    for mode in modes {
        let mut stream = Stream::numbers("unlisted", mode);
        if mode == AppendDedup {
            stream.key = &["id"];
        }
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
