//! The container engine: where it is, and asking it with deadlines.
//!
//! The attack, or the accident: an engine that does not answer holds up a sync for ever; one that is
//! somebody else's runs the connector, with its secrets, elsewhere. It is only where the operator
//! says, or where Docker and Podman put their sockets.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;

use super::error::DockerError;
use crate::sandbox::Limits;

/// Bytes of an engine's answer that are read outside of its client.
const ANSWER: u64 = 64 << 10;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A socket on this machine.
    Unix(PathBuf),
    /// `HOST:PORT`, without TLS.
    Tcp(String),
}

impl Address {
    /// From `unix:///path` or `tcp://HOST:PORT`.
    pub(super) fn parse(text: &str) -> Result<Self, DockerError> {
        let wrong = |reason: &str| DockerError::Unreachable {
            engine: text.to_owned(),
            reason: reason.to_owned(),
        };
        if let Some(path) = text.strip_prefix("unix://") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err(wrong("the path of a socket is absolute")),
            };
        }
        match text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://")) {
            Some(place) if !place.trim_end_matches('/').is_empty() => {
                let place = place.trim_end_matches('/');
                let port = place.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
                Ok(Self::Tcp(if port { place.to_owned() } else { format!("{place}:2375") }))
            }
            _ => Err(wrong("it is neither unix:///PATH nor tcp://HOST:PORT")),
        }
    }

    /// The one that the environment names, else the first socket that is there.
    fn find() -> Result<Self, DockerError> {
        #[expect(clippy::disallowed_methods, reason = "where the operator's engine is")]
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(host) = variable("DOCKER_HOST") {
            if variable("DOCKER_TLS_VERIFY").is_some()
                && !host.to_string_lossy().starts_with("unix")
            {
                return Err(DockerError::Unreachable {
                    engine: host.to_string_lossy().into_owned(),
                    reason: "an engine behind TLS is not spoken to".into(),
                });
            }
            return Self::parse(&host.to_string_lossy());
        }
        let user = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
        let below = |path: &str| user.as_ref().map(|folder| folder.join(path));
        let places = [
            Some(PathBuf::from("/var/run/docker.sock")),
            below("docker.sock"),
            below("podman/podman.sock"),
            Some(PathBuf::from("/run/podman/podman.sock")),
        ];
        let places: Vec<PathBuf> = places.into_iter().flatten().collect();
        if let Some(found) = places.iter().find(|path| path.exists()) {
            return Ok(Self::Unix(found.clone()));
        }
        let looked: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        Err(DockerError::Unreachable {
            engine: looked.join(", "),
            reason: "there is no such socket, and DOCKER_HOST is not set".into(),
        })
    }

    /// Whether it may be another machine.
    pub(super) fn is_remote(&self) -> bool {
        match self {
            Self::Unix(_) => false,
            Self::Tcp(place) => {
                let host = place.rsplit_once(':').map_or(place.as_str(), |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                host != "localhost"
                    && !host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// The socket's file.
    pub(super) fn socket(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            Self::Tcp(_) => None,
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(place) => write!(f, "tcp://{place}"),
        }
    }
}

/// An engine that has answered.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub(super) docker: Docker,
    pub(super) address: Address,
    pub(super) time: Duration,
    /// Processors that it has.
    pub(super) cpus: u64,
    /// Users of its containers are other users here, or it is another user's.
    pub(super) maps_users: bool,
}

impl Engine {
    /// Connects to the engine that is named, or to the one that is found.
    pub(super) async fn connect(named: Option<&str>, limits: &Limits) -> Result<Self, DockerError> {
        let address = match named {
            Some(text) => Address::parse(text)?,
            None => Address::find()?,
        };
        let unreachable =
            |reason: String| DockerError::Unreachable { engine: address.to_string(), reason };
        // Longer than our own deadline, which has better words.
        let time = limits.engine_time.as_secs() + 30;
        let version = bollard::API_DEFAULT_VERSION;
        let docker = match &address {
            Address::Unix(path) => {
                Docker::connect_with_unix(&path.to_string_lossy(), time, version)
            }
            Address::Tcp(place) => Docker::connect_with_http(place, time, version),
        };
        let docker = docker.map_err(|e| unreachable(e.to_string()))?;
        let asking = async {
            // Its version never reaches the wire today; it will when that is mended.
            let docker = docker.negotiate_version().await?;
            let info = docker.info().await?;
            Ok::<_, Error>((docker, info))
        };
        let answer = tokio::time::timeout(limits.engine_time, asking).await;
        let (docker, info) = match answer {
            Ok(answer) => answer.map_err(|e| unreachable(chain(&e)))?,
            Err(_) => {
                let waited = limits.engine_time.as_secs_f64();
                return Err(unreachable(format!("it did not answer within {waited} s")));
            }
        };
        let options = info.security_options.unwrap_or_default();
        let maps_users =
            options.iter().any(|option| option.contains("userns") || option.contains("rootless"));
        let cpus = info.ncpu.and_then(|n| u64::try_from(n).ok()).unwrap_or(1).max(1);
        Ok(Self { docker, address, time: limits.engine_time, cpus, maps_users })
    }

    /// Asks it for something, within its deadline.
    pub(super) async fn ask<T>(
        &self,
        asking: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, String> {
        match tokio::time::timeout(self.time, asking).await {
            Ok(answer) => answer.map_err(|e| said(&e)),
            Err(_) => Err(format!("it did not answer within {} s", self.time.as_secs_f64())),
        }
    }

    /// Sends a request without a body, without the runtime: for when that is going away. Gives the
    /// status.
    pub(super) fn send_blocking(&self, method: &str, path: &str) -> io::Result<u16> {
        fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<u16> {
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            stream.take(ANSWER).read_to_end(&mut answer)?;
            status(&answer).ok_or_else(|| io::Error::other("its answer is not HTTP"))
        }
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(self.time))?;
                stream.set_write_timeout(Some(self.time))?;
                exchange(stream, &request)
            }
            Address::Tcp(place) => {
                let stream = TcpStream::connect(place)?;
                stream.set_read_timeout(Some(self.time))?;
                stream.set_write_timeout(Some(self.time))?;
                exchange(stream, &request)
            }
        }
    }
}

