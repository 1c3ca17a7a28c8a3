//! The kill test of destination-postgres: `lockgate` is killed with SIGKILL at random moments while
//! rows of a file go into a real PostgreSQL, and the same command is run again.
//!
//! Merging by primary key, the table must in the end be the file: every key once, with its last value.
//! A refresh that makes old rows disappear must show all old rows or all new ones at every moment, go
//! on where it was interrupted, and leave what protocol 0.18 says ("Refreshes") in every case.
//! `LOCKGATE_TEST_SEED` repeats a run's choices; `LOCKGATE_TEST_KILLS` and `LOCKGATE_TEST_REFRESHES`
//! say how many.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test ends where something is missing, and says how far it came"
)]

mod common;
#[path = "common/docker.rs"]
mod docker;
#[path = "peers/services.rs"]
mod services;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use self::common::{Folder, guest, target};
use self::services::Postgres;

const LOCKGATE: &str = env!("CARGO_BIN_EXE_lockgate");

/// A number that a run may set.
#[expect(clippy::disallowed_methods, reason = "to repeat a run, or to make a longer one")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// SplitMix64: choices that a seed repeats.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
        let seed = setting("LOCKGATE_TEST_SEED").unwrap_or(now.as_millis() as u64);
        eprintln!("LOCKGATE_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A file that goes into a table of its own.
struct Scene<'a> {
    server: &'a Postgres,
    folder: Folder,
    schema: String,
    strategy: &'static str,
}

