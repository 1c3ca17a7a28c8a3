//! What happens to a connector when this process is killed.
//!
//! The attack, or the accident: SIGKILL gives us no last word. The kernel closes our end of a
//! destination's stdin, and the destination takes the torn input for a whole one and replaces good
//! rows by a part. The parent-death signal reaches the program we started, but not the one behind
//! a wrapper script. So a watcher holds the other end of stdin open as long as the input is not
//! whole, and when we are gone without a word it kills the connector's whole process group.

use std::ffi::OsStr;
use std::io::{PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::process::Pid;

/// Waits for a word. Its stdout is the destination's stdin, held open.
const SCRIPT: &str = r#"IFS= read -r word; [ "$word" = done ] || kill -s KILL -- "-$1""#;

/// Releases the watcher when dropped: we are alive, and whoever drops it knows what to do.
#[derive(Debug)]
pub(in crate::executor) struct Guard {
    word: PipeWriter,
}

impl Guard {
    /// Watches over a process group. `stdin` is a second handle of the destination's input. None
    /// where there is no shell: then the parent-death signal has to do.
    pub(super) fn watch(group: Pid, stdin: Option<OwnedFd>) -> Option<Self> {
        Self::start(SCRIPT, &[&group.as_raw_nonzero().to_string()], None, stdin)
    }

    /// Starts a script that reads `done` from its stdin, or the end of it. `held` is its stdout.
    pub(in crate::executor) fn start(
        script: &str,
        arguments: &[&str],
        path: Option<&OsStr>,
        held: Option<OwnedFd>,
    ) -> Option<Self> {
        let (ear, word) = std::io::pipe().ok()?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "lockgate-guard"]).args(arguments).env_clear();
        if let Some(path) = path {
            command.env("PATH", path);
        }
        command
            .current_dir("/")
            .stdin(ear)
            .stdout(held.map_or_else(Stdio::null, Stdio::from))
            .stderr(Stdio::null());
        // A group of its own: what is sent to ours or to the connector's must not end it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut watcher = command.spawn().ok()?;
        // A thread that only waits, so that no zombie stays however the runtime ends.
        std::thread::Builder::new()
            .name("lockgate-guard".into())
            .spawn(move || watcher.wait())
            .ok()?;
        Some(Self { word })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.word.write_all(b"done\n");
    }
}
