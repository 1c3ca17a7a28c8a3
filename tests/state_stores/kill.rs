//! A process that is killed while it stores states: what it was told is stored is there, and of what
//! it was storing all or nothing.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use lockgate::protocol::Json;
use lockgate::state::StoredState;

use crate::{Place, open, stream};

crate::of_each_store!(what_was_stored_survives_a_kill);

/// The variable that tells the process to be killed where to store.
const STORE: &str = "LOCKGATE_TEST_STORE";

/// Stores two states at once, again and again, and says how far it came.
#[test]
#[ignore = "it is the process that is killed"]
#[expect(clippy::disallowed_methods, reason = "set by the test that starts it")]
fn writer() {
    let store = open(&std::env::var(STORE).expect("a store")).unwrap();
    let kept = store.load("a").unwrap();
    let first = kept.first().map_or(0, at) + 1;
    for at in first.. {
        let both = [stream("s", at), stream("t", at)].map(StoredState::incremental);
        store.store("a", &both, None).unwrap();
        println!("stored {at}");
    }
}

fn at(stored: &StoredState) -> u64 {
    let state: Option<Json> = stored.state.parts()[0].state.clone();
    state.unwrap().to_value().unwrap()["at"].as_u64().unwrap()
}

fn what_was_stored_survives_a_kill(place: &Place) {
    place.open();
    let mut last = 0;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "kill::writer", "--nocapture"])
            .env(STORE, place.choice())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = |lines: &mut dyn Iterator<Item = std::io::Result<String>>| {
            for line in lines {
                if let Some((_, at)) = line.unwrap().split_once("stored ") {
                    last = at.parse().unwrap();
                    return true;
                }
            }
            false
        };
        for _ in 0..=round {
            assert!(said(&mut lines), "it ended by itself");
        }
        // Somewhere within a store, or between two.
        std::thread::sleep(Duration::from_micros(700 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        while said(&mut lines) {}
        let stored = place.open().load("a").unwrap();
        let kept: Vec<u64> = stored.iter().map(at).collect();
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0], kept[1], "half of it was stored");
        assert!(kept[0] == last || kept[0] == last + 1, "{kept:?} after {last}");
    }
}
