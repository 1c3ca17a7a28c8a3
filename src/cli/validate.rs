//! `lockgate validate CONNECTOR`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::arguments::KindArgument;
use super::grants::{Grants, ReaderGrants};
use super::output::{CliError, Output};
use super::signals;
use super::store::{here, host_here};
use crate::config::{ConfigError, parse_duration, read_config};
use crate::conformance::{
    Applies, Progress, RULES, ReadBack, Rule, ValidateOptions, rule, validate,
};
use crate::connector::Host;
use crate::protocol::{Catalog, StateMessage};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate validate target/guests/source-faker.wasm --config '{\"count\": 500}'
  lockgate validate source-faker --use-python --config '{\"count\": 100}' --ignore-fields updated_at
  lockgate validate target/guests/destination-jsonl.wasm --config '{\"path\": \"/out\"}' \\
    --allow-dir ./out::/out --read-back files:./out
  lockgate validate destination-postgres.wasm --config pg.json --allow-net db.example:5432 \\
    --read-back postgres:postgres://sync@db.example/test --junit report.xml
  lockgate validate --explain WRITE_DURABLE
  lockgate validate --rules

A destination is written to: streams of made-up data, in namespaces of their own that are removed by
nobody. Without --read-back it is only seen whether it ends well.

Exit code: 0 when every rule that could be tried holds, 1 when one does not.")]
pub(super) struct Validate {
    /// path/to/x.wasm, exec:PATH, docker:IMAGE, pip:REQUIREMENT, or a name
    #[arg(required_unless_present_any = ["explain", "rules"])]
    pub(super) connector: Option<String>,
    /// Its configuration: a file name, or JSON beginning with {
    #[arg(long, value_name = "CONFIG", default_value = "{}", hide_default_value = true)]
    pub(super) config: String,
    /// What a rule means, how it is tried, and how to mend what breaks it
    #[arg(long, value_name = "CODE", exclusive = true)]
    explain: Option<String>,
    /// List all rules
    #[arg(long, exclusive = true)]
    rules: bool,
    #[command(flatten)]
    pub(super) grants: Grants,
    /// Try it as this; without it, as it says itself
    #[arg(long = "as", value_enum, value_name = "KIND", help_heading = "What is tried")]
    kind: Option<KindArgument>,
    /// What a source reads, and how: a configured catalog in Airbyte's form, a file
    #[arg(long, value_name = "FILE", help_heading = "What is tried")]
    catalog: Option<PathBuf>,
    /// The streams that a source reads: names with commas between them [default: all]
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        conflicts_with = "catalog",
        help_heading = "What is tried"
    )]
    streams: Vec<String>,
    /// Columns that may differ between two reads of the same data
    #[arg(long, value_name = "A,B", value_delimiter = ',', help_heading = "What is tried")]
    ignore_fields: Vec<String>,
    /// A configuration that fits the schema and cannot work, which check must refuse
    #[arg(long, value_name = "CONFIG", help_heading = "What is tried")]
    bad_config: Option<String>,
    /// States of the far future, from which no row may come: a file in the protocol's form
    #[arg(long, value_name = "FILE", help_heading = "What is tried")]
    future_state: Option<PathBuf>,
    /// The namespace that a destination is written to [default: lockgate_validate_ and a number]
    #[arg(long, value_name = "NAME", help_heading = "What is tried")]
    namespace: Option<String>,
    /// How a destination's rows are read back: files:DIR, postgres:URL, or a source
    #[arg(long, value_name = "WAY", help_heading = "Read back")]
    read_back: Option<String>,
    /// The configuration of the source that reads back
    #[arg(long, value_name = "CONFIG", requires = "read_back", help_heading = "Read back")]
    read_back_config: Option<String>,
    #[command(flatten)]
    pub(super) reader: ReaderGrants,
    /// The most time until `spec` has answered [default: 15s]
    #[arg(long, value_name = "DURATION", help_heading = "Budgets")]
    start_time: Option<String>,
    /// How long a state's confirmation is waited for [default: 60s]
    #[arg(long, value_name = "DURATION", help_heading = "Budgets")]
    commit_time: Option<String>,
    /// The most time in which a read or a write does and says nothing, --commit-time apart [default:
    /// 120s]
    #[arg(long, value_name = "DURATION", help_heading = "Budgets")]
    idle_time: Option<String>,
    /// States that a source is read again from, at most
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Budgets")]
    resumes: usize,
    /// Write JUnit's XML to this file too
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    junit: Option<PathBuf>,
}

/// Says on stderr what is tried.
struct Told(Output);

impl Progress for Told {
    fn tries(&self, what: &str) {
        self.0.note(&format!("trying: {what}"));
    }
}

