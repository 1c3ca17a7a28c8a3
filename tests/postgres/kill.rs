//! Nothing is confirmed that is not there, and nothing that is there is lost or doubled, whoever is
//! killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use crate::scene::{Scene, catalog, complete, generation, keyed, record_line, state, stream};

/// Rows of a source that goes on from a number: `id` and a text that tells of it.
fn lines(ids: std::ops::Range<u64>) -> String {
    let line = |id: u64| {
        let data = format!(r#"{{"id":{id},"text":"row {id} of a source that is killed"}}"#);
        record_line("items", &data, 1_700_000_000_000 + id) + "\n"
    };
    ids.map(line).collect()
}

fn items() -> Value {
    let properties = json!({"id": {"type": "integer"}, "text": {"type": "string"}});
    keyed(stream("items", &properties), &json!([["id"]]), &json!([]))
}

/// Confirms what was given while its input is open, and has it although it is killed then.
#[test]
fn what_is_confirmed_is_there_when_it_is_killed() {
    let scene = Scene::new();
    let mut child = scene.start(&catalog(&[items()]));
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(lines(0..1000).as_bytes()).expect("it listens");
    writeln!(input, "{}", state("items", &json!({"at": 1000}))).expect("it listens");
    input.flush().expect("it listens");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let confirmed = output
        .lines()
        .map(|line| line.expect("text"))
        .find(|line| line.contains("\"STATE\""))
        .expect("the state is confirmed though nothing follows");
    assert!(confirmed.contains("1000"), "{confirmed}");
    input.write_all(lines(1000..1500).as_bytes()).expect("it listens");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(scene.lines("SELECT count(*), min(id), max(id) FROM items"), ["1000|0|999"]);
}

/// SplitMix64: choices that a seed repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }
}

/// One attempt: from a state to its end or until it is killed. Gives the last state confirmed.
fn attempt(
    scene: &Scene,
    stream: &Value,
    from: u64,
    end: u64,
    kill: Option<Duration>,
) -> (u64, bool) {
    let mut child = scene.start(&catalog(std::slice::from_ref(stream)));
    let mut input = child.stdin.take().expect("a pipe");
    let feeding = std::thread::spawn(move || {
        let mut at = from;
        while at < end {
            let next = (at + 500).min(end);
            let text = lines(at..next) + &state("items", &json!({"at": next})).to_string() + "\n";
            // Who was killed listens no more.
            if input.write_all(text.as_bytes()).is_err() {
                return;
            }
            at = next;
        }
        let _ = writeln!(input, "{}", complete("items"));
    });
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let reading = std::thread::spawn(move || {
        let mut last = None;
        for line in output.lines().map_while(Result::ok) {
            let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
            last = message["state"]["stream"]["stream_state"]["at"].as_u64().or(last);
        }
        last
    });
    if let Some(kill) = kill {
        std::thread::sleep(kill);
        child.kill().expect("it was started");
    }
    let ended = child.wait().expect("it ends").success();
    feeding.join().expect("it was fed");
    (reading.join().expect("it was read").unwrap_or(from), ended)
}

/// A table that is merged by key holds what the source has, once each, however often the sync was
/// killed on its way.
#[test]
fn killed_syncs_end_in_the_same_table() {
    const ROWS: u64 = 60_000;
    #[expect(clippy::disallowed_methods, reason = "to repeat a run")]
    let seed = std::env::var("LOCKGATE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    let mut random = Random(seed);
    for replaces in [false, true] {
        let scene = Scene::new();
        let old = json!({"id": 5, "text": "old"});
        scene.write_rows(&generation(items(), 1, 0), &[old, json!({"id": ROWS + 5})]);
        let stream = generation(items(), 2, if replaces { 2 } else { 0 });
        let (mut at, mut kills) = (0, 0);
        loop {
            // Under `exec` the states of a stream that is replaced come at its end.
            let kill = (kills < 6).then(|| Duration::from_millis(100 + random.below(900)));
            let from = if replaces { 0 } else { at };
            let (confirmed, ended) = attempt(&scene, &stream, from, ROWS, kill);
            if ended {
                assert_eq!(confirmed, ROWS, "seed {seed}");
                break;
            }
            kills += 1;
            assert!(kills <= 6, "seed {seed}: it failed by itself");
            // What was confirmed is there, wherever it is.
            at = confirmed;
            let there = scene.lines("SELECT count(*) FROM items WHERE id < 60000").concat();
            let there: u64 = there.parse().expect("a number");
            if replaces {
                assert_eq!(there, 1, "seed {seed}: the old rows are what is seen");
            } else {
                assert!(there >= at.max(1), "seed {seed}: {there} of {at}");
            }
        }
        let old = u64::from(!replaces);
        let counted = scene.lines(
            "SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE text = 'row ' || id || \
             ' of a source that is killed') FROM items",
        );
        assert_eq!(counted, [format!("{0}|{0}|{ROWS}", ROWS + old)], "seed {seed}");
        assert_eq!(scene.partial_tables(), [""; 0], "seed {seed}");
    }
}
