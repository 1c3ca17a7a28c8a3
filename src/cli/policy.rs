//! `lockgate policy show|suggest`.

use serde_json::{Value, json};

use super::arguments::{Policy, PolicyAction};
use super::output::{CliError, Output, table};
use super::runs::find;
use super::store::here;
use crate::config::{ConnectorSettings, Project};
use crate::connector::{Connector, ConnectorError, Host};
use crate::runs::{EffectivePolicy, Side, SuggestedSide, Suggestion};
use crate::sandbox::{JudgedNeed, NeedState, one_line, printable, redacted, toml};
use crate::sync::ErrorReport;

pub(super) async fn run(call: &Policy, output: &Output) -> Result<(), CliError> {
    match &call.action {
        PolicyAction::Show { connection } => show(connection.as_deref(), output).await,
        PolicyAction::Suggest { run } => {
            let suggestion = Suggestion::new(&find(run)?);
            if output.is_json() {
                output.json(&suggestion);
            } else {
                output.result(&printable(&suggested(&suggestion)));
            }
            Ok(())
        }
    }
}

/// One side of a connection: its policy, and what it needs or why that cannot be asked.
struct Shown {
    side: Side,
    key: String,
    connector: String,
    policy: EffectivePolicy,
    needs: Result<Vec<JudgedNeed>, ConnectorError>,
}

async fn show(connection: Option<&str>, output: &Output) -> Result<(), CliError> {
    let project = Project::find(&here()?)?;
    let connection = project.connection(connection)?;
    let host = Host::new().in_folder(project.folder()).in_project(&project);
    let mut sides = Vec::new();
    for (side, settings) in
        [(Side::Source, connection.source), (Side::Destination, connection.destination)]
    {
        let policy =
            EffectivePolicy::from(&settings.options.policy(project.folder(), &settings.config)?);
        let needs = match load(&host, side, &settings) {
            Ok(connector) => connector.asked_needs().await,
            Err(error) => Err(error),
        };
        let ConnectorSettings { key, connector, .. } = settings;
        let connector = redacted(&connector);
        sides.push(Shown { side, key, connector, policy, needs });
    }
    if output.is_json() {
        let mut all = json!({ "connection": connection.name });
        for shown in &sides {
            all[shown.side.word()] = as_json(shown);
        }
        output.json(&all);
    } else {
        let mut text = format!("connection {}\n", connection.name);
        for shown in &sides {
            as_text(&mut text, shown);
        }
        output.result(&printable(&text));
    }
    Ok(())
}

fn load(
    host: &Host,
    side: Side,
    settings: &ConnectorSettings,
) -> Result<Connector, ConnectorError> {
    let (name, options, config) = (&settings.connector, &settings.options, settings.config.clone());
    Ok(match side {
        Side::Source => host.get_source(name, options, config)?.connector().clone(),
        _ => host.get_destination(name, options, config)?.connector().clone(),
    })
}

fn as_json(shown: &Shown) -> Value {
    let (needs, error) = match &shown.needs {
        Ok(needs) => (Some(needs), None),
        Err(error) => (None, Some(ErrorReport::new(error))),
    };
    json!({
        "key": shown.key,
        "connector": shown.connector,
        "policy": shown.policy,
        "needs": needs,
        "error": error,
    })
}

fn as_text(text: &mut String, shown: &Shown) {
    let policy = &shown.policy;
    text.push_str(&format!("{} {}: {}\n", shown.side.word(), shown.key, shown.connector));
    let nothing = || "nothing".to_owned();
    let listed = |items: &[String]| if items.is_empty() { nothing() } else { items.join(", ") };
    let network = match policy.host_network {
        true => "everything: it is on the host's network".to_owned(),
        false => listed(&policy.network),
    };
    let mut rows = vec![vec!["network".to_owned(), network]];
    if !policy.tls_roots.is_empty() {
        rows.push(vec!["tls-root".to_owned(), listed(&policy.tls_roots)]);
    }
    if policy.directories.is_empty() {
        rows.push(vec!["directories".to_owned(), nothing()]);
    }
    for directory in &policy.directories {
        let missing = if directory.exists { "" } else { ", which is not there" };
        let (guest, access, host) = (&directory.guest, &directory.access, &directory.host);
        rows.push(vec!["directory".to_owned(), format!("{guest} {access}: {host}{missing}")]);
    }
    rows.push(vec!["environment".to_owned(), listed(&policy.environment)]);
    rows.push(vec!["sandbox".to_owned(), policy.sandbox.clone()]);
    text.push_str(&table(&rows, &[]));
    text.push_str("  needs\n");
    match &shown.needs {
        Err(error) => text.push_str(&format!("    it cannot be asked: {error}\n")),
        Ok(needs) if needs.is_empty() => text.push_str("    nothing\n"),
        Ok(needs) => {
            for need in needs {
                need_as_text(text, need, shown.side);
            }
        }
    }
    text.push_str("  limits\n");
    let limits = policy.limits.iter().map(|limit| {
        let from = if limit.set { "set" } else { "default" };
        vec![format!("  {}", limit.name), limit.value.clone(), from.to_owned()]
    });
    text.push_str(&table(&limits.collect::<Vec<_>>(), &[]));
}

