//! The kill test: `lockgate`, the source or the destination is killed with SIGKILL at random moments
//! of an incremental sync of 200,000 records, and the same command is run again.
//!
//! After each kill the stored state must not be ahead of the data, every whole line must be a row
//! that the source made, and no process may be left. When a sync comes to its end, the destination
//! holds every record, and nothing else is there. Then all begins again, until there were enough
//! kills. `LOCKGATE_TEST_SEED` repeats a run's choices.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test ends where something is missing, and says how far it came"
)]

mod common;
#[path = "connectors/fault_scene.rs"]
#[expect(dead_code, reason = "only the search for processes is used here")]
mod fault_scene;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use self::common::{Folder, guest, process_grants, target};
use self::fault_scene::processes;

const LOCKGATE: &str = env!("CARGO_BIN_EXE_lockgate");
/// Users, and about as many purchases: 200,000 records.
const COUNT: u64 = 100_000;
const STREAMS: [&str; 2] = ["users", "purchases"];
/// How long whatever was told to end may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// SplitMix64: choices that a seed repeats.
struct Random(u64);

impl Random {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "to repeat a run")]
        let seed = std::env::var("LOCKGATE_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
        let seed = seed.unwrap_or(now.as_millis() as u64);
        eprintln!("LOCKGATE_TEST_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between nothing and `most`.
    fn time(&mut self, most: Duration) -> Duration {
        most.mul_f64((self.next() >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Lockgate,
    Source,
    Destination,
}

#[derive(serde::Deserialize)]
struct Row {
    id: u64,
    user_id: Option<u64>,
}

fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

/// What the source makes of one stream, by id from 1: the row's hash and the user it belongs to.
type Made = Vec<(u64, u64)>;

/// A folder with a sync of its own.
struct Campaign {
    folder: Folder,
    separate: bool,
    /// Of each stream: up to where its file was read, and which ids were in it.
    read: HashMap<&'static str, (u64, Vec<bool>)>,
    /// Torn ends that were seen after a kill.
    torn: u32,
}

impl Campaign {
    /// With both connectors as processes of their own, or as components inside `lockgate`.
    fn new(separate: bool) -> Self {
        let folder = Folder::new();
        for name in ["out", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let place = folder.path().display();
        let cache = target().join("test-cache");
        for (name, component, grant) in [
            ("source", "source-faker", String::new()),
            ("destination", "destination-jsonl", format!("--allow-dir {place}/out::/out")),
        ] {
            let text = format!(
                "#!/bin/sh\nexport LOCKGATE_CACHE_DIR={}\n\
                 exec {LOCKGATE} exec {} --env MARKER={place}/{name} {grant} \"$@\"\n",
                cache.display(),
                guest(component).display(),
            );
            // Behind a fence the cache is only read: what writes to it is run by the host.
            let filled = Command::new(LOCKGATE)
                .env("LOCKGATE_CACHE_DIR", &cache)
                .args(["inspect", &guest(component).display().to_string()])
                .output()
                .expect("lockgate runs");
            assert!(filled.status.success(), "{}", String::from_utf8_lossy(&filled.stderr));
            let script = folder.write(name, &text);
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(script, mode).expect("a script can be run");
        }
        let read = STREAMS.map(|s| (s, (0, vec![false; 2 * COUNT as usize]))).into();
        Self { folder, separate, read, torn: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command that is run again and again.
    fn start(&self) -> Child {
        let mut command = Command::new(LOCKGATE);
        command.current_dir(self.folder.path());
        command.env("LOCKGATE_CACHE_DIR", target().join("test-cache"));
        command.env("TMPDIR", self.path("tmp"));
        command.args(["sync", "--quiet", "--connection", "k", "--streams", "users,purchases"]);
        let config = json!({ "count": COUNT, "records_per_checkpoint": 1000 });
        command.args(["--source-config", &config.to_string()]);
        command.args(["--destination-config", r#"{"path":"/out"}"#]);
        if self.separate {
            command.arg("--source").arg(format!("exec:{}", self.path("source").display()));
            command
                .arg("--destination")
                .arg(format!("exec:{}", self.path("destination").display()));
            let cache = format!("{}:ro", target().join("test-cache").display());
            for side in ["source-", "destination-"] {
                command.args(process_grants(side, self.folder.path()));
                command.args([&format!("--{side}allow-dir"), &cache]);
            }
        } else {
            command.arg("--source").arg(guest("source-faker"));
            command.arg("--destination").arg(guest("destination-jsonl"));
            let grant = format!("{}::/out", self.path("out").display());
            command.args(["--destination-allow-dir", &grant]);
        }
        let errors = File::create(self.path("stderr")).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        command.spawn().expect("lockgate starts")
    }

    fn wait(&self, child: &mut Child) -> std::process::ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(Instant::now() < end, "lockgate does not end: {}", self.folder.read("stderr"));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The process to kill, if it is there.
    fn find(&self, victim: Victim, lockgate: &Child) -> Option<Pid> {
        let name = match victim {
            Victim::Lockgate => return Pid::from_raw(lockgate.id().cast_signed()),
            Victim::Source => "source",
            Victim::Destination => "destination",
        };
        let marker = format!("MARKER={}", self.path(name).display());
        processes(&marker).first().and_then(|(pid, _)| Pid::from_raw(*pid))
    }

    /// Runs the sync and kills the victim after a time. Gives whether something was killed, and
    /// whether the sync came to its end.
    fn run_and_kill(&self, victim: Victim, after: Duration) -> (bool, bool) {
        let mut child = self.start();
        std::thread::sleep(after);
        let mut killed = false;
        while !killed && child.try_wait().expect("it can be waited for").is_none() {
            // A victim that is not there right now will be.
            killed = self
                .find(victim, &child)
                .is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok());
        }
        let status = self.wait(&mut child);
        match victim {
            Victim::Lockgate if killed => {
                // It may have been at its very end.
                assert!(status.signal() == Some(9) || status.success(), "{status:?}");
            }
            _ => {
                let errors = self.folder.read("stderr");
                assert!(
                    status.success() || (killed && status.code() == Some(1)),
                    "{status:?}: {errors}"
                );
                // The source's death must never be laid at the destination's door, nor the reverse.
                if status.code() == Some(1) && errors.contains("_FAILED]") {
                    let blamed = errors.contains("error[SOURCE_FAILED]");
                    assert_eq!(blamed, victim == Victim::Source, "{victim:?}: {errors}");
                }
            }
        }
        (killed, status.success())
    }

    /// No process of this sync is left.
    fn assert_no_processes(&self) {
        let marker = self.folder.path().display().to_string();
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let left = processes(&marker);
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "processes are left: {left:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Reads what was added to the files since last time. Each whole line must be a row as the
    /// source made it.
    fn read_on(&mut self, made: &HashMap<&'static str, Made>) {
        for stream in STREAMS {
            let path = self.path(&format!("out/{stream}.jsonl"));
            let Ok(mut file) = File::open(&path) else { continue };
            let (at, seen) = self.read.get_mut(stream).expect("a stream");
            file.seek(SeekFrom::Start(*at)).expect("it can be read");
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).expect("it can be read");
            let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            self.torn += u32::from(whole < bytes.len());
            for line in bytes[..whole].split_inclusive(|b| *b == b'\n') {
                let row: Row = serde_json::from_slice(line).unwrap_or_else(|e| {
                    panic!("{}: {e}: {}", path.display(), String::from_utf8_lossy(line))
                });
                let (made, _) = made[stream][row.id as usize - 1];
                assert_eq!(hash(line), made, "{stream} {} is not as the source made it", row.id);
                seen[row.id as usize - 1] = true;
            }
            *at += whole as u64;
        }
    }

    /// Every record that the stored state covers is in the destination's files. Gives how many
    /// records are covered.
    fn assert_state_is_not_ahead(&self, made: &HashMap<&'static str, Made>) -> u64 {
        let output = self.folder.lockgate().args(["state", "show", "k"]).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let states: Vec<Value> = serde_json::from_slice(&output.stdout).expect("states");
        let mut records = 0;
        for state in states {
            let part = &state["stream"];
            let name = part["stream_descriptor"]["name"].as_str().expect("a name");
            let (stream, made) = made.get_key_value(name).expect("a stream");
            let place = part["stream_state"]["loop_offset"].as_u64().expect("a place");
            let covered = made.partition_point(|(_, user)| *user <= place);
            let (_, seen) = &self.read[stream];
            let missing = seen[..covered].iter().position(|seen| !seen);
            assert_eq!(missing, None, "the state of {name} covers {covered} records");
            records += covered as u64;
        }
        records
    }

    /// As a crash of the machine may leave it: half a row at the end of a file.
    fn tear(&self) {
        for stream in STREAMS {
            let path = self.path(&format!("out/{stream}.jsonl"));
            if let Ok(mut file) = OpenOptions::new().append(true).open(path) {
                file.write_all(br#"{"id":77,"created_at":"2004-"#).expect("it is written");
            }
        }
    }

    /// What must hold when the sync came to its end.
    fn assert_whole(&mut self, made: &HashMap<&'static str, Made>) {
        self.torn = 0;
        self.read_on(made);
        assert_eq!(self.torn, 0, "the end of a file is torn");
        assert_eq!(
            self.assert_state_is_not_ahead(made),
            2 * COUNT,
            "the state is not the last one"
        );
        let names = |path: &Path| -> Vec<String> {
            let entries = std::fs::read_dir(path).expect("a folder").flatten();
            let mut names: Vec<_> =
                entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&self.path("out")), ["purchases.jsonl", "users.jsonl"]);
        for entry in names(&self.path("tmp")) {
            assert!(entry.starts_with("lockgate-"), "{entry} is left");
            assert_eq!(names(&self.path("tmp").join(&entry)), [""; 0], "runs are left");
        }
        let known = ["locks", "runs", "state.db", "state.db-shm", "state.db-wal"];
        for entry in names(&self.path(".lockgate")) {
            assert!(known.contains(&entry.as_str()), "{entry} is left");
        }
    }
}

/// All the source makes, and how long a sync takes when nobody is killed.
fn undisturbed(separate: bool) -> (HashMap<&'static str, Made>, Duration) {
    let campaign = Campaign::new(separate);
    let began = Instant::now();
    let status = campaign.wait(&mut campaign.start());
    let took = began.elapsed();
    assert!(status.success(), "{}", campaign.folder.read("stderr"));
    let made = STREAMS.map(|stream| {
        let text = campaign.folder.read(&format!("out/{stream}.jsonl"));
        let rows = text.split_inclusive('\n').zip(1..).map(|(line, id)| {
            let row: Row = serde_json::from_str(line).expect("a row");
            assert_eq!(row.id, id, "ids count from 1");
            (hash(line.as_bytes()), row.user_id.unwrap_or(row.id))
        });
        let made: Made = rows.collect();
        assert_eq!(made.len() as u64, COUNT);
        (stream, made)
    });
    (made.into(), took)
}

/// Kills until there were enough kills and the last sync has come to its end.
fn kill(separate: bool, victims: &[Victim], kills: u32) {
    // One at a time: the moments are chosen by how long a sync takes.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = Random::new();
    let (made, took) = undisturbed(separate);
    eprintln!("an undisturbed sync takes {took:?}");
    let (mut done, mut syncs, mut torn, mut progress) = (0, 0, 0, 0);
    let began = Instant::now();
    while done < kills {
        let mut campaign = Campaign::new(separate);
        syncs += 1;
        let mut before = 0;
        loop {
            if done == kills {
                // Enough: the same command once more, undisturbed.
                let status = campaign.wait(&mut campaign.start());
                assert!(status.success(), "{status:?}: {}", campaign.folder.read("stderr"));
                break;
            }
            let victim = victims[done as usize % victims.len()];
            // A sync that has less to do is killed sooner, so that it rarely escapes.
            let left = 1.0 - before as f64 / (2 * COUNT) as f64;
            let after = random.time(took.mul_f64(left * 0.8) + Duration::from_millis(200));
            let (killed, finished) = campaign.run_and_kill(victim, after);
            done += u32::from(killed);
            campaign.assert_no_processes();
            if done % 4 == 0 && !finished {
                campaign.tear();
            }
            campaign.read_on(&made);
            let covered = campaign.assert_state_is_not_ahead(&made);
            eprintln!("{done} {victim:?} after {after:?}: {covered} records are covered");
            assert!(covered >= before, "the state went back from {before} to {covered}");
            progress += u32::from(covered > before);
            before = covered;
            if finished {
                break;
            }
        }
        campaign.assert_no_processes();
        torn += campaign.torn;
        campaign.assert_whole(&made);
    }
    eprintln!(
        "{done} kills in {syncs} syncs and {:?}; the state moved in {progress} runs; \
         {torn} torn ends were seen",
        began.elapsed()
    );
    assert!(torn > 0, "no end was torn, so nothing was repaired");
    assert!(progress >= kills / 10, "the sync was hardly ever killed while states were stored");
}

#[test]
fn processes_are_killed_at_50_random_moments() {
    kill(true, &[Victim::Lockgate, Victim::Source, Victim::Destination], 50);
}

#[test]
fn lockgate_with_both_components_is_killed_at_12_random_moments() {
    kill(false, &[Victim::Lockgate], 12);
}
