//! The attack: it looks for arguments and the working folder of the host.

use hostile_guests::{Failure, Source};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let arguments: Vec<String> = std::env::args().collect();
        let folder = std::env::current_dir().map(|d| d.display().to_string());
        match (arguments.as_slice(), folder.as_deref()) {
            ([], Ok("/") | Err(_)) => hostile_guests::refused("no arguments, no folder"),
            seen => hostile_guests::reached(format_args!("{seen:?}")),
        }
    }
}

hostile_guests::source!(Attack);
