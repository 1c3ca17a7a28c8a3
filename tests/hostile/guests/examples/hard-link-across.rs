//! The attack: it links a file of a directory granted to be read into one granted to be written.

use hostile_guests::{Failure, Source, wasi, wasi::PathFlags};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let mut granted = wasi::get_directories();
        granted.sort_by(|one, other| one.1.cmp(&other.1));
        let [(readable, _), (writable, _)] = granted.as_slice() else {
            return Err(Failure::system("two directories are needed"));
        };
        hostile_guests::all_refused([
            (
                "link out".to_owned(),
                readable.link_at(PathFlags::empty(), "file", writable, "linked"),
            ),
            (
                "link in".to_owned(),
                writable.link_at(PathFlags::empty(), "mine", readable, "linked"),
            ),
            ("rename out".to_owned(), readable.rename_at("file", writable, "moved")),
            ("rename in".to_owned(), writable.rename_at("mine", readable, "moved")),
        ])
    }
}

hostile_guests::source!(Attack);
