//! HTTP's way of asking a proxy: `CONNECT`, and a request with an absolute target, of which there is
//! one a connection.
//!
//! The attack: a request that is checked as one and sent as another: a `Host` that is not the
//! target's, `allowed@evil`, a body whose end is somewhere else for the server, a second request for
//! another host behind the first, a header that `Connection` takes away and that said where the body
//! ends. The head is written anew from what was understood; what can be read in two ways is refused;
//! and no byte behind the request is sent on.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::chunked::Chunked;
use super::peer::{Peer, read_more, reset};
use super::reach::{Reached, Refusal};
use super::splice::{CHUNK, Clock, Mover, Way};
use crate::component::network::shared::{Shared, sentence};
use crate::sandbox::NetworkHost;

/// Lines of headers of one message.
const HEADERS: usize = 256;
/// A limit of bytes below this would keep the proxy from speaking at all.
const LEAST: usize = 8 << 10;
/// Interim answers before the answer. One is usual.
const INTERIM: usize = 16;

/// What is asked for.
#[derive(Debug)]
pub(super) enum Asked {
    Tunnel { host: String, port: u16 },
    Forward(Box<Request>),
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    Chunked,
}

/// A request that is forwarded.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) host: String,
    pub(super) port: u16,
    method: String,
    path: String,
    /// Of HTTP/1.
    minor: u8,
    headers: Vec<Header>,
    body: Option<Body>,
}

type Header = (String, Vec<u8>);

/// Why a message is none, as it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bad {
    status: &'static str,
    why: &'static str,
}

impl Bad {
    pub(super) const TIMEOUT: Self =
        Self { status: "408 Request Timeout", why: "the head of the request did not come" };
    const TOO_LARGE: Self = Self {
        status: "431 Request Header Fields Too Large",
        why: "the head of the request is too large",
    };

    fn new(why: &'static str) -> Self {
        Self { status: "400 Bad Request", why }
    }
}

/// Reads what a peer asks for. Nothing: it is gone.
pub(super) async fn ask(peer: &mut Peer, limit: usize) -> Result<Asked, Option<Bad>> {
    let mut looked = 0;
    loop {
        if let Some(end) = head_end(&peer.buffer, looked) {
            let asked = parse(&peer.buffer[..end]).map_err(Some)?;
            peer.buffer.drain(..end);
            return Ok(asked);
        }
        looked = peer.buffer.len();
        peer.more(limit.max(LEAST)).await.map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => Some(Bad::TOO_LARGE),
            _ => None,
        })?;
    }
}

/// The end of a head, of which `looked` bytes were looked at already: who sends single bytes must not
/// have all of them looked at each time.
fn head_end(bytes: &[u8], looked: usize) -> Option<usize> {
    let from = looked.saturating_sub(3);
    memchr::memmem::find(&bytes[from..], b"\r\n\r\n").map(|at| from + at + 4)
}

fn parse(head: &[u8]) -> Result<Asked, Bad> {
    let mut lines = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(head) {
        // One that ends before the first empty line is read in two ways.
        Ok(httparse::Status::Complete(end)) if end == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Bad::TOO_LARGE),
        _ => return Err(Bad::new("the request is no HTTP/1")),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(Bad::new("the request is no HTTP/1"));
    };
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Bad::new("the target is no URL"));
    }
    if method == "CONNECT" {
        let (host, port) = authority(target, None)?;
        return Ok(Asked::Tunnel { host, port });
    }
    let rest = match target.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http://") => rest,
        Some(_) if target.starts_with('/') => {
            return Err(Bad::new("this is a proxy: a target is a whole URL"));
        }
        _ => return Err(Bad::new("only http is forwarded; CONNECT is there for the rest")),
    };
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let (host, port) = authority(host, Some(80))?;
    let path = match path.chars().next() {
        None => "/".to_owned(),
        Some('/') if !path.contains('#') => path.to_owned(),
        Some('?') if !path.contains('#') => format!("/{path}"),
        _ => return Err(Bad::new("the target is no URL")),
    };
    let body = body(request.headers, minor)?;
    let mut headers = end_to_end(request.headers);
    let ours = |name: &str| {
        ["host", "content-length", "transfer-encoding"].iter().any(|o| name.eq_ignore_ascii_case(o))
    };
    headers.retain(|(name, _)| !ours(name));
    let method = method.to_owned();
    Ok(Asked::Forward(Box::new(Request { host, port, method, path, minor, headers, body })))
}

