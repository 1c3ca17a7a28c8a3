//! Progress of a sync on stderr: a line that lives on a terminal, a line every few seconds
//! elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{Output, grouped, sized, write_stderr};
use crate::sandbox::printable;
use crate::sync::Counters;

/// Between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(5);
/// Between two changes on a terminal.
const LIVE: Duration = Duration::from_millis(200);

/// Shows progress until it is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    task: tokio::task::JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn start(counters: Arc<Counters>, output: Output) -> Option<Self> {
        if output.quiet {
            return None;
        }
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            loop {
                match &shown {
                    Some(bar) => {
                        tokio::time::sleep(LIVE).await;
                        bar.set_message(line(&counters));
                        bar.tick();
                    }
                    None => {
                        tokio::time::sleep(EVERY).await;
                        write_stderr(&format!("{}\n", line(&counters)));
                    }
                }
            }
        });
        Some(Self { task, bar })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(counters: &Counters) -> String {
    let total = counters.total();
    let seconds = counters.elapsed().as_secs_f64().max(0.001);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people"
    )]
    let rate = |n: u64| (n as f64 / seconds) as u64;
    let of = counters.estimate().map_or_else(String::new, |n| format!(" of about {}", grouped(n)));
    let running: Vec<String> = counters
        .streams
        .iter()
        .filter(|s| s.status() == "running")
        .map(|s| format!("{} {}", printable(&s.descriptor.to_string()), grouped(s.get().emitted)))
        .take(3)
        .collect();
    format!(
        "{seconds:.0} s: {}{of} records read, {} committed, {}/s, {}/s  {}",
        grouped(total.emitted),
        grouped(total.committed),
        grouped(rate(total.emitted)),
        sized(rate(total.bytes)),
        running.join(", "),
    )
}
