//! The attack: handles to host resources are made and never dropped.

use hostile_guests::{Failure, Source, wasi};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        for _ in 0..1_000_000 {
            std::mem::forget(wasi::monotonic_clock::subscribe_instant(0));
        }
        hostile_guests::reached("a million handles")
    }
}

hostile_guests::source!(Attack);