fn need_as_text(text: &mut String, need: &JudgedNeed, side: Side) {
    let state = match &need.state {
        NeedState::Granted => "granted".to_owned(),
        NeedState::Missing { grant } => {
            format!("not granted: {}   or   {}", grant.flag(side.prefix()), grant.line())
        }
        NeedState::NotNeeded => "not needed with this configuration".to_owned(),
        NeedState::Unjudged { why } => format!("nothing is granted for it: {why}"),
    };
    let (capability, target, reason) = (&need.capability, &need.target, &need.reason);
    text.push_str(&format!("    {capability} {target} ({reason})\n      {state}\n"));
}

/// As lines of `lockgate.toml`, and as flags in comments.
fn suggested(suggestion: &Suggestion) -> String {
    let mut text = format!(
        "# What run {} asked for. It is what the connectors wanted, not what they should have:\n\
         # review each line before you grant it.\n",
        suggestion.run
    );
    for side in &suggestion.sides {
        text.push('\n');
        one_side(&mut text, side);
    }
    text
}

fn one_side(text: &mut String, side: &SuggestedSide) {
    let digest = side.digest.as_ref().map_or_else(String::new, |d| format!(" ({d})"));
    text.push_str(&format!("# {} {}{digest}\n", side.side.word(), side.connector));
    let (table, name) = match side.side {
        Side::Source => ("sources", "NAME"),
        Side::Destination => ("destinations", "NAME"),
        Side::Connector => ("sources or destinations", "NAME"),
    };
    let name = side.key.as_deref().unwrap_or(name);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name = if name.chars().all(plain) { name.to_owned() } else { toml(name) };
    match side.side {
        // Which of the two it is, a check does not know.
        Side::Connector => text.push_str(&format!("# in its table of {table}:\n")),
        _ => text.push_str(&format!("[{table}.{name}]\n")),
    }
    if side.lines.is_empty() {
        text.push_str("# it needs no grant\n");
    }
    for option in ["allow-net", "allow-dir", "env"] {
        let lines: Vec<_> = side.lines.iter().filter(|l| l.option == option).collect();
        if lines.is_empty() {
            continue;
        }
        text.push_str(&format!("{option} = [\n"));
        for line in lines {
            let comment = comment(&line.why, line.warning);
            text.push_str(&format!("    {}, # {comment}\n", toml(&line.value)));
        }
        text.push_str("]\n");
    }
    for line in side.lines.iter().filter(|l| !matches!(l.option, "allow-net" | "allow-dir" | "env"))
    {
        let comment = comment(&line.why, line.warning);
        let setting = crate::sandbox::Grant::new(line.option, line.value.clone()).line();
        text.push_str(&format!("{setting} # {comment}\n"));
    }
    for refused in &side.refused {
        text.push_str(&format!("# not in it: {}\n", one_line(refused)));
    }
    for unused in &side.unused {
        text.push_str(&format!("# granted and never used, so not in it: {}\n", one_line(unused)));
    }
    if !side.lines.is_empty() {
        let flags: Vec<&str> = side.lines.iter().map(|l| l.flag.as_str()).collect();
        text.push_str(&format!("# as flags: {}\n", flags.join(" ")));
    }
}

/// A comment is one line, whatever a connector wanted to be written there.
fn comment(why: &str, warning: Option<&str>) -> String {
    match warning {
        Some(warning) => format!("{}; CAREFUL: {warning}", one_line(why)),
        None => one_line(why),
    }
}
