//! Files, through the native side of the module.

use lockgate_sdk::fs::{Directory, Open, Reason};
use lockgate_sdk::{Failure, FailureKind};

fn scratch() -> (tempfile::TempDir, Directory) {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let path = scratch.path().to_str().expect("a plain path").to_owned();
    let directory = Directory::open(&path).expect("it is there");
    assert_eq!(directory.path(), path);
    (scratch, directory)
}

#[test]
fn a_file_is_written_and_read_in_places() {
    let (_scratch, directory) = scratch();
    let file = directory.open_file("a", Open::Write).expect("it is new");
    file.write_at(b"hello", 0).expect("there is space");
    file.write_at(b"HE", 0).expect("there is space");
    file.sync_data().expect("it is a file");
    directory.sync().expect("it is a directory");
    assert_eq!(file.size().expect("it is open"), 5);

    let file = directory.open_file("a", Open::Read).expect("it is there");
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(&mut buffer, 1), Ok(4));
    assert_eq!(&buffer[..4], b"Ello");
    assert_eq!(file.read_at(&mut buffer, 5), Ok(0));

    let file = directory.open_file("a", Open::Write).expect("it is there");
    file.set_size(2).expect("it is open for writing");
    assert_eq!(file.size(), Ok(2));
    let file = directory.open_file("a", Open::Truncate).expect("it is there");
    assert_eq!(file.size(), Ok(0));
}

#[test]
fn names_change() {
    let (_scratch, directory) = scratch();
    for name in ["a", "b"] {
        let file = directory.open_file(name, Open::Write).expect("it is new");
        file.write_at(name.as_bytes(), 0).expect("there is space");
    }
    directory.rename("a", "b").expect("it replaces");
    assert_eq!(directory.list(), Ok(vec!["b".to_owned()]));
    directory.create_directory("c").expect("it is new");
    directory.remove_file("b").expect("it is there");
    assert_eq!(directory.list(), Ok(vec!["c".to_owned()]));
}

#[test]
fn failures_say_what_where_and_why() {
    let (_scratch, directory) = scratch();
    let error = directory.open_file("a", Open::Read).expect_err("it is not there");
    assert_eq!(*error.reason(), Reason::NotFound);
    assert_eq!(
        error.to_string(),
        format!("cannot open {}/a: there is no such file or directory", directory.path())
    );
    let failure = Failure::from(error);
    assert_eq!(failure.kind, FailureKind::Config);

    directory.create_directory("d").expect("it is new");
    let again = directory.create_directory("d").expect_err("it is there");
    assert_eq!(*again.reason(), Reason::Exists);
    for path in ["relative", "", "/a/../b"] {
        let error = Directory::open(path).expect_err("it is not absolute");
        assert_eq!((error.reason(), error.path()), (&Reason::Invalid, path));
    }
    let error = Directory::open("/no/such/directory").expect_err("it is not there");
    assert_eq!(*error.reason(), Reason::NotGranted);
}

#[test]
fn what_is_opened_to_read_says_when_it_was_changed() {
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::write(folder.path().join("file"), "as it was").expect("a file");
    let path = folder.path().to_str().expect("a path");
    let directory = Directory::open_to_read(path).expect("it is there");
    let file = directory.open_file("file", Open::Read).expect("it is there");
    let then = file.modified().expect("facts").expect("a time");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
    let second = 1_000_000_000;
    assert!(then / second <= now.as_secs().into() && then / second + 60 > now.as_secs().into());
    let missing = Directory::open_to_read("/there/is/no/such").expect_err("it is not there");
    assert_eq!(*missing.reason(), Reason::NotGranted);
}
