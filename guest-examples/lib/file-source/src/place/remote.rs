//! Files on servers, over HTTP.
//!
//! A file is read as it comes; where the answer breaks off it is asked for again from there on, with
//! `Range` where the server knows it, else from the start. A file that changes meanwhile (`ETag`,
//! `Last-Modified`) fails the attempt.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use lockgate_sdk::{Failure, FailureKind, http, log, retry};

use crate::limits;
use crate::servers::{Remote, Servers};

/// Answers that break off one after the other, without a byte in between.
const FRUITLESS: u32 = 5;

/// A day: a file may be long, and a server that is silent is given up sooner.
const WHOLE_TIME: Duration = Duration::from_secs(24 * 3600);

/// Servers that speak HTTP.
#[must_use]
pub fn http_servers() -> Arc<dyn Servers> {
    let timeouts = http::Timeouts { whole: WHOLE_TIME, ..http::Timeouts::default() };
    Arc::new(HttpServers { client: http::Client::new().timeouts(timeouts) })
}

#[derive(Debug)]
struct HttpServers {
    client: http::Client,
}

/// A file on such a server.
#[derive(Debug)]
struct HttpFile {
    client: http::Client,
    url: http::Url,
    /// For messages.
    name: String,
    policy: retry::Policy,
    stamp: Option<String>,
    size: Option<u64>,
    /// Whether the server answers with parts of it.
    ranges: bool,
}

fn stamp(response: &http::Response) -> Option<String> {
    let header = response.header("etag").or_else(|| response.header("last-modified"));
    header.map(str::to_owned)
}

fn number(response: &http::Response, header: &str) -> Option<u64> {
    response.header(header)?.trim().parse().ok()
}

impl Servers for HttpServers {
    /// Asks for a file's size and time, and whether there are parts of it.
    fn open(
        &self,
        url: &http::Url,
        name: &str,
        policy: retry::Policy,
    ) -> Result<Arc<dyn Remote>, Failure> {
        let client = self.client.clone();
        let response = policy.run(&format!("looking at {name}"), || {
            let head = client.request(http::Method::Head, url).send()?;
            // Some servers and signed URLs know GET only.
            if head.is_success() || !matches!(head.status(), 400 | 403 | 405 | 501) {
                return head.success();
            }
            client.get(url).header("range", "bytes=0-0").send()?.success()
        })?;
        let (size, ranges) = match response.status() {
            206 => {
                let range =
                    response.header("content-range").and_then(|range| range.rsplit_once('/'));
                (range.and_then(|(_, size)| size.trim().parse().ok()), true)
            }
            _ => {
                let known =
                    response.header("accept-ranges").is_some_and(|unit| unit.trim() == "bytes");
                (number(&response, "content-length"), known)
            }
        };
        let (url, name, stamp) = (url.clone(), name.to_owned(), stamp(&response));
        Ok(Arc::new(HttpFile { client, url, name, policy, stamp, size, ranges }))
    }
}

impl HttpFile {
    fn changed(&self) -> Failure {
        Failure::transient(format!("the file {} changed while it was read", self.name))
    }

    /// Asks for the bytes from `start` on, up to `end` if there is one; and how many come before them
    /// in the answer.
    fn ask(&self, start: u64, end: Option<u64>) -> Result<(http::Response, u64), Failure> {
        let what = format!("reading {}", self.name);
        let response = self.policy.run(&what, || {
            let mut request = self.client.get(&self.url);
            if (start > 0 || end.is_some()) && self.ranges {
                let end = end.map_or(String::new(), |end| (end - 1).to_string());
                request = request.header("range", format!("bytes={start}-{end}"));
            }
            let response = request.send()?;
            // Beyond its end there is nothing.
            if response.status() == 416 { Ok(response) } else { response.success() }
        })?;
        // A server may say less of a part than of the whole, and not something else.
        if let (Some(then), Some(now)) = (&self.stamp, stamp(&response))
            && *then != now
        {
            return Err(self.changed());
        }
        let before = if matches!(response.status(), 206 | 416) { 0 } else { start };
        Ok((response, before))
    }

    /// Reads a part, of `wanted` bytes where the file's size is known.
    fn fill(&self, buffer: &mut [u8], mut body: http::Body, wanted: u64) -> Result<usize, Failure> {
        let mut done = 0;
        while done < buffer.len() {
            match body.read(&mut buffer[done..]).map_err(http::Error::from)? {
                0 => break,
                count => done += count,
            }
        }
        if self.size.is_some() && (done as u64) < wanted {
            return Err(Failure::transient(format!(
                "an answer with a part of {} broke off",
                self.name
            )));
        }
        Ok(done)
    }
}

