//! Measures what Lockgate promises, each figure beside what it is compared with, in one run on one
//! machine: `make bench`. Figures are medians; ratios are what to read, absolute times move with
//! the machine.

#![expect(clippy::expect_used, reason = "a benchmark that cannot measure says why and stops")]

mod components;
mod docker;
mod interruption;
mod measure;
mod native;
mod router;
mod sql;
mod start;
mod systems;
mod tax;

use measure::Table;

fn main() {
    // The native sides of the comparisons are this program under other names.
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(native::NAME) => return native::count(),
        Some(tax::NAME) => return tax::native_destination(&arguments[2], &arguments[3]),
        Some(interruption::NAME) => {
            return interruption::one_sync(&arguments[2], &arguments[3], &arguments[4]);
        }
        _ => {}
    }
    let mut table = Table::default();
    let quick = arguments.iter().any(|a| a == "--quick");
    let peers = !arguments.iter().any(|a| a == "--no-peers");
    if let Some(only) = arguments.iter().position(|a| a == "--only") {
        match arguments.get(only + 1).map(String::as_str) {
            Some("interruption") => interruption::run(&mut table, quick),
            Some("start") => start::run(&mut table),
            Some("docker") => docker::run(&mut table, quick),
            Some("sql") => sql::run(&mut table, quick, peers),
            Some("systems") => systems::run(&mut table, quick, peers),
            Some("tax") => tax::run(&mut table, quick),
            _ => router::run(&mut table, quick),
        }
        return table.print();
    }
    start::run(&mut table);
    components::run(&mut table, quick);
    router::run(&mut table, quick);
    docker::run(&mut table, quick);
    sql::run(&mut table, quick, peers);
    systems::run(&mut table, quick, peers);
    tax::run(&mut table, quick);
    interruption::run(&mut table, quick);
    table.print();
}