impl<'a> Scene<'a> {
    fn new(server: &'a Postgres, name: &str, strategy: &'static str) -> Self {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path().join("in")).expect("a folder");
        let schema = format!("kill_{}_{name}", std::process::id());
        let scene = Self { server, folder, schema, strategy };
        scene.drop_schema();
        scene
    }

    fn drop_schema(&self) {
        self.server.lines(&format!("drop schema if exists \"{}\" cascade", self.schema));
    }

    fn append(&self, lines: &str) {
        let path = self.folder.path().join("in/rows.jsonl");
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(path).expect("a file");
        file.write_all(lines.as_bytes()).expect("room");
    }

    /// Other rows from now on.
    fn replace(&self, lines: &str) {
        self.folder.write("in/rows.jsonl", lines);
    }

    /// The command; always the same but for `more`.
    fn command(&self, more: &[&str]) -> Command {
        let source = json!({
            "directory": "/in", "file": "rows.jsonl", "primary_key": "id",
            "bytes_per_checkpoint": 65_536,
            "json_schema": {"type": "object", "properties": {
                "id": {"type": "integer"}, "value": {"type": "string"},
            }},
        });
        let Postgres { host, port, user, password, database, .. } = self.server;
        let destination = json!({
            "host": host, "port": port, "username": user, "password": password,
            "database": database, "schema": self.schema, "sslmode": "disable",
        });
        let mut command = Command::new(LOCKGATE);
        command
            .args(["sync", "--connection", "c", "--quiet", "--no-record"])
            .args(["--strategy", self.strategy])
            .arg("--source")
            .arg(guest("source-lines"))
            .args(["--source-config", &source.to_string(), "--source-allow-dir", "in::/in:ro"])
            .arg("--destination")
            .arg(guest("destination-postgres"))
            .args(["--destination-config", &destination.to_string()])
            .args(["--destination-allow-net", &format!("{host}:{port}")])
            .args(more)
            .env("LOCKGATE_CACHE_DIR", target().join("test-cache"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    fn start(&self, more: &[&str]) -> Child {
        self.command(more).spawn().expect("lockgate runs")
    }

    #[track_caller]
    fn sync(&self, more: &[&str]) {
        let output = self.command(more).output().expect("lockgate runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Kills it after a while; whether it had ended by itself before.
    fn killed_after(&self, more: &[&str], after: Duration) -> bool {
        let mut child = self.start(more);
        let end = Instant::now() + after;
        while Instant::now() < end {
            if let Some(status) = child.try_wait().expect("a status") {
                let mut errors = String::new();
                let mut stderr = child.stderr.take().expect("stderr");
                std::io::Read::read_to_string(&mut stderr, &mut errors).expect("text");
                assert!(status.success(), "{errors}");
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("it is ours");
        child.wait().expect("it was started");
        false
    }

    /// What people see in the table: each row, in the order of keys.
    fn rows(&self) -> Vec<(u64, String)> {
        let exists = format!("select to_regclass('\"{}\".\"rows\"') is not null", self.schema);
        if self.server.lines(&exists) != ["t"] {
            return Vec::new();
        }
        let query =
            format!("select id, value from \"{}\".\"rows\" order by id, value", self.schema);
        let lines = self.server.lines(&query);
        let split = lines.iter().map(|line| line.split_once('|').expect("two columns"));
        let mut rows: Vec<(u64, String)> =
            split.map(|(id, value)| (id.parse().expect("a number"), value.to_owned())).collect();
        if self.strategy == "append" {
            // What was durable when lockgate was killed, and not yet noted as that, comes again.
            rows.dedup();
        }
        rows
    }
}

impl Scene<'_> {
    /// How far it came: what is visible, what is beside it, and what the host remembers.
    fn say(&self, what: &str) {
        let tables = self.server.lines(&format!(
            "select schemaname || '.' || relname || ' ' || n_live_tup from pg_stat_user_tables \
             where schemaname = '{}'",
            self.schema
        ));
        let path = self.folder.path().join(".lockgate/state.db");
        let store = lockgate::SqliteStateStore::open(&path).expect("a state store");
        let generations = lockgate::StateStore::generations(&store, "c").expect("generations");
        eprintln!("  {what}: {} rows visible; {tables:?}; {generations:?}", self.rows().len());
    }
}

/// Rows with these keys, and values that name their version.
fn lines(ids: std::ops::Range<u64>, version: &str) -> String {
    let mut text = String::new();
    for id in ids {
        writeln!(text, r#"{{"id":{id},"value":"{version}-{id}-{}"}}"#, "x".repeat(60))
            .expect("a text");
    }
    text
}

/// What a table is that holds exactly these lines' last values.
fn table(lines: &str) -> Vec<(u64, String)> {
    let mut last = BTreeMap::new();
    for line in lines.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("a row");
        let value = row["value"].as_str().expect("a text").to_owned();
        last.insert(row["id"].as_u64().expect("a number"), value);
    }
    last.into_iter().collect()
}

#[test]
fn a_merged_table_is_the_file_after_100_kills() {
    let server = Postgres::of_tests();
    let kills = setting("LOCKGATE_TEST_KILLS").unwrap_or(100);
    let mut random = Random::new();
    let scene = Scene::new(&server, "merge", "merge");
    // How long a sync takes here: kills are to come in the middle.
    let mut file = lines(0..2000, "v0");
    scene.append(&file);
    let start = Instant::now();
    scene.sync(&[]);
    let mut took = start.elapsed();
    let mut killed = 0;
    let mut version = 0;
    while killed < kills {
        version += 1;
        // New keys, and new values of old ones, some of them several times.
        let from = random.below(20_000);
        let mut more = lines(from..from + 15_000, &format!("v{version}"));
        more += &lines(from..from + 200, &format!("v{version}b"));
        scene.append(&more);
        file += &more;
        while killed < kills {
            let after = took.mul_f64(0.1 + random.below(90) as f64 / 100.0);
            let start = Instant::now();
            if scene.killed_after(&[], after) {
                took = start.elapsed();
                break;
            }
            // Whoever is killed again and again still gets somewhere.
            took += Duration::from_millis(20);
            killed += 1;
        }
        eprintln!("{killed} kills, {} rows of the file", file.lines().count());
    }
    scene.sync(&[]);
    let (found, expected) = (scene.rows(), table(&file));
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "the table is not the file");
    scene.drop_schema();
}

/// What is asked for after a refresh that was interrupted.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// The same command as ever: it goes on.
    GoesOn,
    /// The same refresh once more.
    Again,
    /// A refresh that keeps everything.
    Retain,
}

#[test]
fn interrupted_refreshes_end_in_the_stated_tables() {
    let server = Postgres::of_tests();
    let seeds = setting("LOCKGATE_TEST_REFRESHES").unwrap_or(50);
    let mut random = Random::new();
    let thens = [Then::GoesOn, Then::Again, Then::Retain];
    for seed in 0..seeds {
        let has_prior = random.below(2) == 0;
        let strategy = ["merge", "append"][random.below(2) as usize];
        let then = thens[random.below(3) as usize];
        eprintln!("{seed}: prior data: {has_prior}, {strategy}, {then:?}");
        refresh(&server, &mut random, has_prior, strategy, then);
    }
}

fn refresh(
    server: &Postgres,
    random: &mut Random,
    has_prior: bool,
    strategy: &'static str,
    then: Then,
) {
    let scene = Scene::new(server, "refresh", strategy);
    let old = lines(0..3000, "old");
    let old_rows = if has_prior { table(&old) } else { Vec::new() };
    if has_prior {
        scene.append(&old);
        scene.sync(&[]);
        assert_eq!(scene.rows(), old_rows);
    }
    let new = lines(1500..16_500, "new");
    let new_rows = table(&new);
    scene.replace(&new);
    let mut more: &[&str] = &["--refresh", "truncate"];
    let mut ended = false;
    for _ in 0..=random.below(3) {
        let after = Duration::from_millis(100 + random.below(1200));
        ended = scene.killed_after(more, after);
        let rows = scene.rows();
        scene.say(&format!("{more:?} for {after:?}, ended: {ended}"));
        if has_prior {
            // Old rows until the stream is complete, then the new ones; never a mixture.
            assert!(rows == old_rows || rows == new_rows, "{} rows", rows.len());
        } else {
            // With nothing before, new rows may come one by one.
            assert!(rows.iter().all(|row| new_rows.binary_search(row).is_ok()));
        }
        if ended {
            break;
        }
        // What had not begun does not go on.
        if matches!(then, Then::GoesOn) && scene_began(&scene) && random.below(2) == 0 {
            more = &[];
        }
    }
    // Whether the refresh was begun at all: a kill may come before.
    let begun = !ended && scene_began(&scene);
    let partial = scene.rows();
    scene.say(&format!("begun: {begun}"));
    match then {
        Then::GoesOn => {
            if !ended && !begun {
                // Nothing had begun: a plain sync goes on in the old generation.
                scene.sync(&["--refresh", "truncate"]);
            } else {
                scene.sync(&[]);
            }
            assert!(scene.rows() == new_rows, "{} rows", scene.rows().len());
        }
        Then::Again => {
            scene.sync(&["--refresh", "truncate"]);
            assert!(scene.rows() == new_rows, "{} rows", scene.rows().len());
        }
        Then::Retain => {
            let last = lines(10_000..17_000, "last");
            scene.replace(&last);
            scene.sync(&["--refresh", "retain"]);
            let rows = scene.rows();
            // Everything of the last read is there, and whatever was visible before, as the mode has it.
            let last_rows = table(&last);
            assert!(last_rows.iter().all(|row| rows.binary_search(row).is_ok()));
            let replaced = |id: u64| strategy == "merge" && id >= 10_000;
            let kept = partial.iter().filter(|(id, _)| !replaced(*id));
            if !partial.is_empty() && partial != new_rows {
                for row in kept {
                    let newer = strategy == "merge" && row.0 >= 1500;
                    assert!(newer || rows.binary_search(row).is_ok(), "{row:?} is gone");
                }
            }
            if strategy == "merge" {
                let mut keys: Vec<u64> = rows.iter().map(|(id, _)| *id).collect();
                keys.dedup();
                assert_eq!(keys.len(), rows.len(), "a key is there twice");
            }
        }
    }
    scene.drop_schema();
}

/// Whether the state store knows of a refresh that is open.
fn scene_began(scene: &Scene<'_>) -> bool {
    let store = lockgate::SqliteStateStore::open(&scene.folder.path().join(".lockgate/state.db"))
        .expect("a state store");
    let generations = lockgate::StateStore::generations(&store, "c").expect("generations");
    generations.iter().any(|(_, generation)| generation.open.is_some())
}
