//! The attack: it starts threads, to compute outside of what is counted.

use hostile_guests::{Failure, Source};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        match std::thread::Builder::new().spawn(|| ()) {
            Err(why) => hostile_guests::refused(why.kind()),
            Ok(_) => hostile_guests::reached("a thread"),
        }
    }
}

hostile_guests::source!(Attack);
