//! Whose a container is, and removing what is nobody's any more.
//!
//! The attack, or the accident: a host that is killed leaves containers that hold secrets and go on
//! running; and a sweep that is careless ends those of a host that lives. A container says whose it
//! is: the machine, its boot, the space of process numbers, the user, the process and when it began,
//! since numbers come again. Only what is certainly without an owner is removed:
//!
//! | machine | user | boot | space | process | |
//! |---|---|---|---|---|---|
//! | another | | | | | stays: it is another machine's engine too |
//! | this | another | | | | stays: that user's next host removes it |
//! | this | this | an earlier one | | | goes, where the engine is on this machine |
//! | this | this | this | another | | stays: its numbers mean nothing here |
//! | this | this | this | this | there, begun then, or nobody says when | stays |
//! | this | this | this | this | gone, dead and not waited for, or a later one | goes |
//!
//! Whether a process is there is asked of the kernel, not of `/proc`, which may hide it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::engine::Engine;

/// The label that everything of ours has: an identifier of its run.
pub(super) const RUN: &str = "io.lockgate.run";
const MACHINE: &str = "io.lockgate.machine";
const BOOT: &str = "io.lockgate.boot";
const SPACE: &str = "io.lockgate.pid-namespace";
const USER: &str = "io.lockgate.uid";
const PROCESS: &str = "io.lockgate.pid";
const BEGUN: &str = "io.lockgate.start";

/// A process that has containers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    machine: String,
    boot: String,
    space: String,
    user: String,
    process: String,
    begun: String,
}

/// What is known of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Life {
    /// It is not there, or has ended and is only not waited for yet.
    Gone,
    /// It is there, and when it began, in ticks since the boot.
    Since(String),
    /// It is there, and nobody says since when.
    Hidden,
}

impl Owner {
    /// This process.
    fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let space = std::fs::read_link("/proc/self/ns/pid");
        let process = std::process::id().to_string();
        Self {
            machine: read("/etc/machine-id"),
            boot: read("/proc/sys/kernel/random/boot_id"),
            space: space.map(|path| path.display().to_string()).unwrap_or_default(),
            user: rustix::process::geteuid().as_raw().to_string(),
            begun: match life(&process) {
                Life::Since(begun) => begun,
                Life::Gone | Life::Hidden => String::new(),
            },
            process,
        }
    }

    fn of(labels: &HashMap<String, String>) -> Option<Self> {
        let get = |name: &str| labels.get(name).cloned();
        Some(Self {
            machine: get(MACHINE)?,
            boot: get(BOOT)?,
            space: get(SPACE)?,
            user: get(USER)?,
            process: get(PROCESS)?,
            begun: get(BEGUN)?,
        })
    }

    /// Whether it is certainly gone. `life` tells of a process of this machine.
    fn is_gone(&self, here: &Self, engine_is_here: bool, life: impl Fn(&str) -> Life) -> bool {
        if self.machine != here.machine || self.user != here.user || self.boot.is_empty() {
            return false;
        }
        if self.boot != here.boot {
            // Copies of a machine have its number too: then only an engine of our own is ours.
            return engine_is_here && !self.machine.is_empty();
        }
        self.space == here.space
            && !self.space.is_empty()
            && !self.begun.is_empty()
            && match life(&self.process) {
                Life::Gone => true,
                Life::Since(begun) => begun != self.begun,
                Life::Hidden => false,
            }
    }
}

/// What is known of a process of this machine.
fn life(process: &str) -> Life {
    let number = process.parse().ok().filter(|number| *number > 0);
    let Some(pid) = number.and_then(Pid::from_raw) else { return Life::Hidden };
    // Asked first: one that ends in between is hidden, and not taken for a later one.
    if test_kill_process(pid) == Err(Errno::SRCH) {
        return Life::Gone;
    }
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.ok().and_then(|stat| life_in(&stat)).unwrap_or(Life::Hidden)
}

/// What `/proc/PID/stat` says.
fn life_in(stat: &str) -> Option<Life> {
    // The name in brackets may hold anything, also brackets.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    match fields.next()? {
        "Z" | "X" => Some(Life::Gone),
        // The twenty-second of all of them.
        _ => fields.nth(18).map(|begun| Life::Since(begun.to_owned())),
    }
}

