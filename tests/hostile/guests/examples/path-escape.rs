//! The attack: every spelling of a path that leads out of a granted directory.

use hostile_guests::{
    Failure, Source, wasi,
    wasi::{DescriptorFlags, OpenFlags, PathFlags},
};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let directory = wasi::granted()?;
        let deep = format!("{}secret", "../".repeat(1000));
        let long = "a/".repeat(10_000);
        let paths = [
            "../secret",
            "./../secret",
            "inside/../../secret",
            "inside//..//../secret",
            "..",
            "../",
            "../.",
            "/",
            "//",
            "/etc/passwd",
            "//etc/passwd",
            "\0",
            "inside/../\0../secret",
            "..\\secret",
            "../secret/",
            "/proc/self/environ",
            "/dev/null",
            &deep,
            &long,
        ];
        hostile_guests::all_refused(paths.into_iter().map(|path| {
            let (open, read) = (OpenFlags::empty(), DescriptorFlags::READ);
            (path.to_owned(), directory.open_at(PathFlags::SYMLINK_FOLLOW, path, open, read))
        }))
    }
}

hostile_guests::source!(Attack);
