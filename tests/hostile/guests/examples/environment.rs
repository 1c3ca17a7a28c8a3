//! The attack: it reads every variable, argument and directory there is.

use hostile_guests::{Failure, Source};

impl Source for Attack {
    #[expect(clippy::disallowed_methods, reason = "the attack")]
    fn check(_: &str) -> Result<(), Failure> {
        let mut seen: Vec<String> = Vec::new();
        seen.extend(std::env::vars().map(|(name, value)| format!("{name}={value}")));
        seen.extend(std::env::args());
        seen.extend(
            std::env::current_dir()
                .ok()
                .filter(|d| d.as_os_str() != "/")
                .map(|d| d.display().to_string()),
        );
        seen.extend(
            std::fs::read_dir("/")
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| e.path().display().to_string()),
        );
        match seen.is_empty() {
            true => hostile_guests::refused("nothing is there"),
            false => Err(Failure::system(seen.join(" "))),
        }
    }
}

hostile_guests::source!(Attack);
