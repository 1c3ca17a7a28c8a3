//! The attack: it opens files until the host has no descriptors left, and makes files until the disk
//! has no room for their names.

use hostile_guests::{
    Failure, Source, wasi,
    wasi::{DescriptorFlags, OpenFlags, PathFlags},
};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let directory = wasi::granted()?;
        let (open, read) = (OpenFlags::empty(), DescriptorFlags::READ);
        let mut held = Vec::new();
        let opened = (0..5000).try_for_each(|_| {
            held.push(directory.open_at(PathFlags::empty(), "file", open, read)?);
            Ok::<_, wasi::ErrorCode>(())
        });
        held.clear();
        let made = (0..5000).try_for_each(|n| {
            let (how, name) = (OpenFlags::CREATE, format!("f{n}"));
            directory.open_at(PathFlags::empty(), &name, how, read | DescriptorFlags::WRITE)?;
            directory.unlink_file_at(&name)
        });
        hostile_guests::all_refused([("opened".to_owned(), opened), ("made".to_owned(), made)])
    }
}

hostile_guests::source!(Attack);
