//! A secret that a command prints: `${secret:exec:pass show db}`.
//!
//! The command is the operator's and is split into words without a shell, so nothing in it is
//! expanded: single and double quotes and `\` work as in a shell, and nothing else does. It has
//! `PATH`, `HOME` and `LANG`, no input, the project's folder, and a time. What it says on stderr is
//! not read: it may hold the secret.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// Bytes of a secret: a private key with its chain has a tenth of that.
pub(super) const MOST_BYTES: usize = 64 << 10;

/// Ends a command and all that it started, also when nobody waits for it any more.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What the command prints.
pub(super) async fn run(command: &str, base: &Path, time: Duration) -> Result<Vec<u8>, String> {
    let words = split(command)?;
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    // A path with a slash is the project's; a bare name is looked up.
    let program = match program.contains('/') {
        true => base.join(program).into_os_string(),
        false => program.into(),
    };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir(base);
    for name in ["PATH", "HOME", "LANG"] {
        #[expect(clippy::disallowed_methods, reason = "by name: a vault's client finds its files")]
        let value = std::env::var_os(name);
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(true);
    let cannot = |e: std::io::Error| format!("the command cannot be run: {}", e.kind());
    let mut child = command.spawn().map_err(cannot)?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let group = Group(id.and_then(Pid::from_raw));
    let stdout = child.stdout.take().ok_or("the command has no output")?;
    let running = async {
        let mut bytes = Vec::new();
        stdout.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).await.map_err(cannot)?;
        if bytes.len() > MOST_BYTES {
            return Err(format!("the command printed more than {MOST_BYTES} bytes"));
        }
        Ok((bytes, child.wait().await.map_err(cannot)?))
    };
    let ended = tokio::time::timeout(time, running).await;
    drop(group);
    let (bytes, status) =
        ended.map_err(|_| format!("the command took longer than {} s", time.as_secs_f64()))??;
    match status.code() {
        Some(0) => Ok(bytes),
        Some(code) => Err(format!("the command exited with code {code}")),
        None => Err("the command was killed by a signal".into()),
    }
}

/// Splits a command into words.
fn split(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = command.chars();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' | '"' => {
                // Empty quotes are a word too.
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or("a quote has no end")? {
                        end if end == c => break,
                        '\\' if c == '"' => match rest.next().ok_or("a quote has no end")? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word
                .get_or_insert_default()
                .push(rest.next().ok_or("the last `\\` quotes nothing")?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}
