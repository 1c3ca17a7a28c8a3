//! What interruption and accounting cost: the same sync of two components with limits off, with
//! epochs in its process, and in a worker. CPU time of user and kernel, of all processes together,
//! start-up included.

use std::process::Command;

use lockgate::component::{CompileCache, measure_without_limits};
use lockgate::protocol::Json;
use lockgate::{Host, WorkerProgram, WriteOptions, WriteStrategy};

use crate::measure::{Table, cpu_of, guest, lockgate, median, target};

/// The first argument that turns the benchmark into one sync.
pub(crate) const NAME: &str = "one-sync";

/// Bytes of a row.
const ROW: u64 = 300;

const OFF: &str = "limits off";
const EPOCHS: &str = "epochs in-process";
const WORKER: &str = "worker";

/// Runs one sync in one way.
pub(crate) fn one_sync(way: &str, destination: &str, rows: &str) {
    let mut options = WriteOptions { strategy: WriteStrategy::Append, ..WriteOptions::default() };
    let host = Host::new().with_cache(Some(CompileCache::at(&target().join("bench-cache"))));
    let host = match way {
        EPOCHS => host,
        OFF => {
            measure_without_limits();
            host.for_workers()
        }
        _ => {
            options.worker = Some(WorkerProgram::new(lockgate()));
            host.for_workers()
        }
    };
    let path = |name: &str| guest(name).display().to_string();
    let config = Json::parse(format!(r#"{{"rows":{rows},"row_bytes":{ROW},"shape":"members"}}"#))
        .expect("JSON");
    let source = host.get_source(&path("source-rows"), &Default::default(), config);
    let destination =
        host.get_destination(&path(destination), &Default::default(), Json::empty_object());
    // As the command line's.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("tokio");
    let (source, destination) = (source.expect("a source"), destination.expect("a destination"));
    let result = runtime.block_on(destination.write(&source, &options)).expect("a sync");
    assert_eq!(result.records_committed().to_string(), rows);
}

fn measured(way: &str, destination: &str, rows: u64) -> f64 {
    let exe = std::env::current_exe().expect("a path");
    cpu_of(Command::new(exe).args([NAME, way, destination, &rows.to_string()]))
}

pub(crate) fn run(table: &mut Table, quick: bool) {
    let rounds = if quick { 3 } else { 9 };
    for (destination, does, rows, most) in [
        ("destination-dev-null", "rows pass through", 40_000_000, 1.1),
        ("destination-scan", "scans", 20_000_000, 1.2),
        ("destination-parse", "parses each row", 2_000_000, 1.3),
    ] {
        let rows = if quick { rows / 4 } else { rows };
        let ways = [OFF, EPOCHS, WORKER];
        for way in ways {
            // Compiles what is not in the cache.
            measured(way, destination, 1);
        }
        let mut spent = [const { Vec::new() }; 3];
        for round in 0..rounds {
            // In turn, and each first in its turn, so that all meet the same machine.
            for place in 0..ways.len() {
                let place = (place + round) % ways.len();
                spent[place].push(measured(ways[place], destination, rows));
            }
        }
        let [off, others @ ..] = spent;
        for (way, ours) in ways[1..].iter().zip(others) {
            let mut ratios: Vec<f64> = ours.iter().zip(&off).map(|(a, b)| a / b).collect();
            ratios.sort_by(f64::total_cmp);
            let ratio = median(ratios.clone());
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let per_row = |seconds: &[f64]| median(seconds.to_vec()) / rows as f64 * 1e9;
            table.add(
                &format!("interruption and accounting: {destination} ({does}), {way}, CPU"),
                format!("{:.0} ns a row", per_row(&ours)),
                format!("{:.0} ns a row, limits off", per_row(&off)),
                format!("{ratio:.2} x ({:.2} to {:.2})", ratios[0], ratios[ratios.len() - 1]),
                &format!("at most {most} x: {}", if ratio <= most { "met" } else { "missed" }),
            );
        }
    }
}
