//! `lockgate runs list|show`.

use serde_json::{Value, json};

use super::arguments::{Runs, RunsAction};
use super::output::{CliError, Output, grouped, table};
use super::store::{here, state_folder};
use crate::runs::{
    Denied, Run, RunConnector, RunFile, RunsError, RunsFolder, Summary, Used, millis, times,
};
use crate::sandbox::{one_line, printable};

#[expect(clippy::unused_async, reason = "one shape for all commands")]
pub(super) async fn run(call: &Runs, output: &Output) -> Result<(), CliError> {
    match &call.action {
        RunsAction::List => list(output),
        RunsAction::Show { run } => {
            let run = find(run)?;
            let summary = Summary::new(&run);
            if output.is_json() {
                output.json(&json!({
                    "run": run.file,
                    "used": summary.grants,
                    "denied": summary.denied,
                    "limits": summary.limits,
                    "decisions": run.decisions,
                }));
            } else {
                output.result(&printable(&shown(&run, &summary)));
            }
            Ok(())
        }
    }
}

/// A recorded run.
pub(super) fn find(name: &str) -> Result<Run, CliError> {
    match RunsFolder::open(&state_folder(&here()?))? {
        Some(runs) => Ok(runs.get(name)?),
        None => Err(RunsError::unknown(name, &[]).into()),
    }
}

