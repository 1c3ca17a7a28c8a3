//! Times, medians and the table.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// A built guest.
pub(crate) fn guest(name: &str) -> PathBuf {
    let path = target().join("guests").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run scripts/build-guests", path.display());
    path
}

/// The target folder this benchmark was built in.
pub(crate) fn target() -> PathBuf {
    let exe = std::env::current_exe().expect("a path");
    exe.ancestors().nth(3).expect("target/release/deps/NAME").to_owned()
}

/// The command line, built beside this benchmark.
pub(crate) fn lockgate() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_lockgate"));
    path.to_owned()
}

/// Wall and CPU time of some work in this process.
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

fn usage() -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a struct of the right size, and zeroes are a valid one.
    #[expect(unsafe_code, reason = "the standard library has no CPU time")]
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    }
}

fn cpu(usage: &libc::rusage) -> Duration {
    let of = |t: libc::timeval| {
        Duration::new(t.tv_sec.unsigned_abs(), u32::try_from(t.tv_usec).unwrap_or(0) * 1000)
    };
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// Does some work in this process.
pub(crate) fn spend(work: impl FnOnce()) -> Spent {
    let (cpu_before, start) = (cpu(&usage()), Instant::now());
    work();
    Spent { wall: start.elapsed(), cpu: cpu(&usage()) - cpu_before }
}

/// Runs a child to its end: its output, and the most memory it used, in bytes.
#[expect(clippy::zombie_processes, reason = "`waited` waits for it")]
pub(crate) fn peak_of(command: &mut Command) -> (Vec<u8>, u64) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a child");
    let mut output = Vec::new();
    child.stdout.take().expect("stdout").read_to_end(&mut output).expect("output");
    (output, waited(&child).ru_maxrss.unsigned_abs() * 1024)
}

/// Runs a child to its end: the CPU seconds of it and of what it started and waited for.
#[expect(clippy::zombie_processes, reason = "`waited` waits for it")]
pub(crate) fn cpu_of(command: &mut Command) -> f64 {
    let child = command.stdin(Stdio::null()).spawn().expect("a child");
    cpu(&waited(&child)).as_secs_f64()
}

/// Feeds a child and runs it to its end: its CPU seconds.
#[expect(clippy::zombie_processes, reason = "`waited` waits for it")]
pub(crate) fn cpu_of_child(command: &mut Command, feed: impl FnOnce(ChildStdin)) -> f64 {
    let mut child = command.spawn().expect("a child");
    feed(child.stdin.take().expect("stdin"));
    cpu(&waited(&child)).as_secs_f64()
}

/// Waits for a child and gives what it used.
fn waited(child: &Child) -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    let mut status = 0;
    let pid = libc::pid_t::try_from(child.id()).expect("a pid");
    // SAFETY: both pointers are to values of the right type, and zeroes are a valid rusage.
    #[expect(unsafe_code, reason = "the standard library has no usage of one child")]
    let usage = unsafe {
        assert_eq!(libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()), pid);
        usage.assume_init()
    };
    assert_eq!(status, 0, "the child failed");
    usage
}

/// The middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A rate.
pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// What was measured.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 5]>,
}

impl Table {
    /// Adds a line and says it at once: the whole takes minutes.
    pub(crate) fn add(
        &mut self,
        what: &str,
        ours: String,
        other: String,
        ratio: String,
        budget: &str,
    ) {
        eprintln!("{what}: {ours}; {other}; {ratio} (budget: {budget})");
        self.rows.push([what.to_owned(), ours, other, ratio, budget.to_owned()]);
    }

    pub(crate) fn print(&self) {
        println!("\n| what | Lockgate | compared with | ratio | budget |\n|---|---|---|---|---|");
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}
