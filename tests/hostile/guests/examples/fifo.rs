//! The attack: it opens a named pipe that nobody else opens, to hold up the host.

use hostile_guests::{
    Failure, Source, wasi,
    wasi::{DescriptorFlags, OpenFlags, PathFlags},
};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let directory = wasi::granted()?;
        let (open, read) = (OpenFlags::empty(), DescriptorFlags::READ);
        let pipe = directory.open_at(PathFlags::SYMLINK_FOLLOW, "pipe", open, read);
        let read = pipe.and_then(|pipe| pipe.read(1, 0));
        hostile_guests::all_refused([("pipe".to_owned(), read)])
    }
}

hostile_guests::source!(Attack);
