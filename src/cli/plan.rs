//! What `lockgate sync --dry-run` prints.

use super::output::{Output, table};
use crate::sandbox::printable;
use crate::sync::{NamedBy, PlanReport, StreamPlan};

/// Prints a plan.
pub(super) fn print(plan: &PlanReport, output: &Output) {
    if output.is_json() {
        output.json(plan);
    } else {
        output.result(&printable(&shown(plan)));
    }
}

fn shown(plan: &PlanReport) -> String {
    let PlanReport { connection, source, destination, .. } = plan;
    let mut text = format!(
        "plan of connection {connection}: {} -> {}; nothing was moved\n",
        source.connector, destination.connector
    );
    let what = match plan.operation {
        "clear" => "all rows are removed, and the states forgotten",
        "refresh_retain" => "everything is read again, beside the earlier rows",
        "refresh_truncate" => "everything is read again, in the place of the earlier rows",
        "full_refresh" => "everything is read again, whatever is stored",
        _ => "what is new is read",
    };
    text.push_str(&format!("  {what}\n"));
    for stream in &plan.streams {
        let name = match &stream.namespace {
            Some(namespace) => format!("{namespace}.{}", stream.name),
            None => stream.name.clone(),
        };
        text.push_str(&format!("stream {name}\n{}", table(&facts(stream), &[])));
    }
    for note in &plan.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

fn facts(stream: &StreamPlan) -> Vec<Vec<String>> {
    let path = |path: &Vec<String>| path.join(".");
    let key: Vec<String> = stream.primary_key.iter().map(path).collect();
    let generation = stream.generation;
    let mut generations = match generation.current {
        Some(current) if current == generation.next => format!("{current}"),
        Some(current) => format!("{current} -> {}", generation.next),
        None => format!("none -> {}", generation.next),
    };
    generations.push_str(&format!(", minimum {}", generation.minimum));
    let state = match (stream.state.from, &stream.state.stored_at) {
        ("store", Some(at)) => format!("from the store, of {at}"),
        ("store", None) => "from the store".to_owned(),
        ("cache", _) => "from the cache".to_owned(),
        _ => "none: from the beginning".to_owned(),
    };
    let mut facts = vec![
        ("mode", format!("{} | {}", stream.sync_mode, stream.destination_sync_mode)),
        ("why", stream.why.clone()),
        ("key", named(&key.join(", "), stream.primary_key_from)),
        ("cursor", named(&path(&stream.cursor_field), stream.cursor_from)),
        ("generation", generations),
        ("state", state),
        ("deletes", stream.deletes.clone().unwrap_or_else(|| "nothing".to_owned())),
    ];
    if let Some(interrupted) = stream.interrupted {
        let what = match interrupted {
            "goes_on" => "an earlier sync did not complete it: this one goes on with it",
            "begins_again" => "an earlier sync did not complete it: this one begins it again",
            _ => "an earlier sync did not complete it: what it wrote stays",
        };
        facts.push(("interrupted", what.to_owned()));
    }
    facts.into_iter().map(|(name, fact)| vec![name.to_owned(), fact]).collect()
}

fn named(what: &str, by: NamedBy) -> String {
    match by {
        NamedBy::Nobody => "none".to_owned(),
        // A source that keeps its cursor to itself.
        NamedBy::Source if what.is_empty() => "the source's own".to_owned(),
        NamedBy::Source => format!("{what} (the source's)"),
        NamedBy::Configured => format!("{what} (configured)"),
        NamedBy::Default => format!("{what} (the source's default)"),
    }
}
