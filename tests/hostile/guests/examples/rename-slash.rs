//! The attack: it renames a link, named with a slash at its end, so that what it names is moved.

use hostile_guests::{Failure, Source, wasi, wasi::PathFlags};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let directory = wasi::granted()?;
        let _ = directory.symlink_at("../outside", "way");
        hostile_guests::all_refused([
            ("way/".to_owned(), directory.rename_at("way/", &directory, "moved")),
            ("way/.".to_owned(), directory.rename_at("way/.", &directory, "moved")),
            ("way/secret".to_owned(), directory.rename_at("way/secret", &directory, "moved")),
            ("to way/new".to_owned(), directory.rename_at("inside", &directory, "way/new")),
            ("to ../new".to_owned(), directory.rename_at("inside", &directory, "../new")),
            (
                "link way/secret".to_owned(),
                directory.link_at(PathFlags::empty(), "way/secret", &directory, "moved"),
            ),
            ("mkdir way/new".to_owned(), directory.create_directory_at("way/new")),
            ("unlink way/secret".to_owned(), directory.unlink_file_at("way/secret")),
        ])
    }
}

hostile_guests::source!(Attack);