pub(super) async fn run(call: &Validate, output: &Output) -> Result<(), CliError> {
    if let Some(code) = &call.explain {
        return explain(code, output);
    }
    if call.rules {
        list(output);
        return Ok(());
    }
    let name = call.connector.as_deref().unwrap_or_default();
    let config = read_config(&call.config)?;
    let host = host_here(&[name])?;
    let connector = host.get_connector(name, &call.grants.options()?, config)?;
    output.chosen("connector", &connector);
    let options = options(call, &host).await?;
    let report =
        signals::until_stopped(async { Ok(validate(&connector, &options, &Told(*output)).await) })
            .await?;
    if let Some(file) = &call.junit {
        write(file, &report.junit())?;
    }
    if output.is_json() {
        output.json(&report);
    } else {
        output.result(&report.table());
    }
    if report.is_green() { Ok(()) } else { Err(CliError::Said(1)) }
}

fn write(file: &Path, text: &str) -> Result<(), ConfigError> {
    std::fs::write(file, text)
        .map_err(|e| ConfigError::Usage(format!("{}: cannot be written: {e}", file.display())))
}

fn text(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file)
        .map_err(|e| ConfigError::Unreadable { path: file.to_owned(), reason: e.to_string() })
}

fn duration(
    given: Option<&String>,
    option: &'static str,
    other: Duration,
) -> Result<Duration, ConfigError> {
    match given {
        None => Ok(other),
        Some(text) => parse_duration(option, text),
    }
}

async fn options(call: &Validate, host: &Host) -> Result<ValidateOptions, CliError> {
    let malformed = |file: &Path, reason: String| ConfigError::Malformed {
        place: file.display().to_string(),
        reason,
    };
    let other = ValidateOptions::default();
    let catalog = match &call.catalog {
        None => None,
        Some(file) => {
            Some(Catalog::from_airbyte(&text(file)?).map_err(|e| malformed(file, e.to_string()))?)
        }
    };
    let future_states = match &call.future_state {
        None => Vec::new(),
        Some(file) => StateMessage::list_from_file(&text(file)?)
            .map_err(|e| malformed(file, e.to_string()))?,
    };
    let namespace = call.namespace.clone().unwrap_or_else(|| {
        format!("lockgate_validate_{:x}", crate::protocol::now_ms() & 0xfff_ffff)
    });
    Ok(ValidateOptions {
        kind: call.kind.map(Into::into),
        catalog,
        streams: call.streams.clone(),
        ignored_fields: call.ignore_fields.clone(),
        bad_config: call.bad_config.as_deref().map(read_config).transpose()?,
        future_states,
        read_back: read_back(call, host).await?,
        namespace: Some(namespace).filter(|namespace| !namespace.is_empty()),
        start_time: duration(call.start_time.as_ref(), "--start-time", other.start_time)?,
        commit_time: duration(call.commit_time.as_ref(), "--commit-time", other.commit_time)?,
        idle_time: duration(call.idle_time.as_ref(), "--idle-time", other.idle_time)?,
        resumes: call.resumes,
        kept: other.kept,
    })
}

async fn read_back(call: &Validate, host: &Host) -> Result<Option<ReadBack>, CliError> {
    let Some(way) = &call.read_back else { return Ok(None) };
    if let Some(folder) = way.strip_prefix("files:") {
        return Ok(Some(ReadBack::Files(PathBuf::from(folder))));
    }
    #[cfg(feature = "postgres")]
    if let Some(url) = way.strip_prefix("postgres:") {
        return Ok(Some(ReadBack::Postgres(Box::new(super::server::server(url, &here()?).await?))));
    }
    let config = read_config(call.read_back_config.as_deref().unwrap_or("{}"))?;
    let source = host.get_source(way, &call.reader.options()?, config)?;
    Ok(Some(ReadBack::Source(Box::new(source.connector().clone()))))
}

fn explain(code: &str, output: &Output) -> Result<(), CliError> {
    let Some(rule) = rule(code) else {
        let what = format!("there is no rule {code}; `lockgate validate --rules` lists them");
        return Err(ConfigError::Usage(what).into());
    };
    if output.is_json() {
        output.json(rule);
        return Ok(());
    }
    let Rule { code, title, meaning, mend, .. } = rule;
    output.result(&format!("{code}: {title}\n\n{meaning}\n\nTo mend it: {mend}\n"));
    Ok(())
}

fn list(output: &Output) {
    if output.is_json() {
        output.json(&RULES);
        return;
    }
    let mut text = String::new();
    for rule in RULES {
        let whom = match rule.applies {
            Applies::Both => "both",
            Applies::Source => "source",
            Applies::Destination => "destination",
        };
        text.push_str(&format!("{:21}{whom:13}{}\n", rule.code, rule.title));
    }
    output.result(&text);
}
