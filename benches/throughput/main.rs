//! Measures what Lockgate promises, each figure beside what it is compared with, in one run on one
//! machine: `make bench`. Figures are medians; ratios are what to read, absolute times move with
//! the machine.

#![expect(clippy::expect_used, reason = "a benchmark that cannot measure says why and stops")]

mod components;
mod measure;
mod native;
mod router;
mod start;
mod tax;

use measure::Table;

fn main() {
    // The native side of the router's comparison is this program under another name.
    if std::env::args().nth(1).as_deref() == Some(native::NAME) {
        native::count();
        return;
    }
    let mut table = Table::default();
    let quick = std::env::args().any(|a| a == "--quick");
    start::run(&mut table);
    components::run(&mut table, quick);
    router::run(&mut table, quick);
    tax::run(&mut table, quick);
    table.print();
}
