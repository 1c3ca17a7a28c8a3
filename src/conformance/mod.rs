//! Floor 5: whether a connector keeps the rules, whatever runs it. What the public suites check
//! (Airbyte's acceptance tests, its CDK's standard tests, PyAirbyte's smoke tests), and what none of
//! them does: that rows arrive value by value, that what was confirmed survives a kill, that a source
//! loses nothing when it goes on from any of its states, that modes are applied and not only listed.
//!
//! [`validate`] tries the rules one after the other ([`RULES`]) and gives a [`Report`]. A rule that
//! rests on another one that does not hold is skipped, so that a connector with one fault breaks one
//! rule. Nothing here knows how a connector is run; that is its executor's.
//!
//! | module | what is there |
//! |---|---|
//! | `rule`, `report` | the rules; what came of them |
//! | `spec`, `common` | rules of every connector |
//! | `catalog`, `source`, `resume` | rules of sources, on what `taken` kept of a read |
//! | `destination`, `refresh`, `durable` | rules of destinations, on what `play` gives and `read_back` finds (`tried`) |
//! | `scenario` | the shapes of data that destinations are tried with |
//! | `compare` | whether two values say the same |
//! | `ear`, `alive` | what is heard of a connector, and whether anything is |

mod alive;
mod catalog;
mod common;
mod compare;
mod destination;
mod durable;
mod ear;
mod parquet;
mod play;
mod read_back;
mod refresh;
mod report;
mod resume;
mod rule;
mod scenario;
mod source;
mod spec;
mod taken;
mod tried;

use std::sync::Arc;
use std::time::Duration;

pub use read_back::{ReadBack, ReadBackError};
pub use report::{Counts, Finding, Report, Verdict};
pub use rule::{Applies, RULES, Rule, rule};
pub use scenario::{Scenario, column_schema, scenarios};
pub use taken::KeptLimits;

use self::ear::Ear;
use self::report::Findings;
use crate::component::Kind;
use crate::connector::Connector;
use crate::executor::{Context, Executor, ExecutorError};
use crate::fault::Fault;
use crate::protocol::{Catalog, FailureKind, Json, StateMessage};

/// How a connector is tried.
#[derive(Debug, Clone)]
pub struct ValidateOptions {
    /// Whether it reads or writes; none: as it says itself.
    pub kind: Option<Kind>,
    /// What a source reads, or what is used instead of the scenarios; none: all it discovers.
    pub catalog: Option<Catalog>,
    /// The streams that a source reads, by name; empty: all.
    pub streams: Vec<String>,
    /// Columns that may differ between two reads.
    pub ignored_fields: Vec<String>,
    /// A configuration that fits the schema and must be refused.
    pub bad_config: Option<Json>,
    /// States of the far future.
    pub future_states: Vec<StateMessage>,
    /// How what was written is read back; none: those rules are skipped.
    pub read_back: Option<ReadBack>,
    /// The namespace that streams are written to; none: none.
    pub namespace: Option<String>,
    /// The most time until `spec` has answered.
    pub start_time: Duration,
    /// How long a state is waited for before a destination is killed.
    pub commit_time: Duration,
    /// The most time in which a read or a write does nothing; what a state is waited for comes on top.
    pub idle_time: Duration,
    /// States that a source is read again from, at most.
    pub resumes: usize,
    /// How much of a read is kept.
    pub kept: KeptLimits,
}

impl Default for ValidateOptions {
    /// `start_time` is what Airbyte's Python connectors take on a slow machine; `commit_time` what a
    /// destination may batch for; `idle_time` what a slow query or a stage takes.
    fn default() -> Self {
        Self {
            kind: None,
            catalog: None,
            streams: Vec::new(),
            ignored_fields: Vec::new(),
            bad_config: None,
            future_states: Vec::new(),
            read_back: None,
            namespace: None,
            start_time: Duration::from_secs(15),
            commit_time: Duration::from_secs(60),
            idle_time: Duration::from_secs(120),
            resumes: 10,
            kept: KeptLimits::default(),
        }
    }
}

