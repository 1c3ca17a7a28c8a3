//! Credentials for a registry, from Docker's own configuration.
//!
//! The attack: an image's name chooses a registry, and a registry must be sent the credentials of no
//! other; a credential program is started with a name out of a file, and inherits this process's
//! secrets. The registry's own entry counts and no other, the program's name has a fixed alphabet,
//! and its environment is what a keychain needs to be found.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use bollard::auth::DockerCredentials;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::error::DockerError;

/// Docker Hub's key in configurations.
const HUB: &str = "https://index.docker.io/v1/";
/// Bytes of a configuration, and of what a program answers: a token has a few thousand.
const MOST_BYTES: u64 = 1 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: HashMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// The host of an image's registry; Docker Hub where it names none.
pub(super) fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// A configuration's key as a bare host: with a scheme and a path it is the same registry.
fn host_of(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    match key.split('/').next().unwrap_or(key) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

/// The credentials for an image, where Docker's configuration has some.
pub(super) async fn find(
    image: &str,
    time: Duration,
) -> Result<Option<DockerCredentials>, DockerError> {
    let registry = registry(image);
    let wrong = |reason: String| DockerError::Credentials { registry: registry.to_owned(), reason };
    let Some(path) = config_file() else { return Ok(None) };
    let config = match std::fs::metadata(&path) {
        Ok(facts) if facts.len() > MOST_BYTES => {
            return Err(wrong(format!("{} is no configuration: it is too long", path.display())));
        }
        Ok(_) => match std::fs::read(&path) {
            // Its text may hold a secret, so no more is said than where it is.
            Ok(bytes) => serde_json::from_slice::<Config>(&bytes).map_err(|e| {
                wrong(format!("{} is no configuration, at line {}", path.display(), e.line()))
            })?,
            Err(e) => return Err(wrong(format!("{}: {e}", path.display()))),
        },
        Err(_) => return Ok(None),
    };
    let key = if registry == "docker.io" { HUB } else { registry };
    let helper = config.cred_helpers.iter().find(|(host, _)| host_of(host) == registry);
    let helper = helper.map(|(_, program)| program).or(config.creds_store.as_ref());
    if let Some(helper) = helper {
        return match ask(helper, key, time).await.map_err(wrong)? {
            Some(answer) => Ok(Some(from_answer(answer, key))),
            None => Ok(None),
        };
    }
    let auth = config.auths.into_iter().find(|(host, _)| host_of(host) == registry);
    auth.map(|(_, auth)| from_auth(auth, key).map_err(wrong)).transpose().map(Option::flatten)
}

fn config_file() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "by name: where Docker's configuration is")]
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = match variable("DOCKER_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(variable("HOME")?).join(".docker"),
    };
    Some(folder.join("config.json"))
}

fn from_auth(auth: Auth, key: &str) -> Result<Option<DockerCredentials>, String> {
    let mut found = DockerCredentials {
        username: auth.username.filter(|text| !text.is_empty()),
        password: auth.password.filter(|text| !text.is_empty()),
        identitytoken: auth.identitytoken.filter(|text| !text.is_empty()),
        serveraddress: Some(key.to_owned()),
        ..DockerCredentials::default()
    };
    if let Some(text) = auth.auth.filter(|text| !text.is_empty()) {
        let wrong = || "its auth is not USER:PASSWORD in base64".to_owned();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| wrong())?;
        let text = String::from_utf8(bytes).map_err(|_| wrong())?;
        let (user, password) = text.split_once(':').ok_or_else(wrong)?;
        found.username = Some(user.to_owned());
        found.password = Some(password.trim_end_matches('\0').to_owned());
    }
    // An entry that says only that somebody has logged in.
    Ok((found.username.is_some() || found.identitytoken.is_some()).then_some(found))
}

fn from_answer(answer: Answer, key: &str) -> DockerCredentials {
    let server = Some(key.to_owned());
    match answer.username.as_str() {
        "<token>" => DockerCredentials {
            identitytoken: Some(answer.secret),
            serveraddress: server,
            ..DockerCredentials::default()
        },
        _ => DockerCredentials {
            username: Some(answer.username),
            password: Some(answer.secret),
            serveraddress: server,
            ..DockerCredentials::default()
        },
    }
}

/// Ends a program and all that it started, also when nobody waits for it any more.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Asks a credential program. What it says is never passed on: it may hold the secret.
async fn ask(helper: &str, key: &str, time: Duration) -> Result<Option<Answer>, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if helper.is_empty() || !helper.chars().all(plain) {
        return Err("the name of the credential program has odd characters".into());
    }
    let program = format!("docker-credential-{helper}");
    let cannot = |e: std::io::Error| format!("{program} cannot be run: {}", e.kind());
    let mut command = Command::new(&program);
    command.arg("get").env_clear();
    // Where programs are, and the keychain of a session.
    for name in ["PATH", "HOME", "LANG", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"] {
        #[expect(clippy::disallowed_methods, reason = "by name: a keychain is found by them")]
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(cannot)?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let group = Group(id.and_then(Pid::from_raw));
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(format!("{program} has no pipes"));
    };
    let running = async {
        // One that does not read its question may answer all the same.
        let _ = stdin.write_all(key.as_bytes()).await;
        drop(stdin);
        let mut bytes = Vec::new();
        stdout.take(MOST_BYTES).read_to_end(&mut bytes).await.map_err(cannot)?;
        Ok((bytes, child.wait().await.map_err(cannot)?))
    };
    let ended = tokio::time::timeout(time, running).await;
    drop(group);
    let (bytes, status) = ended
        .map_err(|_| format!("{program} took longer than {} s", time.as_secs_f64()))?
        .map_err(|e: String| e)?;
    if status.success() {
        let answer = serde_json::from_slice(&bytes);
        return answer.map(Some).map_err(|_| format!("{program} did not answer in JSON"));
    }
    if String::from_utf8_lossy(&bytes).contains("credentials not found") {
        return Ok(None);
    }
    Err(match status.code() {
        Some(code) => format!("{program} exited with code {code}"),
        None => format!("{program} was killed by a signal"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_of_an_image() {
        assert_eq!(registry("airbyte/source-faker:1"), "docker.io");
        assert_eq!(registry("busybox"), "docker.io");
        assert_eq!(registry("localhost:5000/a:1"), "localhost:5000");
        assert_eq!(registry("ghcr.io/a/b@sha256:0"), "ghcr.io");
        assert_eq!(registry("localhost/a"), "localhost");
    }

    #[test]
    fn keys_of_one_registry_are_the_same() {
        assert_eq!(host_of(HUB), "docker.io");
        assert_eq!(host_of("https://ghcr.io/v2/"), "ghcr.io");
        assert_eq!(host_of("ghcr.io"), "ghcr.io");
        assert_eq!(host_of("ghcr.io.evil.example"), "ghcr.io.evil.example");
    }

    #[test]
    fn entries_of_a_configuration() {
        let entry = |text: &str| from_auth(serde_json::from_str(text).unwrap(), "r");
        let found = entry(r#"{"auth":"dTpwOnc="}"#).unwrap().unwrap();
        assert_eq!(
            (found.username.as_deref(), found.password.as_deref()),
            (Some("u"), Some("p:w"))
        );
        assert_eq!(entry("{}").unwrap(), None);
        assert!(entry(r#"{"auth":"?"}"#).is_err());
        let token = entry(r#"{"identitytoken":"t"}"#).unwrap().unwrap();
        assert_eq!(token.identitytoken.as_deref(), Some("t"));
    }
}
