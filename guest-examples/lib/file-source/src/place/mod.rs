//! Where files are: in the granted directory, or on servers.

mod listing;
mod remote;

use std::io::{self, Read};
use std::sync::Arc;

use lockgate_sdk::{Failure, fs, http, retry};
use sha2::{Digest as _, Sha256};

pub use self::remote::http_servers;
pub(crate) use self::remote::{Blocks, failure};
use crate::config::{Config, StreamConfig};
use crate::limits;
use crate::servers::{Remote, Servers};

/// Where the files of a configuration are.
#[derive(Debug)]
pub(crate) struct Place {
    root: Option<Arc<fs::Directory>>,
    servers: Option<Arc<dyn Servers>>,
    policy: retry::Policy,
}

/// A file that is listed.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Its path below the directory, or its URL without what may be secret: the key of states.
    pub(crate) name: String,
    url: Option<http::Url>,
}

/// A file that is open.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) name: String,
    /// Bytes, when it was opened; a server may not say.
    pub(crate) size: Option<u64>,
    /// Changes when the file does: when it was written, or what its server says; may be unknown.
    pub(crate) stamp: Option<String>,
    inner: Inner,
}

#[derive(Clone, Debug)]
enum Inner {
    Local(Arc<fs::File>),
    Remote(Arc<dyn Remote>),
}

impl Place {
    /// Opens the directory, if the configuration has one that its streams need.
    pub(crate) fn open(config: &Config, policy: retry::Policy) -> Result<Self, Failure> {
        let needed = config.streams.iter().any(|stream| !stream.files.is_empty());
        let root = match (&config.path, needed) {
            (Some(path), true) => Some(Arc::new(fs::Directory::open_granted_to_read(path)?)),
            _ => None,
        };
        Ok(Self { root, servers: config.servers.clone(), policy })
    }

    /// The files of a stream, sorted by their names.
    pub(crate) fn list(&self, stream: &StreamConfig) -> Result<Vec<Listed>, Failure> {
        let mut files = match &self.root {
            Some(root) if !stream.files.is_empty() => listing::list(root, stream)?,
            _ => stream.urls.iter().map(|url| listed_url(url)).collect::<Result<_, _>>()?,
        };
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files.dedup_by(|a, b| a.name == b.name);
        if files.len() > limits::FILES {
            return Err(Failure::config(format!(
                "stream {} has {} files, more than {}: make several streams of it",
                stream.name,
                files.len(),
                limits::FILES
            )));
        }
        Ok(files)
    }

    /// Opens a file and looks at its size and time.
    pub(crate) fn file(&self, listed: &Listed) -> Result<Opened, Failure> {
        let name = listed.name.clone();
        if let Some(url) = &listed.url {
            let servers = self.servers.as_ref().ok_or_else(|| {
                Failure::config("`urls` are configured, and this component reaches no server")
            })?;
            let remote = servers.open(url, &name, self.policy)?;
            let (size, stamp) = (remote.size(), remote.stamp().map(str::to_owned));
            return Ok(Opened { name, size, stamp, inner: Inner::Remote(remote) });
        }
        let Some(root) = &self.root else {
            return Err(Failure::config("`files` are below `path`, which is not configured"));
        };
        let file =
            root.open_file(&name, fs::Open::Read).map_err(|error| file_failure(error, &name))?;
        let size = Some(file.size()?);
        let stamp = file.modified()?.map(|time| time.to_string());
        Ok(Opened { name, size, stamp, inner: Inner::Local(Arc::new(file)) })
    }
}

fn file_failure(error: fs::Error, name: &str) -> Failure {
    match error.reason() {
        fs::Reason::Denied => Failure::config(format!(
            "the file {name} may not be read: it leads out of the granted directory, or its rights are \
             missing"
        )),
        // It was listed a moment ago.
        fs::Reason::NotFound => Failure::transient(format!(
            "the file {name} is gone, or a link that leads nowhere; it was there when the directory was listed"
        )),
        _ => error.into(),
    }
}

/// A query may hold a secret, and tells files apart: its digest does so too.
fn listed_url(text: &str) -> Result<Listed, Failure> {
    let url = http::parse_url(text)?;
    let mut plain = url.clone();
    plain.set_query(None);
    plain.set_fragment(None);
    let mut name = plain.to_string();
    if let Some(query) = url.query() {
        name.push('?');
        name.push_str(&digest(&[query.as_bytes()])[..8]);
    }
    Ok(Listed { name, url: Some(url) })
}

/// 16 hexadecimal digits that stand for some bytes.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl Opened {
    /// Reads the bytes from `start` on, to the end.
    pub(crate) fn reader(&self, start: u64) -> Box<dyn Read> {
        match &self.inner {
            Inner::Local(file) => Box::new(LocalReader { file: file.clone(), at: start }),
            Inner::Remote(remote) => remote.clone().reader(start),
        }
    }

    /// The server's file, if it is one.
    pub(crate) fn remote(&self) -> Option<&Arc<dyn Remote>> {
        match &self.inner {
            Inner::Remote(remote) => Some(remote),
            Inner::Local(_) => None,
        }
    }

    /// Fills `buffer` from a place on; fewer bytes only at the end. None: the server cannot.
    pub(crate) fn read_at(&self, buffer: &mut [u8], start: u64) -> Result<Option<usize>, Failure> {
        match &self.inner {
            Inner::Local(file) => Ok(Some(file.read_at(buffer, start)?)),
            Inner::Remote(remote) => remote.read_at(buffer, start),
        }
    }

    /// A digest of the file's start and of what is before `mark`: the same as long as the file is only
    /// appended to. None: it cannot be known.
    pub(crate) fn print(&self, mark: u64) -> Result<Option<String>, Failure> {
        let length = usize::try_from(mark.min(limits::PRINT_BYTES)).unwrap_or_default();
        if length == 0 {
            return Ok(Some(digest(&[b"", b""])));
        }
        let (mut head, mut tail) = (vec![0; length], vec![0; length]);
        for (part, start) in [(&mut head, 0), (&mut tail, mark - length as u64)] {
            match self.read_at(part, start)? {
                Some(count) => part.truncate(count),
                None => return Ok(None),
            }
        }
        Ok(Some(digest(&[&head, &tail])))
    }
}

struct LocalReader {
    file: Arc<fs::File>,
    at: u64,
}

impl Read for LocalReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