impl Remote for HttpFile {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn stamp(&self) -> Option<&str> {
        self.stamp.as_deref()
    }

    fn has_ranges(&self) -> bool {
        self.ranges && self.size.is_some()
    }

    fn read_at(&self, buffer: &mut [u8], start: u64) -> Result<Option<usize>, Failure> {
        if !self.ranges {
            return Ok(None);
        }
        if buffer.is_empty() || self.size.is_some_and(|size| start >= size) {
            return Ok(Some(0));
        }
        let end = start + buffer.len() as u64;
        let wanted = self.size.unwrap_or(end).min(end) - start;
        let mut fruitless = 0;
        loop {
            let (response, before) = self.ask(start, Some(end))?;
            if response.status() == 416 {
                return Ok(Some(0));
            }
            if before > 0 {
                return Ok(None);
            }
            match self.fill(buffer, response.into_body(), wanted) {
                Ok(done) => return Ok(Some(done)),
                Err(failure) if failure.kind == FailureKind::Transient && fruitless < FRUITLESS => {
                    fruitless += 1;
                    log::warn(format_args!("{}; asking again", failure.message));
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    fn reader(self: Arc<Self>, start: u64) -> Box<dyn Read> {
        Box::new(Reader { remote: self, body: None, at: start, fruitless: 0 })
    }
}

/// What a reader failed with.
pub(crate) fn failure(error: io::Error, name: &str) -> Failure {
    let carried = Failure::carried(&error).cloned();
    carried.unwrap_or_else(|| Failure::system(format!("cannot read {name}: {error}")))
}

struct Reader {
    remote: Arc<HttpFile>,
    body: Option<http::Body>,
    at: u64,
    fruitless: u32,
}

impl Reader {
    fn open(&mut self) -> Result<(), Failure> {
        let (response, before) = self.remote.ask(self.at, None)?;
        let ends = response.status() == 416;
        let mut body = response.into_body();
        if ends {
            // Its body tells of the error.
            let told = io::copy(&mut body, &mut io::sink());
            told.map_err(http::Error::from)?;
        }
        let skipped = io::copy(&mut (&mut body).take(before), &mut io::sink());
        skipped.map_err(http::Error::from)?;
        self.body = Some(body);
        Ok(())
    }

    fn read_once(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        if self.body.is_none() {
            self.open()?;
        }
        let Some(body) = &mut self.body else { return Ok(0) };
        let count = body.read(buffer).map_err(http::Error::from)?;
        if count == 0 && !buffer.is_empty() && self.remote.size.is_some_and(|size| self.at < size) {
            return Err(Failure::transient(format!(
                "the answer with {} broke off after {} bytes",
                self.remote.name, self.at
            )));
        }
        Ok(count)
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.read_once(buffer) {
                Ok(count) => {
                    self.at += count as u64;
                    self.fruitless = 0;
                    return Ok(count);
                }
                Err(failure)
                    if failure.kind == FailureKind::Transient
                        && self.body.is_some()
                        && self.fruitless < FRUITLESS =>
                {
                    self.fruitless += 1;
                    self.body = None;
                    log::warn(format_args!("{}; asking for the rest", failure.message));
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }
}

/// A file on a server, read in blocks of which the last used are kept.
#[derive(Debug)]
pub(crate) struct Blocks {
    remote: Arc<dyn Remote>,
    kept: Mutex<Vec<(u64, Bytes)>>,
}

impl Blocks {
    pub(crate) fn new(remote: Arc<dyn Remote>) -> Self {
        Self { remote, kept: Mutex::new(Vec::new()) }
    }

    /// The rest of the block that a place is in; empty at the end.
    pub(crate) fn rest(&self, at: u64) -> Result<Bytes, Failure> {
        let number = at / limits::BLOCK_BYTES;
        let mut kept = self.kept.lock().map_err(|_| Failure::system("a lock is poisoned"))?;
        let block = match kept.iter().position(|(known, _)| *known == number) {
            Some(place) => kept.remove(place).1,
            None => {
                if kept.len() >= limits::BLOCKS {
                    kept.remove(0);
                }
                let mut block = vec![0; usize::try_from(limits::BLOCK_BYTES).unwrap_or_default()];
                let start = number * limits::BLOCK_BYTES;
                let count = self.remote.read_at(&mut block, start)?.ok_or_else(|| {
                    Failure::transient("a server does not answer with parts of a file any more")
                })?;
                block.truncate(count);
                Bytes::from(block)
            }
        };
        kept.push((number, block.clone()));
        let from = usize::try_from(at % limits::BLOCK_BYTES).unwrap_or_default().min(block.len());
        Ok(block.slice(from..))
    }
}
