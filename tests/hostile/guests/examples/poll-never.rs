//! The attack: it waits for something that never becomes ready.

use hostile_guests::{Failure, Source, wasi};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let never = wasi::monotonic_clock::subscribe_instant(u64::MAX);
        let soon = wasi::monotonic_clock::subscribe_instant(u64::MAX - 1);
        wasi::poll::poll(&[&never, &soon]);
        hostile_guests::reached("the end of time")
    }
}

hostile_guests::source!(Attack);
