//! A thousand attacks in one process: nothing of them may be left in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::attacks;
use crate::harness::{Attack, Way, faker, jsonl, left, run};
use crate::{ALONE, runtime};

/// Attacks in all, and at once.
const RUNS: usize = 1000;
const AT_ONCE: usize = 6;
/// Users of the healthy sync beside them: enough that it lasts as long as they do.
const USERS: u64 = 2_000;
/// What the process may have grown by. The pool keeps stacks, of 1 MiB where calls nested deep: 1,000
/// runs leave 7 MiB, 4,000 leave 11. A leak of 32 KiB an attack would be more.
const MEMORY_SLACK: u64 = 24 << 20;

/// Attacks that last: they are for the other test, once each.
const SLOW: &[&str] = &["link-race", "stdout-line", "stdout-flood", "log-flood"];

/// What a process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    memory: u64,
    files: BTreeMap<String, usize>,
    threads: usize,
    children: usize,
}

impl Held {
    fn now() -> Self {
        give_back();
        let status = fs::read_to_string("/proc/self/status").expect("a process has a status");
        let resident = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = resident.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        let mut files = BTreeMap::new();
        for entry in fs::read_dir("/proc/self/fd").expect("it is there").flatten() {
            // The folder that is being read is closed by the time it is looked at.
            if let Ok(target) = fs::read_link(entry.path()) {
                let name = target.display().to_string();
                // Sockets and pipes have a number of their own each.
                let kind = name.split(":[").next().unwrap_or_default().to_owned();
                if !kind.starts_with("/proc/") {
                    *files.entry(kind).or_insert(0) += 1;
                }
            }
        }
        let mut threads = 0;
        let mut children = 0;
        for task in fs::read_dir("/proc/self/task").expect("it is there").flatten() {
            threads += 1;
            let of_thread = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            children += of_thread.split_whitespace().count();
        }
        Self { memory: kib.expect("it is in KiB") << 10, files, threads, children }
    }
}

/// Makes the allocator give back what it keeps for later. Left to itself it keeps up to 64 MiB a
/// thread once it has seen large pieces come and go, and of that what is resident says nothing.
#[expect(unsafe_code, reason = "the allocator has no other way to say it")]
fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: neither takes a pointer, and both may be called at any time by any thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 128 << 10);
        libc::malloc_trim(0);
    }
}

/// The attacks, each with its file.
type Mix = Arc<Vec<(Attack, PathBuf)>>;

/// Attacks by turns, several at once, until so many were made. Each must end as it always does.
async fn attack(way: Way, mix: &Mix, runs: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (mix, next, host) = (mix.clone(), next.clone(), way.host());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= runs {
                    return;
                }
                let (attack, file) = &mix[number % mix.len()];
                let folder = tempfile::tempdir().expect("a folder");
                let mut options = (attack.options)(folder.path());
                attack.configure(folder.path());
                if options.timeout.is_some() {
                    // Those that are ended by it need not last; the others are not to be ended by it.
                    let time = match (way, attack.code) {
                        (Way::InProcess, "LIMIT_TIME") => "200ms",
                        (Way::Worker, "LIMIT_TIME") => "1s",
                        _ => "10s",
                    };
                    options.timeout = Some(time.into());
                }
                let outcome =
                    run(way, &host, file, attack.operation, &options, folder.path()).await;
                let well = attack.ended_well(way, &outcome);
                assert!(well, "{way:?} {}, not {}: {outcome:#?}", attack.name, attack.code);
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("every attack ends as it should");
    }
}

#[test]
fn a_thousand_hostile_runs() {
    let _alone = ALONE.lock();
    let made = tempfile::tempdir().expect("a folder");
    let mix: Vec<(Attack, PathBuf)> = attacks::all()
        .filter(|attack| !SLOW.contains(&attack.name))
        .map(|attack| (*attack, attack.file(made.path())))
        .collect();
    let mix = Arc::new(mix);
    for way in Way::ALL {
        eprintln!("{}", soak(*way, &mix));
    }
}

/// Says what was done, and what the process held before and after.
fn soak(way: Way, mix: &Mix) -> String {
    give_back();
    let runtime = runtime();
    let (host, folder) = (way.host(), tempfile::tempdir().expect("a folder"));
    let expected = runtime.block_on(async {
        let reference = tempfile::tempdir().expect("a folder");
        let written = jsonl(&host, reference.path());
        written.write(&faker(&host, USERS), &way.write_options()).await.expect("it is healthy");
        // Everything once, so that what is made at its first use is there.
        attack(way, mix, mix.len()).await;
        left(&reference.path().join("out"))
    });
    drop(runtime);
    let before = Held::now();

    // A worker is a process for each: what is looked for here is what it leaves in this one.
    let runs = if way == Way::Worker { RUNS / 5 } else { RUNS };
    let runtime = self::runtime();
    let began = Instant::now();
    let over = Arc::new(AtomicBool::new(false));
    let healthy = runtime.block_on(async {
        let attacks = async {
            attack(way, mix, runs).await;
            over.store(true, Ordering::Relaxed);
        };
        // One healthy sync after the other, as long as there are attacks.
        let beside = async {
            let mut syncs = 0;
            while !over.load(Ordering::Relaxed) {
                let out = folder.path().join(syncs.to_string());
                let written = jsonl(&host, &out);
                let result = written.write(&faker(&host, USERS), &way.write_options()).await;
                result.expect("a healthy sync succeeds beside attacks");
                assert_eq!(left(&out.join("out")), expected, "its data is complete");
                fs::remove_dir_all(&out).expect("it can be removed");
                syncs += 1;
            }
            syncs
        };
        tokio::join!(attacks, beside).1
    });
    drop(runtime);
    assert!(healthy > 0);

    // Threads end a moment after they were let go of.
    let mut after = Held::now();
    for _ in 0..50 {
        let grown = after.memory.saturating_sub(before.memory);
        if after.threads <= before.threads && after.files == before.files && grown <= MEMORY_SLACK {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        after = Held::now();
    }
    assert_eq!(after.files, before.files, "files are left open");
    assert!(after.threads <= before.threads, "threads are left: {before:?}, {after:?}");
    assert_eq!(after.children, before.children, "processes are left");
    let grown = after.memory.saturating_sub(before.memory);
    assert!(grown <= MEMORY_SLACK, "{grown} bytes of memory are left: {before:?}, {after:?}");
    format!(
        "{way:?}: {runs} hostile runs and {healthy} healthy syncs in {:?}; before {before:?}, after {after:?}",
        began.elapsed()
    )
}
