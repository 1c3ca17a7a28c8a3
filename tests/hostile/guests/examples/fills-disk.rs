//! The attack: it fills the disk of its directory, in every way of writing.

use hostile_guests::{
    Failure, Source, wasi,
    wasi::{DescriptorFlags, OpenFlags, PathFlags},
};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        let directory = wasi::granted()?;
        let chunk = vec![b'x'; 1 << 20];
        let file = |name: &str| {
            let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
            let file = directory.open_at(PathFlags::empty(), name, OpenFlags::CREATE, flags);
            file.map_err(|why| Failure::system(format!("{why:?}")))
        };
        let (written, sized, streamed) = (file("written")?, file("sized")?, file("streamed")?);
        let mut tried = Vec::new();
        for at in 0..100 {
            let wrote = written.write(&chunk, at << 20);
            if wrote.is_err() || at == 99 {
                tried.push(("write".to_owned(), wrote.map(drop).map_err(|why| format!("{why:?}"))));
                break;
            }
        }
        let hole = sized.set_size(1 << 40).map_err(|why| format!("{why:?}"));
        tried.push(("a hole".to_owned(), hole));
        let stream =
            streamed.append_via_stream().map_err(|why| Failure::system(format!("{why:?}")))?;
        for at in 0..10_000 {
            let wrote = stream.blocking_write_and_flush(&chunk[..4096]);
            if wrote.is_err() || at == 9999 {
                tried
                    .push(("a stream".to_owned(), wrote.map_err(|_| "a failed stream".to_owned())));
                break;
            }
        }
        hostile_guests::all_refused(tried)
    }
}

hostile_guests::source!(Attack);
