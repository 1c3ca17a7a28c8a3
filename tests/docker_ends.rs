//! What is left of a container when the command line ends before it: by a deadline, a signal, a kill.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/docker.rs"]
mod docker;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Folder;
use docker::{Contained, docker_ok, engine};
use rustix::process::{Pid, Signal, kill_process};

/// The real command line, in a folder of its own.
struct Host {
    folder: Folder,
    contained: Contained,
}

impl Host {
    fn new(name: &str, config: &str) -> Self {
        let folder = Folder::new();
        folder.write("c.json", config);
        std::fs::create_dir(folder.path().join("tmp")).expect("a folder");
        Self { folder, contained: Contained::new(name) }
    }

    fn start(&self, arguments: &[&str]) -> Child {
        Command::new(assert_cmd::cargo::cargo_bin!("lockgate"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("DOCKER_HOST", engine())
            .env("TMPDIR", self.folder.path().join("tmp"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a host")
    }

    /// Nothing is left of it, neither on the engine nor here, and nobody waits for that.
    fn nothing_left(&self, host: &Child) {
        self.contained.nothing_left();
        let own = format!("label=io.lockgate.pid={}", host.id());
        assert_eq!(docker_ok(&["network", "ls", "--quiet", "--filter", &own]), "");
        for entry in std::fs::read_dir(self.folder.path().join("tmp")).expect("a folder") {
            let left = std::fs::read_dir(entry.expect("an entry").path()).expect("a folder");
            let left: Vec<_> = left.flatten().map(|entry| entry.path()).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

const NAME: &str = "docker:lockgate-test/misbehaving:1";

#[test]
fn a_deadline_leaves_nothing_behind_when_the_command_line_has_ended() {
    let host = Host::new("cli-deadline", r#"{"do":"ignore-term","password":"hunter2"}"#);
    let mut child = host.start(&[
        "check",
        NAME,
        "--config=c.json",
        "--no-record",
        "--allow-net=127.0.0.1:9",
        "--limit=check-time=3s",
        "--limit=process-start=1ms",
        "--env",
        host.contained.mark(),
    ]);
    let mut said = String::new();
    let stderr = child.stderr.as_mut().expect("its stderr");
    stderr.read_to_string(&mut said).expect("what it says");
    child.wait().expect("its end");
    assert!(said.contains("error[LIMIT_TIME]"), "{said}");
    host.nothing_left(&child);
}

#[test]
fn a_signal_ends_a_command_and_its_container() {
    for (command, signal) in
        [("check", Signal::INT), ("discover", Signal::TERM), ("exec", Signal::INT)]
    {
        let host = Host::new(&format!("signal-{command}"), r#"{"do":"ignore-term"}"#);
        let mark = host.contained.mark();
        let mut child = match command {
            "exec" => host.start(&["exec", NAME, "check", "--config=c.json", "--env", mark]),
            _ => host.start(&[command, NAME, "--config=c.json", "--env", mark]),
        };
        host.contained.running();
        kill_process(Pid::from_child(&child), signal).expect("a signal");
        let status = child.wait().expect("its end");
        assert_eq!(status.code(), Some(130), "{command}");
        host.nothing_left(&child);
    }
}

#[test]
fn a_second_signal_ends_a_sync_and_leaves_nothing_behind() {
    let host = Host::new("signal-sync", r#"{"do":"ignore-term"}"#);
    let mut child = host.start(&[
        "sync",
        "--source",
        NAME,
        "--source-config=c.json",
        "--source-env",
        host.contained.mark(),
        "--destination=destination-dev-null",
        "--source-limit=stop-time=600s",
    ]);
    host.contained.running();
    let mut stderr = BufReader::new(child.stderr.take().expect("its stderr")).lines();
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
    let asked = stderr.find(|line| line.as_ref().is_ok_and(|line| line.contains("ask again")));
    assert!(asked.is_some(), "it does not say that it stops");
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
    assert_eq!(child.wait().expect("its end").code(), Some(130));
    host.nothing_left(&child);
}

#[test]
fn a_container_ends_when_its_host_is_killed() {
    let host = Host::new("killed", r#"{"do":"ignore-term"}"#);
    let mark = host.contained.mark();
    let mut child = host.start(&["check", NAME, "--config=c.json", "--env", mark]);
    let container = host.contained.running();
    child.kill().expect("a kill");
    child.wait().expect("its end");
    let start = Instant::now();
    while host.contained.containers().iter().any(|c| c["State"]["Running"] == true) {
        assert!(start.elapsed() < Duration::from_secs(60), "it goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
    docker::docker(&["rm", "--force", container["Id"].as_str().expect("an ID")]);
}
