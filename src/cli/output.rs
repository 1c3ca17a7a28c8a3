//! What is printed: results on stdout, everything else on stderr, for people or for machines.

use std::ffi::OsString;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::author::AuthorError;
use crate::cache::CacheError;
use crate::component::ComponentError;
use crate::config::ConfigError;
use crate::connector::{Choice, Connector, ConnectorError};
use crate::executor::{ExecutorError, PythonError};
use crate::fault::Fault;
use crate::runs::RunsError;
use crate::sandbox::printable;
use crate::state::StateStoreError;
use crate::sync::{ErrorReport, SyncError, SyncFailure};

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Human,
    Json,
}

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) format: Format,
    pub(super) quiet: bool,
    pub(super) verbose: bool,
}

/// Any error a command can end in.
#[derive(Debug)]
pub(super) enum CliError {
    /// To be printed.
    Fault(Box<dyn Fault + Send + Sync>),
    /// Printed already; only the exit code is left.
    Said(u8),
}

macro_rules! from_faults {
    ($($error:ty),*) => {$(
        impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::Fault(Box::new(error))
            }
        }
    )*};
}
from_faults!(
    AuthorError,
    CacheError,
    ConfigError,
    ConnectorError,
    ExecutorError,
    PythonError,
    ComponentError,
    RunsError,
    StateStoreError,
    SyncError
);

impl From<Box<SyncFailure>> for CliError {
    fn from(failure: Box<SyncFailure>) -> Self {
        Self::from(failure.error)
    }
}

impl CliError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Fault(fault) => fault.exit().code(),
            Self::Said(code) => *code,
        }
    }
}

impl Output {
    pub(super) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Prints a result on stdout.
    pub(super) fn result(self, text: &str) {
        write_stdout(text.as_bytes());
    }

    /// Prints a result as one JSON object on stdout.
    pub(super) fn json(self, value: &impl serde::Serialize) {
        // Our own types always serialise.
        let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
        text.push('\n');
        write_stdout(text.as_bytes());
    }

    /// Says something on stderr, unless it should be quiet.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            write_stderr(&format!("{}\n", printable(text)));
        }
    }

    /// Says what went wrong when it was decided how a connector is run, or what to know of it.
    pub(super) fn warned(self, name: &str, choice: &Choice) {
        for warning in &choice.warnings {
            self.note(&format!("{name}: {warning}"));
        }
    }

    /// Says with `--verbose` how a connector is run, and why; and in any case what went wrong when
    /// that was decided.
    pub(super) fn chosen(self, who: &str, connector: &Connector) {
        let Some(choice) = connector.choice() else { return };
        self.warned(connector.name(), choice);
        if self.verbose {
            let (method, why) = (&choice.method, &choice.why);
            let (word, target) = (method.word(), method.target());
            self.note(&format!("{who} {} runs as {word}, {target}: {why}", connector.name()));
        }
    }

    /// Prints an error on stderr.
    pub(super) fn error(self, error: &CliError) {
        let CliError::Fault(fault) = error else { return };
        let report = ErrorReport::new(fault.as_ref());
        if self.is_json() {
            let mut text = serde_json::to_string(&report).unwrap_or_default();
            text.push('\n');
            write_stderr(&text);
            return;
        }
        let mut text = format!("error[{}]: {}\n", report.code, report.message);
        for (name, value) in &report.context {
            let value = value.as_str().unwrap_or_default();
            text.push_str(&format!("  {name}: {}\n", indented(value)));
        }
        if let Some(hint) = &report.hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        write_stderr(&printable(&text));
    }
}

/// Whether a command line that cannot be parsed asked for JSON.
pub(super) fn asks_for_json(words: &[OsString]) -> bool {
    let pair = |pair: &[OsString]| pair[0] == "--output" && pair[1] == "json";
    words.iter().any(|word| word == "--output=json") || words.windows(2).any(pair)
}

/// Prints what clap says of a command line as an error object.
pub(super) fn usage_as_json(text: &str) {
    let text = text.trim();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let (message, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let report = ErrorReport {
        code: "USAGE",
        message: message.to_owned(),
        hint: (!rest.is_empty()).then(|| rest.to_owned()),
        context: serde_json::Map::new(),
    };
    // Our own types always serialise.
    write_stderr(&format!("{}\n", serde_json::to_string(&report).unwrap_or_default()));
}

/// Lines after the first stand below it.
fn indented(text: &str) -> String {
    /// A stack trace of a connector can be endless; the log has the rest.
    const LINES: usize = 30;
    let lines: Vec<&str> = text.trim_end().lines().take(LINES).collect();
    lines.join("\n    ")
}

/// Whether a result could not be printed.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whoever stops reading our output has seen enough of it. Any other error loses a result.
fn write_stdout(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        LOST.store(true, Ordering::Relaxed);
        write_stderr(&format!("stdout: {error}\n"));
    }
}

/// Whether a result could not be printed: then nothing is done, whatever went well.
pub(super) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

pub(super) fn write_stderr(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1.5 MB`, in powers of 1000.
pub(super) fn sized(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit behind the point")]
    let mut size = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if size < 1000.0 {
            break;
        }
        size /= 1000.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

/// Columns under each other; numbers to the right.
pub(super) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.chars().count());
            if right.contains(&column) {
                line.push_str(&pad);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&pad);
            }
            line.push_str("  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1234), "1,234");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(sized(999), "999 B");
        assert_eq!(sized(1_500_000), "1.5 MB");
    }
}
