//! The attack: every way of changing what was granted to be read.

use hostile_guests::{
    Failure, Source, wasi,
    wasi::{DescriptorFlags, OpenFlags, PathFlags},
};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let directory = wasi::granted()?;
        let follow = PathFlags::SYMLINK_FOLLOW;
        let (read, write) = (DescriptorFlags::READ, DescriptorFlags::WRITE);
        let open = |how, flags| directory.open_at(follow, "file", how, flags).map(drop);
        let file = directory.open_at(follow, "file", OpenFlags::empty(), read);
        let file = file.map_err(|why| Failure::system(format!("{why:?}")))?;
        let now = || wasi::NewTimestamp::Now;
        hostile_guests::all_refused([
            ("open to write".to_owned(), open(OpenFlags::empty(), write)),
            ("truncate".to_owned(), open(OpenFlags::TRUNCATE, read)),
            ("truncate and write".to_owned(), open(OpenFlags::TRUNCATE, read | write)),
            (
                "create".to_owned(),
                directory.open_at(follow, "new", OpenFlags::CREATE, read).map(drop),
            ),
            (
                "change the folder".to_owned(),
                open(OpenFlags::DIRECTORY, DescriptorFlags::MUTATE_DIRECTORY),
            ),
            ("write".to_owned(), file.write(b"x", 0).map(drop)),
            ("write as a stream".to_owned(), file.write_via_stream(0).map(drop)),
            ("append as a stream".to_owned(), file.append_via_stream().map(drop)),
            ("set size".to_owned(), file.set_size(0)),
            ("set times".to_owned(), file.set_times(now(), now())),
            ("set times at".to_owned(), directory.set_times_at(follow, "file", now(), now())),
            ("rename".to_owned(), directory.rename_at("file", &directory, "moved")),
            (
                "link".to_owned(),
                directory.link_at(PathFlags::empty(), "file", &directory, "linked"),
            ),
            ("symlink".to_owned(), directory.symlink_at("file", "linked")),
            ("make a folder".to_owned(), directory.create_directory_at("folder")),
            ("remove a folder".to_owned(), directory.remove_directory_at("inside")),
            ("remove".to_owned(), directory.unlink_file_at("file")),
        ])
    }
}

hostile_guests::source!(Attack);
