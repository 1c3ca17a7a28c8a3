//! What is fuzzed where cargo-fuzz is, as a property always: arbitrary bytes, the seeds, and seeds
//! that were cut, changed and put together.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a seed")).collect()
}

/// One change of bytes, at a place given in thousandths.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize, usize),
    Insert(usize, Vec<u8>),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |place: usize, bytes: &[u8]| place * bytes.len() / 1000;
        match self {
            Self::Flip(place, bits) => {
                let at = at(*place, bytes);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Self::Cut(one, other) => {
                let (one, other) = (at(*one, bytes), at(*other, bytes));
                bytes.drain(one.min(other)..one.max(other));
            }
            Self::Repeat(one, other, times) => {
                let (one, other) = (at(*one, bytes), at(*other, bytes));
                let part = bytes[one.min(other)..one.max(other)].repeat(*times);
                bytes.splice(one..one, part);
            }
            Self::Insert(place, more) => {
                let at = at(*place, bytes);
                bytes.splice(at..at, more.iter().copied());
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let place = || 0_usize..1000;
    // What means something to one parser or another.
    let words = proptest::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        ":",
        ",",
        "null",
        "\u{0}",
        "\u{7f}",
        "\\ud800",
        "1e999",
        "-0",
        "18446744073709551616",
        "\"type\":\"RECORD\"",
        "\"record\":{",
        "*",
        "/",
        "..",
        "=",
    ]);
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(place, bits)| Change::Flip(place, bits)),
        (place(), place()).prop_map(|(one, other)| Change::Cut(one, other)),
        (place(), place(), 1_usize..4).prop_map(|(a, b, times)| Change::Repeat(a, b, times)),
        (place(), words).prop_map(|(at, word)| Change::Insert(at, word.as_bytes().to_vec())),
        (place(), proptest::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
    ]
}

#[test]
fn no_body_is_broken_by_what_it_is_given() {
    for (name, body) in bodies::ALL {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        seeds.iter().for_each(|seed| body(seed));
        let mut runner = TestRunner::new(Config {
            cases: 2000,
            // A find becomes a seed in fuzz/corpus.
            failure_persistence: None,
            ..Config::default()
        });
        let arbitrary = proptest::collection::vec(any::<u8>(), 0..300);
        let text = ".{0,200}".prop_map(String::into_bytes);
        let changed = (proptest::sample::select(seeds), proptest::collection::vec(change(), 1..6))
            .prop_map(|(mut bytes, changes)| {
                changes.iter().for_each(|change| change.apply(&mut bytes));
                bytes.truncate(64 << 10);
                bytes
            });
        let input = prop_oneof![1 => arbitrary, 1 => text, 4 => changed];
        let result = runner.run(&input, |bytes| {
            body(&bytes);
            Ok(())
        });
        if let Err(TestError::Fail(why, bytes)) = result {
            panic!("{name}: {why}\n{:?}", String::from_utf8_lossy(&bytes));
        }
    }
}
