//! Where secrets come from.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use super::command::{self, MOST_BYTES};
use crate::sandbox::secrets::{SecretKind, SecretReference};

/// Gives the values of secrets.
#[async_trait]
pub trait SecretSource: fmt::Debug + Send + Sync {
    /// The value. The reason of a failure is shown: it holds nothing that a file or command said.
    async fn resolve(&self, reference: &SecretReference) -> Result<SecretString, String>;
}

/// The host's environment, files and commands.
#[derive(Debug, Clone)]
pub struct SystemSecrets {
    base: PathBuf,
    time: Duration,
}

impl SystemSecrets {
    /// Relative paths begin in `base`, and commands run there, for `time` at most.
    #[must_use]
    pub fn new(base: impl Into<PathBuf>, time: Duration) -> Self {
        Self { base: base.into(), time }
    }
}

#[async_trait]
impl SecretSource for SystemSecrets {
    async fn resolve(&self, reference: &SecretReference) -> Result<SecretString, String> {
        let bytes = match reference.kind {
            SecretKind::Env => {
                #[expect(clippy::disallowed_methods, reason = "the operator named the variable")]
                let value = std::env::var_os(&reference.name);
                match value {
                    Some(value) => std::os::unix::ffi::OsStringExt::into_vec(value),
                    None => return Err("there is no such variable".into()),
                }
            }
            SecretKind::File => {
                let path = self.base.join(&reference.name);
                let reading = tokio::task::spawn_blocking(move || file(&path));
                without_line_end(reading.await.map_err(|_| "it could not be read".to_owned())??)
            }
            SecretKind::Exec => {
                without_line_end(command::run(&reference.name, &self.base, self.time).await?)
            }
        };
        checked(bytes)
    }
}

/// Values that are known already: those of tests, and of a process that has them from its supervisor.
#[derive(Debug, Clone, Default)]
pub struct GivenSecrets(HashMap<String, SecretString>);

impl GivenSecrets {
    /// By reference: `env:NAME`, `file:PATH`, `exec:COMMAND`.
    #[must_use]
    pub fn new(values: HashMap<String, SecretString>) -> Self {
        Self(values)
    }
}

#[async_trait]
impl SecretSource for GivenSecrets {
    async fn resolve(&self, reference: &SecretReference) -> Result<SecretString, String> {
        self.0.get(&reference.to_string()).cloned().ok_or_else(|| "it was not given".into())
    }
}

fn file(path: &Path) -> Result<Vec<u8>, String> {
    // A FIFO would be waited for.
    let mut options = std::fs::OpenOptions::new();
    let open = options.read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = open.map_err(|e| e.kind().to_string())?;
    let facts = file.metadata().map_err(|e| e.kind().to_string())?;
    if !facts.is_file() {
        return Err("it is not a plain file".into());
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|e| e.kind().to_string())?;
    Ok(bytes)
}

/// Editors and commands end what they write with a line feed that is no part of it.
fn without_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

fn checked(bytes: Vec<u8>) -> Result<SecretString, String> {
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    if bytes.len() > MOST_BYTES {
        return Err(format!("it has more than {MOST_BYTES} bytes"));
    }
    if bytes.contains(&0) {
        return Err("it holds a NUL".into());
    }
    String::from_utf8(bytes).map(SecretString::from).map_err(|_| "it is no text in UTF-8".into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    async fn ask(base: &Path, kind: SecretKind, name: &str) -> Result<String, String> {
        let source = SystemSecrets::new(base, Duration::from_secs(2));
        let reference = SecretReference { kind, name: name.into() };
        source.resolve(&reference).await.map(|s| s.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn files_variables_and_commands() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        std::fs::write(base.join("key"), "hunter2\n\n").unwrap();
        std::fs::write(base.join("empty"), "\n").unwrap();
        std::fs::write(base.join("large"), vec![b'a'; MOST_BYTES + 1]).unwrap();
        std::fs::write(base.join("bytes"), [0xff, 0xfe]).unwrap();
        assert_eq!(ask(base, SecretKind::File, "key").await.unwrap(), "hunter2\n");
        for bad in ["none", "empty", "large", "bytes", ".", "/dev/zero"] {
            assert!(ask(base, SecretKind::File, bad).await.is_err(), "{bad}");
        }
        assert!(ask(base, SecretKind::Env, "PATH").await.is_ok());
        assert!(ask(base, SecretKind::Env, "LOCKGATE_NOBODY").await.is_err());
        assert_eq!(ask(base, SecretKind::Exec, "cat key").await.unwrap(), "hunter2\n");
        let quoted = r#"printf '%s|' "a b" c\ d 'e"f'"#;
        assert_eq!(ask(base, SecretKind::Exec, quoted).await.unwrap(), "a b|c d|e\"f|");
        assert_eq!(ask(base, SecretKind::Exec, "pwd -P").await.unwrap(), {
            base.canonicalize().unwrap().display().to_string()
        });
    }

    #[tokio::test]
    async fn commands_that_fail_say_nothing_of_what_they_said() {
        let folder = tempfile::tempdir().unwrap();
        let run = |command: &'static str| ask(folder.path(), SecretKind::Exec, command);
        let fails = run("sh -c 'echo hunter2; echo hunter2 >&2; exit 3'").await.unwrap_err();
        assert_eq!(fails, "the command exited with code 3");
        assert!(run("sleep 30").await.unwrap_err().contains("longer than 2 s"));
        // What it leaves in the background holds its output, and is ended with it.
        assert!(run("sh -c 'sleep 30 & echo x'").await.unwrap_err().contains("longer than 2 s"));
        assert!(run("yes").await.unwrap_err().contains("more than"));
        assert!(run("/nonexistent/command").await.is_err());
        assert!(run("echo 'open").await.unwrap_err().contains("quote"));
        assert!(run("true").await.unwrap_err().contains("empty"));
        let environment = run("env").await.unwrap();
        let names: Vec<&str> = environment.lines().filter_map(|l| l.split('=').next()).collect();
        assert!(names.iter().all(|n| ["PATH", "HOME", "LANG"].contains(n)), "{names:?}");
    }
}
