//! A proxy, the servers around it, and what is heard of it.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::runtime::Runtime;

use super::super::Egress;
use crate::component::Resolver;
use crate::protocol::{Decision, Failure, Json, LogLevel, Observer};
use crate::sandbox::{Limits, NetworkGrants, NetworkPattern};

/// Longer than anything takes on a busy machine.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// A server that does one thing with each connection, and remembers what that was.
pub(super) struct Server {
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) fn start(serve: impl Fn(TcpStream) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, serve) = (Arc::new(Mutex::new(Vec::new())), Arc::new(serve));
        let noted = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, serve) = (noted.clone(), serve.clone());
                std::thread::spawn(move || {
                    let what = serve(stream);
                    noted.lock().unwrap().push(what);
                });
            }
        });
        Self { port, seen }
    }

    /// Answers a request with what `answer` makes of its head, at once.
    pub(super) fn http(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start(move |mut stream| {
            let mut all = Vec::new();
            read_until(&mut stream, &mut all, b"\r\n\r\n");
            let head = String::from_utf8_lossy(&all).into_owned();
            let _ = stream.write_all(answer(&head).as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
            // To close with bytes unread is to take back what was sent.
            let _ = stream.read_to_end(&mut all);
            String::from_utf8_lossy(&all).into_owned()
        })
    }

    /// Sends back what it is sent, and ends when that ends.
    pub(super) fn echo() -> Self {
        Self::start(|mut stream| {
            let mut writer = stream.try_clone().unwrap();
            let copied = std::io::copy(&mut stream, &mut writer);
            let _ = writer.shutdown(Shutdown::Write);
            copied.map_or_else(|e| e.to_string(), |count| count.to_string())
        })
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// What the first connection was, when it has ended.
    pub(super) fn first(&self) -> String {
        let end = Instant::now() + LONG;
        loop {
            match self.seen().first() {
                Some(text) => return text.clone(),
                None => assert!(Instant::now() < end, "no connection ended"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

pub(super) fn read_until(stream: &mut TcpStream, all: &mut Vec<u8>, end: &[u8]) {
    let mut byte = [0];
    while !all.ends_with(end) && matches!(stream.read(&mut byte), Ok(1)) {
        all.push(byte[0]);
    }
}

pub(super) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[derive(Debug, Default)]
struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        match self.answers.lock().unwrap().get_mut(name) {
            Some(turns) if turns.len() > 1 => Ok(turns.remove(0)),
            Some(turns) => Ok(turns[0].clone()),
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<Decision>>, Mutex<String>);

#[async_trait]
impl Observer for Heard {
    fn log(&self, _: LogLevel, message: &str) {
        *self.1.lock().unwrap() += &format!("{message}\n");
    }

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        Ok(())
    }

    fn decided(&self, decision: &Decision) {
        self.0.lock().unwrap().push(decision.clone());
    }
}

pub(super) struct Scene {
    grants: NetworkGrants,
    pub(super) limits: Limits,
    pub(super) peers: &'static str,
    names: Arc<Names>,
    heard: Arc<Heard>,
    egress: Option<Egress>,
    runtime: Runtime,
}

impl Scene {
    pub(super) fn new(grants: &[&str]) -> Self {
        let patterns =
            grants.iter().map(|grant| NetworkPattern::parse(grant, true).unwrap()).collect();
        Self {
            grants: NetworkGrants { patterns, tls_roots: Vec::new() },
            limits: Limits::default(),
            peers: "127.0.0.0/8",
            names: Arc::default(),
            heard: Arc::default(),
            egress: None,
            runtime: Runtime::new().unwrap(),
        }
    }

    /// This name is this machine.
    pub(super) fn here(self, name: &str) -> Self {
        self.named(name, &["127.0.0.1"])
    }

    /// The addresses of a name, an answer each.
    pub(super) fn named(self, name: &str, answers: &[&str]) -> Self {
        let turns = answers.iter().map(|address| vec![address.parse().unwrap()]).collect();
        self.names.answers.lock().unwrap().insert(name.to_owned(), turns);
        self
    }

    pub(super) fn limited(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub(super) fn start(mut self) -> Self {
        let (here, peers) = ("127.0.0.1".parse().unwrap(), self.peers.parse().unwrap());
        let (names, heard) = (self.names.clone(), self.heard.clone());
        let starting = Egress::start(here, peers, &self.grants, &self.limits, names, heard);
        self.egress = Some(self.runtime.block_on(starting).unwrap());
        self
    }

    pub(super) fn stop(&mut self) {
        self.egress = None;
    }

    pub(super) fn egress(&self) -> &Egress {
        self.egress.as_ref().unwrap()
    }

    pub(super) fn at(&self) -> String {
        self.egress().at.to_string()
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.egress().at).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream
    }

    /// What comes back for some bytes, after which nothing more is sent.
    pub(super) fn say(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        rest(&mut stream)
    }

    /// A connection through SOCKS 5, or the code of its refusal.
    pub(super) fn socks(&self, host: &str, port: u16) -> Result<TcpStream, u8> {
        let mut stream = self.connect();
        stream.write_all(b"\x05\x01\x00").unwrap();
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [5, 0]);
        stream.write_all(&socks_request(1, host, port)).unwrap();
        let mut answer = [0; 10];
        stream.read_exact(&mut answer).unwrap();
        match answer[1] {
            0 => Ok(stream),
            code => Err(code),
        }
    }

    /// The answer to CONNECT.
    pub(super) fn tunnel(&self, place: &str) -> String {
        let said = self.say(format!("CONNECT {place} HTTP/1.1\r\n\r\n").as_bytes());
        String::from_utf8_lossy(&said).into_owned()
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.names.asked.lock().unwrap().clone()
    }

    pub(super) fn told(&self) -> String {
        self.heard.1.lock().unwrap().clone()
    }

    pub(super) fn assert_denied(&self, target: &str, rule: &str) {
        self.assert_decided(false, target, rule);
    }

    pub(super) fn assert_allowed(&self, target: &str, rule: &str) {
        self.assert_decided(true, target, rule);
    }

    fn assert_decided(&self, allowed: bool, target: &str, rule: &str) {
        let all = self.heard.0.lock().unwrap();
        let found =
            all.iter().any(|d| d.allowed == allowed && d.target == target && d.rule == rule);
        assert!(found, "{target} {allowed} by {rule} is not in {all:#?}");
    }
}

/// All that comes until the connection ends, in whatever way; it must.
pub(super) fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    if let Err(e) = stream.read_to_end(&mut all) {
        use std::io::ErrorKind as K;
        assert!(!matches!(e.kind(), K::WouldBlock | K::TimedOut), "the connection does not end");
    }
    all
}

pub(super) fn socks_request(command: u8, host: &str, port: u16) -> Vec<u8> {
    let mut request = vec![5, command, 0, 3, u8::try_from(host.len()).unwrap()];
    request.extend(host.as_bytes());
    request.extend(port.to_be_bytes());
    request
}
