//! Whether what a destination confirmed survives a kill.

use super::compare::Differences;
use super::play::{End, Played, Step, write};
use super::report::Findings;
use super::rule::{WRITE_APPEND, WRITE_DURABLE, WRITE_GLOBAL, WRITE_INTERLEAVED};
use super::tried::{Stream, Tried, failed, numbers};
use crate::protocol::DestinationSyncMode;

/// A write that ends in a kill once all of its states are confirmed.
struct Try {
    /// Streams, each with the same rows. Of several, states are of all streams.
    names: &'static [&'static str],
    /// Rows up to each state: no buffer is full at the last of them.
    states: &'static [u64],
}

/// More than one: who confirms just before it writes is as fast as the kill now and then.
const TRIES: [Try; 3] = [
    Try { names: &["durable"], states: &[499, 528] },
    Try { names: &["durable_few"], states: &[127] },
    Try { names: &["durable_a", "durable_b"], states: &[499, 528] },
];

impl Try {
    /// Writes and kills; what was played, and the rows of each stream.
    async fn play(&self, tried: &Tried<'_>, sync_id: u64) -> (Played, Vec<String>) {
        let streams: Vec<Stream> = (self.names.iter())
            .map(|name| Stream::numbers(name, DestinationSyncMode::Append))
            .collect();
        let mut steps = Vec::new();
        let mut rows = Vec::new();
        let mut from = 0;
        for to in self.states {
            let some = numbers(from..*to, &"kept ".repeat(100));
            for (index, _) in (0u32..).zip(self.names) {
                steps.push(Step::Rows(index, some.clone()));
            }
            steps.push(match self.names {
                [_] => Step::State(0, *to),
                _ => Step::Global(*to),
            });
            rows.extend(some);
            from = *to;
        }
        steps.push(Step::WhenConfirmed(End::Kill));
        (write(tried.trial, &tried.catalog(&streams, sync_id), steps).await, rows)
    }
}

pub(super) async fn rule(tried: &Tried<'_>, findings: &mut Findings) {
    tried.trial.progress.tries("a kill after a confirmed state");
    findings.begin();
    // What replaces is in place only when it is complete.
    if !tried.supports(DestinationSyncMode::Append) {
        findings.skip(WRITE_DURABLE, "it does not append");
        return;
    }
    if findings.failed(WRITE_APPEND) {
        findings.skip(WRITE_DURABLE, "WRITE_APPEND does not hold");
        return;
    }
    let apart = [WRITE_INTERLEAVED, WRITE_GLOBAL].iter().all(|rule| !findings.failed(*rule));
    let mut open = false;
    let mut differs = Ok(Differences::default());
    let mut expected: Vec<String> = Vec::new();
    for (sync_id, one) in (40u64..).zip(TRIES).filter(|(_, one)| apart || one.names.len() == 1) {
        let (played, rows) = one.play(tried, sync_id).await;
        if let Some(failed) = failed(&played) {
            findings.judge(WRITE_DURABLE, vec![failed]);
            return;
        }
        if !played.confirmed_open {
            // Nor will it the next time.
            break;
        }
        open = true;
        differs = tried.differ(one.names.iter().map(|name| (*name, rows.as_slice()))).await;
        expected = rows;
        if !differs.as_ref().is_ok_and(Differences::is_empty) {
            break;
        }
    }
    if !open {
        let patience = tried.trial.options.commit_time.as_secs();
        let open = "while its input was open (--commit-time)";
        findings.skip(WRITE_DURABLE, format!("it confirmed nothing for {patience} s {open}"));
        return;
    }
    tried.judge(findings, WRITE_DURABLE, differs, &[&expected]).await;
}