/// A host, in any spelling, and a port.
fn authority(text: &str, usual: Option<u16>) -> Result<(String, u16), Bad> {
    const BAD: Bad = Bad { status: "400 Bad Request", why: "the target has no HOST:PORT" };
    let (host, port) = match text.rsplit_once(':') {
        // A colon within brackets is the address's.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match port {
        None => usual.ok_or(BAD)?,
        Some("") if usual.is_some() => usual.ok_or(BAD)?,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().map_err(|_| BAD)?
        }
        Some(_) => return Err(BAD),
    };
    let bare = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if port == 0 || host.is_empty() || bare || host.contains(['@', '/', '\\']) {
        return Err(BAD);
    }
    Ok((host.to_owned(), port))
}

/// Where the body of a request ends, if it has one.
fn body(headers: &[httparse::Header<'_>], minor: u8) -> Result<Option<Body>, Bad> {
    const BAD: Bad = Bad { status: "400 Bad Request", why: "where the body ends is not clear" };
    let all = |name: &'static str| {
        headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name))
    };
    let mut lengths = all("content-length");
    let mut codings = all("transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(None),
        (Some(length), None) if lengths.next().is_none() => {
            let digits = length.value.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(length.value).map_err(|_| BAD)?;
            let length = text.parse().map_err(|_| BAD)?;
            if digits { Ok(Some(Body::Length(length))) } else { Err(BAD) }
        }
        (None, Some(coding)) if codings.next().is_none() && minor == 1 => {
            let chunked = coding.value.eq_ignore_ascii_case(b"chunked");
            if chunked { Ok(Some(Body::Chunked)) } else { Err(BAD) }
        }
        _ => Err(BAD),
    }
}

