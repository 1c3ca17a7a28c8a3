//! Progress of a sync on stderr: a view that lives on a terminal, a line every few seconds elsewhere,
//! nothing with `--quiet`.
//!
//! Rates are those of the last seconds: a mean over everything hides that nothing moves any more. Only
//! what the destination confirmed is called confirmed.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{Output, grouped, sized, table, write_stderr};
use crate::sandbox::printable;
use crate::sync::{Counted, Counters, StreamCounters};

/// Between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(5);
/// Between two changes on a terminal.
const LIVE: Duration = Duration::from_millis(200);
/// What a rate is of.
const WINDOW: Duration = Duration::from_secs(5);
/// Streams in the view: more would scroll a small terminal.
const SHOWN: usize = 10;

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
            let mut window = Window::default();
            loop {
                match &shown {
                    Some(bar) => {
                        tokio::time::sleep(LIVE).await;
                        let view = View::of(&counters, &mut window);
                        bar.set_message(view.text());
                        bar.tick();
                    }
                    None => {
                        tokio::time::sleep(EVERY).await;
                        let view = View::of(&counters, &mut window);
                        write_stderr(&format!("{}\n", view.line()));
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

/// What there was a while ago.
#[derive(Debug, Default)]
struct Window {
    seen: VecDeque<(Duration, Vec<Counted>)>,
}

impl Window {
    /// Takes what there is now, and gives what there was a window ago, or at the beginning.
    fn push(&mut self, now: Duration, counted: &[Counted]) -> (Duration, Vec<Counted>) {
        let old = |at: &Duration| now.saturating_sub(*at) >= WINDOW;
        // The last that is old enough stays.
        while self.seen.get(1).is_some_and(|(at, _)| old(at)) {
            self.seen.pop_front();
        }
        let before = self.seen.front().cloned();
        self.seen.push_back((now, counted.to_vec()));
        before.unwrap_or_else(|| (Duration::ZERO, vec![Counted::default(); counted.len()]))
    }
}

/// Something per second.
fn rate(amount: u64, during: Duration) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people"
    )]
    let rate = (amount as f64 / during.as_secs_f64().max(0.001)) as u64;
    rate
}

/// How much of an estimate is done, from 0 to 1, and how long the rest takes at this rate.
fn done(counted: u64, estimate: u64, rate: u64) -> (f64, Option<Duration>) {
    #[expect(clippy::cast_precision_loss, reason = "a part for people")]
    let part = (counted as f64 / estimate.max(1) as f64).min(1.0);
    let left = estimate.saturating_sub(counted);
    (part, left.checked_div(rate).map(Duration::from_secs))
}

/// One stream, or all.
struct Line {
    name: String,
    status: &'static str,
    counted: Counted,
    /// Of rows and bytes, in the last seconds.
    rate: u64,
    byte_rate: u64,
    estimate: Option<u64>,
    done: Option<(f64, Option<Duration>)>,
}

impl Line {
    fn of(
        name: String,
        status: &'static str,
        [before, counted]: [Counted; 2],
        during: Duration,
        (rows, bytes): (Option<u64>, Option<u64>),
    ) -> Self {
        let since = |now: u64, then: u64| rate(now.saturating_sub(then), during);
        let per_second = since(counted.emitted, before.emitted);
        let byte_rate = since(counted.bytes, before.bytes);
        let done = match (rows, bytes) {
            (Some(rows), _) => Some(done(counted.emitted, rows, per_second)),
            (None, Some(bytes)) => Some(done(counted.bytes, bytes, byte_rate)),
            (None, None) => None,
        };
        Self { name, status, counted, rate: per_second, byte_rate, estimate: rows, done }
    }

    /// `1,234 of about 5,000`.
    fn read(&self) -> String {
        let of = self.estimate.map(|n| format!(" of about {}", grouped(n))).unwrap_or_default();
        format!("{}{of}", grouped(self.counted.emitted))
    }

    /// `24 %, 40 s left`.
    fn part(&self) -> Option<String> {
        let (part, left) = self.done?;
        let left = left.map(|left| format!(", {} left", time(left))).unwrap_or_default();
        Some(format!("{:.0} %{left}", part * 100.0))
    }
}

