//! The attack: it makes links that lead out of its directory, and goes through them.

use hostile_guests::{
    Failure, Source, wasi,
    wasi::{DescriptorFlags, OpenFlags, PathFlags},
};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let directory = wasi::granted()?;
        let made = [("../secret", "one"), ("..", "two"), ("inside/../../secret", "three")];
        for (target, name) in made {
            let _ = directory.symlink_at(target, name);
        }
        // `planted` was there: an absolute link, as an operator's data may have.
        let paths = ["one", "one/", "two/secret", "two/", "three", "planted", "planted/passwd"];
        hostile_guests::all_refused(paths.into_iter().map(|path| {
            let (open, read) = (OpenFlags::empty(), DescriptorFlags::READ);
            (path.to_owned(), directory.open_at(PathFlags::SYMLINK_FOLLOW, path, open, read))
        }))
    }
}

hostile_guests::source!(Attack);