/// The headers that are not of the connection. What says where a body ends stays, whatever
/// `Connection` says.
fn end_to_end(headers: &[httparse::Header<'_>]) -> Vec<Header> {
    let connection = || headers.iter().filter(|h| h.name.eq_ignore_ascii_case("connection"));
    let listed = |name: &str| {
        connection().any(|header| {
            let mut words = header.value.split(|byte| *byte == b',');
            words.any(|word| word.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    let hop = |name: &str| match name.to_ascii_lowercase().as_str() {
        "content-length" | "transfer-encoding" => false,
        "connection" | "keep-alive" | "te" | "upgrade" | "http2-settings" => true,
        name => name.starts_with("proxy-") || listed(name),
    };
    let kept = headers.iter().filter(|header| !hop(header.name));
    kept.map(|header| (header.name.to_owned(), header.value.to_vec())).collect()
}

fn write_head(first: &str, headers: &[Header], more: &[(&str, String)]) -> Vec<u8> {
    let mut head = format!("{first}\r\n").into_bytes();
    let more = more.iter().map(|(name, value)| (*name, value.as_bytes()));
    for (name, value) in headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).chain(more) {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

impl Request {
    /// The head as it is sent: in origin form, with a `Host` of our making.
    fn head(&self, host: &NetworkHost) -> Vec<u8> {
        let host = match host {
            host if self.port != 80 => host.with_port(self.port),
            NetworkHost::Address(std::net::IpAddr::V6(v6)) => format!("[{v6}]"),
            host => host.to_string(),
        };
        let mut more = vec![("Host", host), ("Connection", "close".to_owned())];
        match self.body {
            None => {}
            Some(Body::Length(length)) => more.push(("Content-Length", length.to_string())),
            Some(Body::Chunked) => more.push(("Transfer-Encoding", "chunked".to_owned())),
        }
        let first = format!("{} {} HTTP/1.{}", self.method, self.path, self.minor);
        write_head(&first, &self.headers, &more)
    }
}

/// Sends a request to where it was let through to, and its answer back.
pub(super) async fn forward(shared: &Shared, mut peer: Peer, request: &Request, reached: Reached) {
    let Reached { stream: mut server, host, place } = reached;
    let clock = Clock::new();
    let mover = Mover { shared, clock: &clock };
    let answered = AtomicBool::new(false);
    let early = std::mem::take(&mut peer.buffer);
    let ended = {
        let (mut from_peer, mut to_peer) = peer.stream.split();
        let (mut from_server, mut to_server) = server.split();
        let asking = async {
            let sent = mover.send(&mut to_server, &request.head(&host), Way::Out).await;
            let sent = match sent {
                Ok(()) => {
                    send_body(mover, request.body, early, &mut from_peer, &mut to_server).await
                }
                Err(e) => Err(Failed::Server(e)),
            };
            match sent {
                Err(Failed::Peer(e)) => e,
                Err(Failed::Server(e)) if e.kind() == io::ErrorKind::QuotaExceeded => e,
                // A server may answer before it has everything.
                Err(Failed::Server(_)) | Ok(()) => std::future::pending().await,
            }
        };
        let answer = answer(mover, &mut from_server, &mut to_peer, &answered);
        tokio::select! {
            biased;
            ended = answer => ended,
            failed = asking => Err(failed),
            late = clock.watch(shared) => Err(late),
        }
    };
    match ended {
        Ok(()) => peer.drain().await,
        Err(e) if !answered.load(Ordering::Relaxed) => {
            let refusal = match e.kind() {
                io::ErrorKind::TimedOut => Refusal::Timeout,
                io::ErrorKind::QuotaExceeded => Refusal::Limit,
                kind => Refusal::Failed(kind),
            };
            peer.farewell(&refused(&refusal)).await;
        }
        Err(_) => {
            peer.reset();
            reset(&server);
        }
    }
    drop(place);
}

/// Which side it was that failed.
enum Failed {
    Peer(io::Error),
    Server(io::Error),
}

/// Sends what is of the body, and reads what is behind it until the peer has ended, too.
async fn send_body(
    mover: Mover<'_>,
    body: Option<Body>,
    early: Vec<u8>,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Failed> {
    let mut left = match body {
        Some(Body::Length(length)) => length,
        _ => 0,
    };
    let mut chunks = (body == Some(Body::Chunked)).then(Chunked::new);
    let mut buffer = early;
    loop {
        let mine = match &mut chunks {
            Some(chunks) => {
                let bad = |_| Failed::Peer(io::ErrorKind::InvalidData.into());
                chunks.feed(&buffer).map_err(bad)?
            }
            None => usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len()),
        };
        left = left.saturating_sub(mine as u64);
        mover.send(to, &buffer[..mine], Way::Out).await.map_err(Failed::Server)?;
        let whole = match &chunks {
            Some(chunks) => chunks.ended(),
            None => left == 0,
        };
        buffer.resize(CHUNK, 0);
        let count = from.read(&mut buffer).await.map_err(Failed::Peer)?;
        buffer.truncate(count);
        match (count, whole) {
            (0, true) => {
                // A server that is gone needs no farewell.
                let _ = to.shutdown().await;
                return Ok(());
            }
            (0, false) => return Err(Failed::Peer(io::ErrorKind::UnexpectedEof.into())),
            (_, true) => {
                mover.shared.charge(count).map_err(Failed::Peer)?;
                (chunks, left) = (None, 0);
                buffer.clear();
            }
            (_, false) => {}
        }
    }
}

/// Sends the head of an answer as it is for a connection that ends with it, and all that follows.
async fn answer(
    mover: Mover<'_>,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    answered: &AtomicBool,
) -> io::Result<()> {
    let limit = mover.shared.limits.http_header_bytes.max(LEAST);
    let mut buffer = Vec::new();
    for _ in 0..INTERIM {
        let mut looked = 0;
        let end = loop {
            match head_end(&buffer, looked) {
                Some(end) => break end,
                None => looked = buffer.len(),
            }
            read_more(from, &mut buffer, limit).await?;
        };
        let (head, interim) = rewrite(&buffer[..end]).ok_or(io::ErrorKind::InvalidData)?;
        buffer.drain(..end);
        answered.store(true, Ordering::Relaxed);
        mover.send(to, &head, Way::Back).await?;
        if !interim {
            mover.send(to, &buffer, Way::Back).await?;
            drop(buffer);
            return mover.pump(from, to, Way::Back).await;
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// The head of an answer, and whether another one follows.
fn rewrite(head: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut lines = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut lines);
    match response.parse(head) {
        Ok(httparse::Status::Complete(end)) if end == head.len() => {}
        _ => return None,
    }
    let (minor, code) = (response.version?, response.code?);
    // Nobody was asked to speak another protocol.
    if code == 101 {
        return None;
    }
    let interim = (100..200).contains(&code);
    let first = format!("HTTP/1.{minor} {code} {}", response.reason.unwrap_or_default());
    let close = [("Connection", "close".to_owned())];
    let more = if interim { &[][..] } else { &close[..] };
    Some((write_head(&first, &end_to_end(response.headers), more), interim))
}

/// The answer to what is no request.
pub(super) fn malformed(bad: Bad) -> Vec<u8> {
    reply(bad.status, bad.why)
}

/// The answer to what was refused or went wrong.
pub(super) fn refused(refusal: &Refusal) -> Vec<u8> {
    match refusal {
        Refusal::Denied(denied) => reply("403 Forbidden", &sentence(denied)),
        Refusal::Limit => reply("503 Service Unavailable", "a limit of the network is reached"),
        Refusal::Timeout => reply("504 Gateway Timeout", "the server did not answer in time"),
        Refusal::Unresolvable => reply("502 Bad Gateway", "the name has no address"),
        Refusal::Failed(kind) => reply("502 Bad Gateway", &format!("no connection: {kind}")),
    }
}

fn reply(status: &str, text: &str) -> Vec<u8> {
    let body = format!("lockgate: {text}\n");
    let more = [
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Length", body.len().to_string()),
        ("Connection", "close".to_owned()),
    ];
    let mut answer = write_head(&format!("HTTP/1.1 {status}"), &[], &more);
    answer.extend_from_slice(body.as_bytes());
    answer
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
