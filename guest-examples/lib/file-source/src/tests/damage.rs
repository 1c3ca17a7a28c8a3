//! Files that are compressed, cut, damaged, or hostile.

use super::*;

fn lines(count: usize) -> Vec<u8> {
    let line = |number: usize| format!("{{\"n\":{number},\"text\":\"{}\"}}\n", number * number);
    (0..count).map(line).collect::<String>().into_bytes()
}

#[test]
fn compressed_files_are_read_whatever_they_are_called() {
    let scene = Scene::new("jsonl", &["*"]);
    scene.write("1", lines(1000));
    scene.write("2.gz", [gzip(&lines(500)), gzip(b""), gzip(&lines(500))].concat());
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    scene.write("3", [zstd(&lines(500)), skipped, zstd(&lines(500))].concat());
    let rows = scene.rows();
    let once: Vec<i64> = (0..1000).collect();
    let halves: Vec<i64> = (0..500).chain(0..500).collect();
    assert_eq!(numbers(&rows, "n"), [once, halves.clone(), halves].concat());
}

#[test]
fn what_is_cut_or_damaged_is_told() {
    let scene = Scene::new("jsonl", &["*"]);
    let discovered = |bytes: &[u8]| {
        scene.write("a", bytes);
        scene.properties().map_err(|failure| failure.message).expect_err("it is damaged")
    };
    let (gz, zst) = (gzip(&lines(5000)), zstd(&lines(5000)));
    let cut = discovered(&gz[..gz.len() / 2]);
    assert!(cut.starts_with("the file a ends in the middle of its gzip data"), "{cut}");
    let cut = discovered(&zst[..zst.len() / 2]);
    assert!(cut.starts_with("the file a ends in the middle of its zstd data"), "{cut}");
    let mut wrong = gz.clone();
    let end = wrong.len() - 6;
    wrong[end] ^= 1;
    let damaged = discovered(&wrong);
    assert!(damaged.contains("a is not gzip, or it is damaged"), "{damaged}");
    let damaged = discovered(&[&gz[..], b"garbage that is long"].concat());
    assert!(damaged.contains("a is not gzip, or it is damaged"), "{damaged}");
    let utf16 = discovered(b"\xff\xfea\0");
    assert!(utf16.contains("UTF-16"), "{utf16}");
}

#[test]
fn a_huge_window_is_refused_before_it_is_allocated() {
    let scene = Scene::new("jsonl", &["*"]);
    // A frame that asks for a window of 2 GiB.
    scene.write("a", [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00]);
    let failure = scene.properties().expect_err("it is too much").message;
    assert!(failure.contains("it needs a window of"), "{failure}");
}

#[test]
fn a_line_without_an_end_is_given_up() {
    let scene = Scene::new("jsonl", &["*"]);
    scene.write("a", gzip(&vec![b' '; 40 << 20]));
    let failure = scene.properties().expect_err("it is too long").message;
    assert_eq!(failure, "a, line 1: the line is longer than 33554432 bytes");
    let scene = Scene::new("csv", &["*"]);
    let text = [&b"a,b\n1,2\n3,\""[..], &vec![b'x'; 40 << 20]].concat();
    scene.write("a", gzip(&text));
    let failure = scene.properties().expect_err("it is too long").message;
    assert!(failure.contains("line 3") && failure.contains("is a quote not closed?"), "{failure}");
}

#[test]
fn bytes_that_are_no_text_are_told_by_their_place() {
    let scene = Scene::new("csv", &["*"]);
    scene.write("a.csv", b"id,t\n1,x\n2,\xe9\n");
    let failure = scene.failure();
    assert!(
        failure.starts_with("a.csv, line 3, column t: a text of 1 bytes that is not UTF-8"),
        "{failure}"
    );
    scene.write("a.csv", b"id,\xe9\n1,x\n");
    let failure = scene.properties().expect_err("a name").message;
    assert!(failure.contains("the name of column 2 is not UTF-8"), "{failure}");
}

#[test]
fn an_open_quote_at_the_end_is_told() {
    let scene = Scene::new("csv", &["*"]);
    scene.write("a.csv", "a,b\n1,2\n3,\"x\n");
    let failure = scene.failure();
    assert_eq!(failure, "a.csv, line 3: a quote in the row that begins here is not closed");
}
