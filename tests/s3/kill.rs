//! Nothing is seen that was not confirmed, and nothing that was is lost, whoever is killed.

use std::io::{BufRead as _, BufReader, Write as _};

use serde_json::json;

use crate::scene::{Scene, complete, record, state, stream};

fn rows(ids: std::ops::Range<u64>) -> String {
    let row = |id: u64| json!({"id": id, "text": format!("row {id} of a source that is killed")});
    ids.map(|id| record("items", &row(id))).collect()
}

/// Confirms what was given while its input is open, and is killed with more on its way: readers see what
/// was confirmed; what goes on from there ends with every row once, and nothing beside.
#[test]
fn what_is_confirmed_is_seen_and_no_more() {
    // Small objects: some of what follows the state is complete when it is killed.
    for config in [json!({}), json!({"object_bytes": 65_536})] {
        let mut scene = Scene::new();
        scene.config = config;
        let streams = [stream("items", 1, 0)];
        let mut child = scene.start(&streams);
        let mut input = child.stdin.take().expect("a pipe");
        let given = rows(0..1000) + &state("items", 1000);
        input.write_all(given.as_bytes()).expect("it listens");
        input.flush().expect("it listens");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let confirmed = output.lines().map(|line| line.expect("text"));
        let confirmed = confirmed.into_iter().find(|line| line.contains("\"STATE\""));
        let confirmed = confirmed.expect("the state is confirmed though nothing follows");
        assert!(confirmed.contains("1000"), "{confirmed}");
        let more = rows(1000..20_000);
        // As much as is taken before it ends. The end of the input would be an end like any other.
        let feeding = std::thread::spawn(move || {
            let _ = input.write_all(more.as_bytes());
            input
        });
        std::thread::sleep(std::time::Duration::from_millis(500));
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        drop(feeding.join().expect("it was fed"));
        assert_eq!(scene.ids("items"), (0..1000).collect::<Vec<_>>());

        let text = rows(1000..3000) + &state("items", 3000) + &complete("items");
        scene.write(&streams, text);
        assert_eq!(scene.ids("items"), (0..3000).collect::<Vec<_>>());
        scene.assert_all_named("items");
    }
}

/// A refresh that is killed leaves the old rows whole; its next attempt goes on.
#[test]
fn a_refresh_that_is_killed_replaces_nothing() {
    let scene = Scene::new();
    let old = rows(90_000..90_010) + &state("items", 1) + &complete("items");
    scene.write(&[stream("items", 1, 0)], old);
    let refreshed = [stream("items", 2, 2)];
    let mut child = scene.start(&refreshed);
    let mut input = child.stdin.take().expect("a pipe");
    let given = rows(0..1000) + &state("items", 1000);
    input.write_all(given.as_bytes()).expect("it listens");
    input.flush().expect("it listens");
    // Its rows are named as begun before any state is confirmed.
    let begun = || {
        let text = scene.get("/lake/items/_manifest.json");
        let manifest: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        manifest["begun"]["objects"].as_array().map_or(0, Vec::len)
    };
    let start = std::time::Instant::now();
    while begun() == 0 {
        assert!(start.elapsed().as_secs() < 60, "nothing was committed");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    drop(input);
    assert_eq!(scene.ids("items"), (90_000..90_010).collect::<Vec<_>>());

    scene.write(&refreshed, rows(1000..1100) + &state("items", 1100) + &complete("items"));
    assert_eq!(scene.ids("items"), (0..1100).collect::<Vec<_>>());
    scene.assert_all_named("items");
}
