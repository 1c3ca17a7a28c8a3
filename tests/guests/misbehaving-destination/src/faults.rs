//! Faults in what is said to the host.

use std::time::Duration;

use lockgate_sdk::Failure;
use lockgate_sdk::bindings::input::{self, Event, StreamTotal};
use lockgate_sdk::bindings::types::Catalog;

use crate::{Kind, Mode};

#[expect(clippy::panic, reason = "a trap is what the mode asks for")]
pub(crate) fn write(mode: &Mode, catalog: &Catalog) -> Result<(), Failure> {
    let mut totals = Vec::new();
    let mut kept = Vec::new();
    let (mut events, mut batches, mut rows) = (0, 0, 0);
    loop {
        if let Mode::Slow { millis } = mode {
            std::thread::sleep(Duration::from_millis(*millis));
        }
        let event = match input::next() {
            Ok(Some(event)) => event,
            Ok(None) => break,
            Err(_) if matches!(mode, Mode::IgnoreFailure) => return Ok(()),
            Err(failure) => return Err(failure),
        };
        events += 1;
        if let Mode::ReturnEarly { events: last } = mode
            && events >= *last
        {
            return Ok(());
        }
        match event {
            Event::Rows(batch) => {
                batches += 1;
                rows += u64::from(batch.count);
                if let Mode::Trap { batch: at } = mode
                    && batches >= *at
                {
                    panic!("misbehaving on purpose at batch {batches}");
                }
                count(&mut totals, batch.stream, batch.count, batch.data.len());
                if let Mode::FailAfter { rows: limit, kind } = mode
                    && rows >= *limit
                {
                    return Err(failure(*kind, rows));
                }
            }
            Event::Checkpoint(id) => match mode {
                Mode::CommitUnknown => commit(mode, id + 1_000_000, &totals, catalog)?,
                Mode::CommitTwice => {
                    commit(mode, id, &totals, catalog)?;
                    commit(mode, id, &totals, catalog)?;
                }
                Mode::CommitOutOfOrder => kept.push((id, totals.clone())),
                Mode::NeverCommit => {}
                Mode::IgnoreFlush => kept = vec![(id, totals.clone())],
                _ => commit(mode, id, &totals, catalog)?,
            },
            Event::StreamEnd(_) | Event::Flush => {}
        }
    }
    while let Some((id, totals)) = kept.pop() {
        commit(mode, id, &totals, catalog)?;
    }
    Ok(())
}

fn count(totals: &mut Vec<StreamTotal>, stream: u32, rows: u32, bytes: usize) {
    if !totals.iter().any(|total| total.stream == stream) {
        totals.push(StreamTotal { stream, written: 0, rejected: 0, bytes: 0 });
    }
    for total in totals.iter_mut().filter(|total| total.stream == stream) {
        total.written += u64::from(rows);
        total.bytes += bytes as u64;
    }
}

fn commit(mode: &Mode, id: u64, totals: &[StreamTotal], catalog: &Catalog) -> Result<(), Failure> {
    let mut totals = totals.to_vec();
    match mode {
        Mode::WrongTotals => {
            for total in &mut totals {
                total.written = total.written.saturating_sub(1);
            }
        }
        Mode::NoTotals => totals.clear(),
        Mode::UnknownStream => totals.push(StreamTotal {
            stream: catalog.streams.len() as u32,
            written: 1,
            rejected: 0,
            bytes: 1,
        }),
        Mode::RejectAll => {
            for total in &mut totals {
                total.rejected = std::mem::take(&mut total.written);
                total.bytes = 0;
            }
        }
        _ => {}
    }
    match input::committed(id, &totals) {
        Err(_) if matches!(mode, Mode::IgnoreFailure) => Ok(()),
        result => result,
    }
}

fn failure(kind: Kind, rows: u64) -> Failure {
    let message = format!("failing on purpose after {rows} rows");
    match kind {
        Kind::Config => Failure::config(message),
        Kind::Transient => Failure::transient(message).retry_after(Duration::from_millis(1500)),
        Kind::System => Failure::system(message).with_detail("the detail of the failure"),
        Kind::Cancelled => Failure::new(lockgate_sdk::FailureKind::Cancelled, message),
    }
}
