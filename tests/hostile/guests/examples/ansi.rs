//! The attack: control characters, to own the operator's terminal.

use hostile_guests::{Failure, Source, log};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        const TEXT: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\u{0}\u{202e}\u{9b}31m";
        log::info(TEXT);
        Err(Failure::config(format!("refused: {TEXT}")).with_detail(TEXT))
    }
}

hostile_guests::source!(Attack);
