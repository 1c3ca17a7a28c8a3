//! The attack: one line of 64 MiB on stdout, and never its end.

use hostile_guests::{Failure, Source, wasi};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let stdout = wasi::get_stdout();
        let part = vec![b'x'; 64 << 10];
        for _ in 0..1 << 10 {
            if stdout.check_write().is_err() || stdout.write(&part).is_err() {
                return hostile_guests::refused("stdout");
            }
        }
        Ok(())
    }
}

hostile_guests::source!(Attack);
