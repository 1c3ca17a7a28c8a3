//! The attack: writes of nothing, without end: each may cost the host an allocation.

use hostile_guests::{Failure, Source, wasi};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let stdout = wasi::get_stdout();
        loop {
            let _ = stdout.write(&[]);
        }
    }
}

hostile_guests::source!(Attack);