/// The labels of something of this process, for one run.
pub(super) fn labels(run: &str) -> HashMap<String, String> {
    let owner = Owner::here();
    let labels = [
        (RUN, run.to_owned()),
        (MACHINE, owner.machine),
        (BOOT, owner.boot),
        (SPACE, owner.space),
        (USER, owner.user),
        (PROCESS, owner.process),
        (BEGUN, owner.begun),
    ];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Sweeps an engine, the first time that this process uses it.
pub(super) async fn once(engine: &Engine) {
    static SWEPT: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let first = {
        let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
        swept.get_or_insert_default().insert(engine.address.to_string())
    };
    if first {
        // What cannot be swept now is swept by the next.
        let _ = sweep(engine).await;
    }
}

/// Removes what owners that are gone left. Gives how much that was.
pub(super) async fn sweep(engine: &Engine) -> Result<usize, String> {
    let here = Owner::here();
    let is_here = !engine.address.is_remote();
    let gone = |labels: Option<HashMap<String, String>>| {
        labels.and_then(|l| Owner::of(&l)).is_some_and(|o| o.is_gone(&here, is_here, life))
    };
    let filters = HashMap::from([("label", vec![RUN])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers = engine.ask(engine.docker.list_containers(Some(options))).await?;
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = engine.ask(engine.docker.list_networks(Some(options))).await?;
    let mut removed = 0;
    for container in containers.into_iter().filter(|c| gone(c.labels.clone())) {
        let Some(id) = container.id else { continue };
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        // Another sweep may be at it.
        removed += usize::from(
            engine.ask(engine.docker.remove_container(&id, Some(options))).await.is_ok(),
        );
    }
    for network in networks.into_iter().filter(|n| gone(n.labels.clone())) {
        let Some(id) = network.id else { continue };
        removed += usize::from(engine.ask(engine.docker.remove_network(&id)).await.is_ok());
    }
    Ok(removed)
}

/// An identifier that no other run has.
pub(super) fn run_id() -> String {
    use std::hash::{BuildHasher, Hasher};
    // Seeded by the system, and different each time.
    let word = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{}-{:016x}", std::process::id(), word())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        let text = |t: &str| t.to_owned();
        Owner {
            machine: text("m"),
            boot: text("b"),
            space: text("s"),
            user: text("1"),
            process: text("7"),
            begun: text("100"),
        }
    }

    #[test]
    fn only_what_is_certainly_without_an_owner_goes() {
        let here = owner();
        let at = |time: &'static str| move |_: &str| Life::Since(time.to_owned());
        let none = |_: &str| Life::Gone;
        assert!(!owner().is_gone(&here, true, at("100")), "it lives");
        assert!(owner().is_gone(&here, true, none), "it is gone");
        assert!(owner().is_gone(&here, true, at("101")), "its number came again");
        assert!(!owner().is_gone(&here, true, |_| Life::Hidden), "it may live");
        let theirs = Owner { user: "2".into(), ..owner() };
        assert!(!theirs.is_gone(&here, true, none), "another user's");
        let other = Owner { machine: "n".into(), ..owner() };
        assert!(!other.is_gone(&here, true, none), "another machine's");
        let earlier = Owner { boot: "a".into(), ..owner() };
        assert!(earlier.is_gone(&here, true, at("100")), "of an earlier boot");
        assert!(!earlier.is_gone(&here, false, none), "or of a copy of this machine");
        let space = Owner { space: "t".into(), ..owner() };
        assert!(!space.is_gone(&here, true, none), "of another space of numbers");
        let unknown = Owner { begun: String::new(), ..owner() };
        assert!(!unknown.is_gone(&here, true, none), "it does not say when it began");
    }

    #[test]
    fn this_process_lives() {
        let labels = labels("r");
        let owner = Owner::of(&labels).unwrap();
        assert!(!owner.begun.is_empty());
        assert!(!owner.is_gone(&Owner::here(), true, life));
        for number in ["../1", "", "0", "-1", "1x"] {
            assert_eq!(life(number), Life::Hidden, "{number}");
        }
        assert_ne!(run_id(), run_id());
    }

    #[test]
    fn a_process_that_has_ended_is_gone_also_where_nobody_has_waited_for_it() {
        use std::process::{Command, Stdio};
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let number = child.id().to_string();
        assert!(matches!(life(&number), Life::Since(_)));
        drop(child.stdin.take());
        let since = std::time::Instant::now();
        while life(&number) != Life::Gone {
            assert!(since.elapsed().as_secs() < 60, "{:?}", life(&number));
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(life(&number), Life::Gone);
        assert_eq!(life_in("7 (a) Z) S 1 2"), None, "too short");
        assert_eq!(life_in("7 (a) Z) Z 1 2"), Some(Life::Gone));
    }
}
