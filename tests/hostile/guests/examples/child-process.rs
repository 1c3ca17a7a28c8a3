//! The attack: it starts a program of the host.

use hostile_guests::{Failure, Source};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        match std::process::Command::new("/bin/sh").arg("-c").arg("true").status() {
            Err(why) => hostile_guests::refused(why.kind()),
            Ok(_) => hostile_guests::reached("a program"),
        }
    }
}

hostile_guests::source!(Attack);