/// Who is told what is tried next.
pub trait Progress: Send + Sync {
    /// A line such as `reading from state 3 of 10`.
    fn tries(&self, what: &str);
}

/// A connector while it is tried.
struct Trial<'a> {
    connector: &'a Connector,
    executor: Arc<dyn Executor>,
    options: &'a ValidateOptions,
    ear: Arc<Ear>,
    progress: &'a dyn Progress,
}

impl Trial<'_> {
    fn context(&self) -> Context {
        Context::new(self.ear.clone()).strictly()
    }

    fn config(&self) -> &Json {
        self.connector.config()
    }

    /// What an operation says of its end.
    fn heard<T>(&self, result: Result<T, ExecutorError>) -> Result<T, ExecutorError> {
        if let Err(error) = &result {
            self.ear.said(&error.to_string());
        }
        result
    }

    /// An operation did not end well. Where a limit of the sandbox ended it, that is the fault, and
    /// LIMITS_KEPT names it.
    fn unended(&self, findings: &mut Findings, rule: Rule, fault: String) {
        if self.ear.limited() {
            findings.skip(rule, fault);
        } else {
            findings.judge(rule, vec![fault]);
        }
    }
}

/// An error as a detail of a finding.
fn told(error: &ExecutorError) -> String {
    format!("{}: {error}", error.code())
}

/// An error without what the sandbox adds to it.
fn bare(mut error: &ExecutorError) -> &ExecutorError {
    while let ExecutorError::Fenced { error: inner, .. }
    | ExecutorError::Contained { error: inner, .. } = error
    {
        error = inner;
    }
    error
}

/// Whether an operation ended by the connector's word, and not by a crash: it told of a failure.
fn answered(error: ExecutorError) -> Result<FailureKind, String> {
    let told = told(&error);
    let crashed = match bare(&error) {
        ExecutorError::Failure(_) => false,
        ExecutorError::Component(error) => {
            !matches!(error, crate::component::ComponentError::Failure(_))
        }
        _ => true,
    };
    if crashed { Err(told) } else { Ok(error.into_failure().kind) }
}

/// Tries every rule that is for the connector.
pub async fn validate(
    connector: &Connector,
    options: &ValidateOptions,
    progress: &dyn Progress,
) -> Report {
    let trial =
        Trial { connector, executor: connector.executor(), options, ear: Arc::default(), progress };
    let mut findings = Findings::default();
    let mut kind = options.kind.or_else(|| own_kind(&trial));
    if let Some(spec) = common::spec(&trial, &mut findings).await {
        let kind = *kind.get_or_insert(match spec.destination_sync_modes {
            Some(_) => Kind::Destination,
            None => Kind::Source,
        });
        if kind == Kind::Destination {
            spec::modes(&mut findings, &spec);
        }
        if common::check(&trial, &mut findings, &spec).await {
            match kind {
                Kind::Source => source::rules(&trial, &mut findings, &spec).await,
                Kind::Destination => destination::rules(&trial, &mut findings, &spec).await,
            }
        }
        common::heard(&trial, &mut findings, &spec);
    }
    let kind = kind.unwrap_or(Kind::Source);
    for rule in RULES {
        let applies = match kind {
            Kind::Source => rule.applies != Applies::Destination,
            Kind::Destination => rule.applies != Applies::Source,
        };
        if applies && !findings.has(*rule) {
            findings.skip(*rule, report::RESTS);
        }
    }
    let described = connector.describe();
    Report::new(connector.name(), kind.word(), described.executor, findings)
}

/// What a connector says of itself before it is run.
fn own_kind(trial: &Trial<'_>) -> Option<Kind> {
    if let Some((component, _)) = trial.executor.component() {
        return component.kind().ok().map(|(kind, _)| kind);
    }
    let name = trial.connector.name();
    let last = name.rsplit(['/', ':']).next().unwrap_or(name);
    let last = last.strip_prefix("airbyte-").unwrap_or(last);
    match last.split(['-', '_', '.']).next() {
        Some("source") => Some(Kind::Source),
        Some("destination") => Some(Kind::Destination),
        _ => None,
    }
}