/// The status of an HTTP answer.
pub(super) fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|b| *b == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

/// What an engine said, without its client's words around it.
pub(super) fn said(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } if !message.is_empty() => {
            message.trim().to_owned()
        }
        Error::DockerStreamError { error } => error.clone(),
        other => chain(other),
    }
}

/// Whether it said that something is not there.
pub(super) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// An error with what is behind it: the outermost says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text = format!("{text}: {inner}");
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_engines() {
        let parse = |text: &str| Address::parse(text).map_err(|e| e.to_string());
        assert_eq!(parse("unix:///x/d.sock"), Ok(Address::Unix("/x/d.sock".into())));
        assert_eq!(parse("tcp://h:1"), Ok(Address::Tcp("h:1".into())));
        assert_eq!(parse("tcp://h/"), Ok(Address::Tcp("h:2375".into())));
        for bad in ["", "unix://x", "ssh://h", "https://h", "tcp://"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_engine_elsewhere_is_remote() {
        let remote = |text: &str| Address::parse(text).unwrap().is_remote();
        assert!(!remote("unix:///x"));
        assert!(!remote("tcp://127.0.0.1:2375"));
        assert!(!remote("tcp://[::1]:2375"));
        assert!(!remote("tcp://localhost:2375"));
        assert!(remote("tcp://10.0.0.1:2375"));
        assert!(remote("tcp://docker:2375"));
    }

    #[test]
    fn the_status_of_an_answer() {
        assert_eq!(status(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n"), Some(404));
        assert_eq!(status(b"HTTP/2 200\r\n"), None);
        assert_eq!(status(b""), None);
    }
}
