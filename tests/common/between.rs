//! Something between the host and its engine: it holds requests up, or ends their connections.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    reason = "each test binary uses a part of it, and a test ends where something is missing"
)]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A socket whose requests go on to the engine of the tests.
pub struct Between {
    folder: tempfile::TempDir,
    passed: Arc<Mutex<Vec<String>>>,
}

impl Between {
    /// Looks at the first line of each request. False ends its connection.
    pub fn start(look: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("s")).expect("a socket");
        let engine = super::docker::engine();
        let engine = engine.strip_prefix("unix://").expect("an engine with a socket").to_owned();
        let (look, passed) = (Arc::new(look), Arc::new(Mutex::new(Vec::new())));
        let log = passed.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let engine = UnixStream::connect(&engine).expect("an engine");
                let (look, log) = (look.clone(), log.clone());
                std::thread::spawn(move || {
                    let answers = (engine.try_clone(), client.try_clone());
                    let (Ok(from), Ok(to)) = answers else { return };
                    std::thread::spawn(move || copy(from, to));
                    requests(client, engine, look.as_ref(), &log);
                });
            }
        });
        Self { folder, passed }
    }

    /// For `DOCKER_HOST`.
    pub fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("s").display())
    }

    /// Waits until a request has been dealt with.
    pub fn wait_for(&self, what: &str) {
        let start = Instant::now();
        let is_there = || self.passed.lock().expect("a lock").iter().any(|l| l.contains(what));
        while !is_there() {
            assert!(start.elapsed() < Duration::from_secs(60), "no {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn copy(mut from: UnixStream, mut to: UnixStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// What comes from the host. A request begins a piece: one is sent when the last was answered.
fn requests(
    mut client: UnixStream,
    mut engine: UnixStream,
    look: &dyn Fn(&str) -> bool,
    log: &Mutex<Vec<String>>,
) {
    let mut buffer = vec![0; 64 << 10];
    // The end is not passed on before an answer could be: an engine gives up what nobody waits for.
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..count]);
        let line = text.lines().next().unwrap_or_default().to_owned();
        let request = line.ends_with("HTTP/1.1");
        let passes = !request || look(&line);
        if passes && engine.write_all(&buffer[..count]).is_err() {
            break;
        }
        if request {
            log.lock().expect("a lock").push(line);
        }
        if !passes {
            let _ = client.shutdown(std::net::Shutdown::Both);
            break;
        }
    }
    std::thread::sleep(Duration::from_secs(5));
    let _ = engine.shutdown(std::net::Shutdown::Both);
}
