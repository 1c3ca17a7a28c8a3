//! Component to component, and memory while much flows.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::measure::{Table, guest, lockgate, median, peak_of, per_second, target};

/// Bytes of a row.
const ROW: u64 = 300;

/// Moves rows; gives rows a second and the most memory used.
fn sync(rows: u64, destination: &Path) -> (f64, u64) {
    let start = Instant::now();
    let mut command = Command::new(lockgate());
    command
        .args(["sync", "--state", "none", "--quiet", "--output", "json", "--source"])
        .arg(guest("source-rows"))
        .arg("--source-config")
        .arg(format!(r#"{{"rows":{rows},"row_bytes":{ROW}}}"#))
        .arg("--destination")
        .arg(destination)
        .env("LOCKGATE_CACHE_DIR", target().join("bench-cache"));
    let (output, peak) = peak_of(&mut command);
    let report: serde_json::Value = serde_json::from_slice(&output).expect("a report");
    assert_eq!(report["records_committed"], rows);
    (per_second(rows, start.elapsed()), peak)
}

pub(crate) fn run(table: &mut Table, quick: bool) {
    let rows = if quick { 2_000_000 } else { 10_000_000 };
    let destination = guest("destination-dev-null");
    let (_, little) = sync(1_000_000, &destination);
    let rates = (0..5).map(|_| sync(rows, &destination).0);
    let ours = median(rates.collect());
    table.add(
        "component to component, 300 B rows, whole process",
        format!("{:.1} M rows/s", ours / 1e6),
        "-".into(),
        "-".into(),
        "at least 5 M rows/s",
    );

    let bytes: u64 = if quick { 1_000_000_000 } else { 10_000_000_000 };
    let (_, much) = sync(bytes / ROW, &destination);
    table.add(
        &format!("host memory while {} GB flow", bytes / 1_000_000_000),
        format!("{:.0} MB", much as f64 / 1e6),
        format!("{:.0} MB while 0.3 GB flow", little as f64 / 1e6),
        format!("{:.2} x", much as f64 / little as f64),
        "flat, under 100 MB",
    );
}
