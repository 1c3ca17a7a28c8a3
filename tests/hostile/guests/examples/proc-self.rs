//! The attack: it reads the host's environment and memory through a link to /proc in its directory.

use hostile_guests::{
    Failure, Source, wasi,
    wasi::{DescriptorFlags, OpenFlags, PathFlags},
};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let directory = wasi::granted()?;
        let _ = directory.symlink_at("/proc/self", "own");
        let paths =
            ["proc/self/environ", "proc/self/root/etc/passwd", "proc/self/fd/0", "own/maps"];
        hostile_guests::all_refused(paths.into_iter().map(|path| {
            let (open, read) = (OpenFlags::empty(), DescriptorFlags::READ);
            (path.to_owned(), directory.open_at(PathFlags::SYMLINK_FOLLOW, path, open, read))
        }))
    }
}

hostile_guests::source!(Attack);