fn list(output: &Output) -> Result<(), CliError> {
    let runs = match RunsFolder::open(&state_folder(&here()?))? {
        Some(runs) => runs.list()?,
        None => Vec::new(),
    };
    if output.is_json() {
        let all = runs.iter().map(|run| {
            json!({
                "run": run.run,
                "command": run.command,
                "connection": run.connection,
                "connectors": run.connectors.iter().map(|c| &c.connector).collect::<Vec<_>>(),
                "started_at": run.started_at,
                "ended_at": run.ended_at,
                "duration_ms": duration(run),
                "status": run.status,
                "denied": run.denied,
                "error": run.error,
            })
        });
        output.json(&all.collect::<Vec<_>>());
        return Ok(());
    }
    if runs.is_empty() {
        output.note("no run is recorded here");
        return Ok(());
    }
    let head = ["run", "when", "command", "connection", "status", "duration", "denied"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(runs.iter().map(|run| {
        vec![
            run.run.clone(),
            when(&run.started_at),
            run.command.clone(),
            one_line(&what(run)),
            run.status.clone(),
            duration(run).map_or_else(|| "-".to_owned(), seconds),
            grouped(run.denied),
        ]
    }));
    output.result(&printable(&table(&rows, &[5, 6])));
    Ok(())
}

/// The connection, or the connector.
fn what(run: &RunFile) -> String {
    let first = run.connectors.first().map(|c| c.connector.clone());
    run.connection.clone().or(first).unwrap_or_else(|| "-".to_owned())
}

/// To the second, for people.
fn when(time: &str) -> String {
    time.get(..19).unwrap_or(time).replace('T', " ")
}

fn duration(run: &RunFile) -> Option<u64> {
    millis(run.ended_at.as_deref()?)?.checked_sub(millis(&run.started_at)?)
}

fn seconds(ms: u64) -> String {
    format!("{}.{:02} s", ms / 1000, ms % 1000 / 10)
}

fn shown(run: &Run, summary: &Summary) -> String {
    let file = &run.file;
    let took = duration(file).map_or_else(String::new, |ms| format!(" in {}", seconds(ms)));
    let mut text = format!(
        "run {}: {} {}, {}{took}\n",
        file.run,
        file.command,
        one_line(&what(file)),
        file.status
    );
    let mut facts = vec![["began".to_owned(), format!("{} UTC", when(&file.started_at))].to_vec()];
    for connector in &file.connectors {
        facts.push(vec![connector.side.word().to_owned(), named(connector)]);
    }
    if let Some(error) = &file.error {
        facts.push(vec![
            "error".to_owned(),
            format!("{}: {}", error.code, one_line(&error.message)),
        ]);
    }
    if let Some(report) = &file.report {
        let count = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
        let (read, kept) = (count("records_emitted"), count("records_committed"));
        facts.push(vec![
            "rows".to_owned(),
            format!("{} read, {} committed", grouped(read), grouped(kept)),
        ]);
    }
    text.push_str(&table(&facts, &[]));
    if let Some(report) = &file.report {
        streams(&mut text, report);
        attempts(&mut text, report);
    }

    text.push_str("granted\n");
    let rows = summary
        .grants
        .iter()
        .map(|used| vec![used.side.word().to_owned(), used.grant.clone(), use_of(used)]);
    section(&mut text, rows.collect(), "nothing");
    for (title, refusals, none) in
        [("denied", &summary.denied, "nothing"), ("limits reached", &summary.limits, "none")]
    {
        text.push_str(&format!("{title}\n"));
        if refusals.is_empty() {
            text.push_str(&format!("  {none}\n"));
        }
        for denied in refusals {
            refusal(&mut text, denied);
        }
    }
    if !(summary.denied.is_empty() && summary.limits.is_empty()) {
        text.push_str(&format!(
            "`lockgate policy suggest {}` prints all of this as one policy, for you to review\n",
            file.run
        ));
    }
    text
}

/// What became of each stream's rows.
fn streams(text: &mut String, report: &Value) {
    let all = report.get("streams").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return;
    }
    let head =
        ["stream", "generation", "read", "cached", "sent", "committed", "rejected", "states"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for stream in all {
        let count = |name: &str| stream.get(name).and_then(Value::as_u64).unwrap_or(0);
        let word = |name: &str| stream.get(name).and_then(Value::as_str);
        let name = word("name").unwrap_or_default();
        let name = match word("namespace") {
            Some(namespace) => format!("{namespace}.{name}"),
            None => name.to_owned(),
        };
        let rejected = match count("records_rejected_by_source") {
            0 => grouped(count("records_rejected")),
            by_source => {
                let rejected = grouped(count("records_rejected"));
                format!("{rejected} and {} by the source", grouped(by_source))
            }
        };
        rows.push(vec![
            one_line(&name),
            count("generation_id").to_string(),
            grouped(count("records_emitted")),
            grouped(count("records_cached")),
            grouped(count("records_sent")),
            grouped(count("records_committed")),
            rejected,
            format!("{} of {}", count("checkpoints_committed"), count("checkpoints_emitted")),
        ]);
    }
    text.push_str("streams\n");
    text.push_str(&table(&rows, &[1, 2, 3, 4, 5, 6, 7]));
}

/// Every attempt, where there was more than one.
fn attempts(text: &mut String, report: &Value) {
    let all = report.get("attempts").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if all.len() < 2 {
        return;
    }
    let rows = all.iter().map(|attempt| {
        let count = |name: &str| attempt.get(name).and_then(Value::as_u64).unwrap_or(0);
        let error = &attempt["error"];
        let end = match (error["code"].as_str(), error["message"].as_str()) {
            (Some(code), Some(message)) => format!("{code}: {}", one_line(message)),
            _ => "went well".to_owned(),
        };
        let (read, kept) = (grouped(count("records_emitted")), grouped(count("records_committed")));
        vec![
            count("number").to_string(),
            format!("after {}", seconds(count("waited_ms"))),
            format!("{read} read, {kept} committed"),
            end,
        ]
    });
    text.push_str("attempts\n");
    text.push_str(&table(&rows.collect::<Vec<_>>(), &[0]));
}

fn section(text: &mut String, rows: Vec<Vec<String>>, none: &str) {
    match rows.is_empty() {
        true => text.push_str(&format!("  {none}\n")),
        false => text.push_str(&table(&rows, &[])),
    }
}

fn named(connector: &RunConnector) -> String {
    let mut text = one_line(&connector.connector);
    match (&connector.executor, &connector.digest) {
        (Some(executor), Some(digest)) => text.push_str(&format!(" ({executor}, {digest})")),
        (Some(executor), None) => text.push_str(&format!(" ({executor})")),
        (None, _) => text.push_str(" (not loaded)"),
    }
    text
}

fn use_of(used: &Used) -> String {
    match (used.given, used.used) {
        (0, 0) => "never used".to_owned(),
        (given, 0) => format!("given to {}", times(given, "operation")),
        (_, used) => format!("used {}", times(used, "time")),
    }
}

/// What was refused and how often, and below it what would grant it.
fn refusal(text: &mut String, denied: &Denied) {
    let why = format!("{}, {}", denied.rule, times(denied.count, "time"));
    let (side, capability) = (denied.side.word(), denied.capability.word());
    text.push_str(&format!("  {side} {capability} {}: {why}\n", denied.target));
    if let Some(note) = &denied.note {
        text.push_str(&format!("    {note}\n"));
    }
    if let (Some(flag), Some(line)) = (&denied.flag, &denied.line) {
        text.push_str(&format!("    {flag}   or   {line}\n"));
    }
}