/// `59 s`, `12 min 5 s`, `2 h 3 min`.
fn time(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// What is shown at one instant.
struct View {
    elapsed: Duration,
    all: Line,
    streams: Vec<Line>,
}

impl View {
    fn of(counters: &Counters, window: &mut Window) -> Self {
        let elapsed = counters.elapsed();
        let now: Vec<Counted> = counters.streams.iter().map(StreamCounters::get).collect();
        let (at, before) = window.push(elapsed, &now);
        let during = elapsed.saturating_sub(at);
        let sum = |all: &[Counted]| all.iter().fold(Counted::default(), |a, b| a.plus(*b));
        let guesses = (counters.estimate(), counters.estimate_bytes());
        let all = [sum(&before), sum(&now)];
        let lines = counters.streams.iter().zip(before.iter().zip(&now));
        let streams = lines.map(|(stream, (before, now))| {
            let name = printable(&stream.descriptor.to_string()).into_owned();
            Line::of(name, stream.status(), [*before, *now], during, stream.estimate())
        });
        Self {
            elapsed,
            all: Line::of("all".into(), "", all, during, guesses),
            streams: streams.collect(),
        }
    }

    /// The one line of everything.
    fn head(&self) -> String {
        let Line { counted, rate: per_second, byte_rate, .. } = &self.all;
        let part = self.all.part().map(|part| format!(" ({part})")).unwrap_or_default();
        let cached = match counted.cached {
            0 => String::new(),
            cached => format!("{} cached, ", grouped(cached)),
        };
        let rejected = match counted.rejected {
            0 => String::new(),
            rejected => format!(", {} rejected", grouped(rejected)),
        };
        format!(
            "{}: {} records read{part}, {cached}{} sent, {} confirmed{rejected}; {}/s and {}/s now, {}/s on the whole",
            time(self.elapsed),
            self.all.read(),
            grouped(counted.sent),
            grouped(counted.committed),
            grouped(*per_second),
            sized(*byte_rate),
            grouped(rate(counted.emitted, self.elapsed)),
        )
    }

    /// Everything, and the streams at work.
    fn line(&self) -> String {
        let running = self.streams.iter().filter(|s| s.status == "running").take(3);
        let running: Vec<String> =
            running.map(|s| format!("{} {}", s.name, grouped(s.counted.emitted))).collect();
        match running.is_empty() {
            true => self.head(),
            false => format!("{}; {}", self.head(), running.join(", ")),
        }
    }

    /// Everything, and a line a stream: those at work, then those done last.
    fn text(&self) -> String {
        let rank = |line: &&Line| match line.status {
            "running" => 0,
            "waiting" => 2,
            _ => 1,
        };
        let mut streams: Vec<&Line> = self.streams.iter().collect();
        streams.sort_by_key(rank);
        let rows = streams.iter().take(SHOWN).map(|line| {
            vec![
                line.name.clone(),
                line.status.to_owned(),
                format!("{} read", line.read()),
                format!("{} sent", grouped(line.counted.sent)),
                format!("{} confirmed", grouped(line.counted.committed)),
                format!("{}/s", grouped(line.rate)),
                format!("{}/s", sized(line.byte_rate)),
                line.part().unwrap_or_default(),
            ]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let more = match self.streams.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("  and {more} more\n"),
        };
        format!("{}\n{}{more}", self.head(), table(&rows, &[2, 3, 4, 5, 6])).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(emitted: u64) -> Counted {
        Counted { emitted, bytes: emitted * 100, ..Counted::default() }
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let mut window = Window::default();
        let mut rates = Vec::new();
        // 100 rows a second for ten seconds, then none.
        for second in 1..=20_u64 {
            let (now, rows) = (Duration::from_secs(second), second.min(10) * 100);
            let (at, before) = window.push(now, &[counted(rows)]);
            let line = Line::of(
                "a".into(),
                "running",
                [before[0], counted(rows)],
                now.checked_sub(at).unwrap(),
                (Some(2000), None),
            );
            rates.push(line.rate);
        }
        assert_eq!((rates[0], rates[9], rates[12], rates[19]), (100, 100, 40, 0));
        assert!(window.seen.len() < 10, "it forgets");
    }

    #[test]
    fn an_estimate_says_how_long_it_takes() {
        let line = |guess| {
            let both = [counted(0), counted(1200)];
            Line::of("a".into(), "running", both, Duration::from_secs(10), guess).part()
        };
        assert_eq!(line((Some(12000), None)).unwrap(), "10 %, 1 min 30 s left");
        assert_eq!(line((None, Some(240_000))).unwrap(), "50 %, 10 s left");
        // More than it guessed.
        assert_eq!(line((Some(100), None)).unwrap(), "100 %, 0 s left");
        assert_eq!(line((None, None)), None);
        assert_eq!(done(5, 10, 0).1, None, "nothing moves");
    }
}
