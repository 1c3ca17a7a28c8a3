//! The attack: lines on stdout and stderr, far more than are kept.

use hostile_guests::{Failure, Source};

impl Source for Attack {
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "the attack")]
    fn check(_: &str) -> Result<(), Failure> {
        let line = "a line of a flood that nobody will ever want to read ".repeat(40);
        for _ in 0..10_000 {
            println!("{line}");
            eprintln!("{line}");
        }
        Ok(())
    }
}

hostile_guests::source!(Attack);
