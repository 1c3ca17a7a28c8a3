//! The attack: it opens a path again and again while somebody swaps a folder for a link out.

use hostile_guests::{
    Failure, Source, wasi,
    wasi::{DescriptorFlags, OpenFlags, PathFlags},
};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let directory = wasi::granted()?;
        for _ in 0..20_000 {
            let (open, read) = (OpenFlags::empty(), DescriptorFlags::READ);
            let opened = directory.open_at(PathFlags::SYMLINK_FOLLOW, "swapped/secret", open, read);
            if let Ok(file) = opened
                && let Ok((bytes, _)) = file.read(100, 0)
                && bytes.starts_with(b"secret")
            {
                return hostile_guests::reached("a file outside");
            }
        }
        hostile_guests::refused("never outside")
    }
}

hostile_guests::source!(Attack);
