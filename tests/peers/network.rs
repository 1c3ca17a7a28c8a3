//! What the network tests share: servers on this machine, a resolver that answers what it is told to,
//! and a guest that reaches for them.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    reason = "each test binary uses a part of it, and a test ends where something is missing"
)]

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lockgate::component::{CompileCache, Resolver};
use lockgate::protocol::{Capability, Decision, Failure, Json, LogLevel, Observer};
use lockgate::{Connector, ConnectorOptions, Host};
use serde_json::{Value, json};

use crate::common::{guest, target};

/// A server that does one thing with each connection, and knows how many there were.
pub struct Server {
    pub port: u16,
    pub seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `serve` gets each connection and gives what is to be remembered of it.
    pub fn start(serve: impl Fn(TcpStream) -> String + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", serve)
    }

    pub fn start_at(at: &str, serve: impl Fn(TcpStream) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(at).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, serve) = (seen.clone(), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, serve) = (noted.clone(), serve.clone());
                let at = {
                    let mut all = noted.lock().expect("a lock");
                    all.push(String::new());
                    all.len() - 1
                };
                std::thread::spawn(move || {
                    let what = serve(stream);
                    noted.lock().expect("a lock")[at] = what;
                });
            }
        });
        Self { port, seen }
    }

    /// Says hello and ends.
    pub fn greeting(text: &'static str) -> Self {
        Self::start(move |mut stream| {
            let _ = stream.write_all(text.as_bytes());
            String::new()
        })
    }

    /// Takes a connection and says nothing, for a minute.
    pub fn silent() -> Self {
        Self::start(|_stream| {
            std::thread::sleep(Duration::from_secs(60));
            String::new()
        })
    }

    /// Answers every HTTP request with what `answer` makes of its head; remembers the head.
    pub fn http(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start(move |mut stream| {
            let head = read_head(&mut stream);
            let _ = stream.write_all(answer(&head).as_bytes());
            drain(&mut stream);
            head
        })
    }

    pub fn connections(&self) -> usize {
        self.seen.lock().expect("a lock").len()
    }

    pub fn first(&self) -> String {
        // What a connection was is noted when it has ended.
        for _ in 0..200 {
            match self.seen.lock().expect("a lock").first() {
                Some(text) if !text.is_empty() => return text.clone(),
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        String::new()
    }
}

/// Reads what is left: to close with bytes unread is to take back what was sent.
pub fn drain(stream: &mut TcpStream) {
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let _ = std::io::copy(stream, &mut std::io::sink());
}

pub fn read_head(stream: &mut impl std::io::Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// An answer with a body.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Answers what it is told to, in turn; the last answer stays. Remembers what it was asked.
#[derive(Debug, Default)]
pub struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub asked: Mutex<Vec<String>>,
}

impl Names {
    pub fn new(answers: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let read = |turn: &&[&str]| turn.iter().map(|t| t.parse().expect("an address")).collect();
        let answers = answers
            .iter()
            .map(|(name, turns)| ((*name).to_owned(), turns.iter().map(read).collect()))
            .collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }

    /// These names are this machine.
    pub fn here(names: &[&str]) -> Arc<Self> {
        let here: &[&[&str]] = &[&["127.0.0.1"]];
        Self::new(&names.iter().map(|name| (*name, here)).collect::<Vec<_>>())
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        self.asked.lock().expect("a lock").push(name.to_owned());
        let mut answers = self.answers.lock().expect("a lock");
        match answers.get_mut(name) {
            Some(turns) if turns.len() > 1 => Ok(turns.remove(0)),
            Some(turns) => Ok(turns[0].clone()),
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }
}

#[derive(Default)]
struct Heard {
    lines: Mutex<Vec<(LogLevel, String)>>,
    decisions: Mutex<Vec<Decision>>,
}

#[async_trait]
impl Observer for Heard {
    fn log(&self, level: LogLevel, message: &str) {
        self.lines.lock().expect("a lock").push((level, message.to_owned()));
    }

    async fn update_config(&self, _: Json) -> Result<(), Failure> {
        Ok(())
    }

    fn decided(&self, decision: &Decision) {
        self.decisions.lock().expect("a lock").push(decision.clone());
    }
}

/// What came of some steps.
#[derive(Debug)]
pub struct Outcome {
    pub steps: Vec<Value>,
    pub decisions: Vec<Decision>,
    pub warnings: String,
}

impl Outcome {
    /// The text of a step that went well.
    pub fn ok(&self, step: usize) -> &Value {
        let answer = self.steps.get(step).and_then(|step| step.get("ok"));
        answer.unwrap_or_else(|| panic!("step {step} failed: {self:#?}"))
    }

    /// The error of a step that failed.
    pub fn error(&self, step: usize) -> &str {
        let error = self.steps.get(step).and_then(|step| step["error"].as_str());
        error.unwrap_or_else(|| panic!("step {step} did not fail: {self:#?}"))
    }

    /// Asserts that something was refused by a rule.
    pub fn assert_denied(&self, capability: Capability, target: &str, rule: &str) {
        let wanted = Decision::deny(capability, target, rule);
        assert!(self.decisions.contains(&wanted), "{wanted:?} is not in {self:#?}");
    }

    /// Asserts that something was granted by a rule.
    pub fn assert_allowed(&self, capability: Capability, target: &str, rule: &str) {
        let wanted = Decision::allow(capability, target, rule);
        assert!(self.decisions.contains(&wanted), "{wanted:?} is not in {self:#?}");
    }
}

/// Takes steps under some grants and limits.
pub struct Scene {
    pub names: Arc<Names>,
    pub options: ConnectorOptions,
}

impl Scene {
    pub fn new(names: Arc<Names>, grants: &[&str]) -> Self {
        let allow_net = grants.iter().map(|grant| (*grant).to_owned()).collect();
        Self { names, options: ConnectorOptions { allow_net, ..ConnectorOptions::default() } }
    }

    pub fn limit(mut self, limit: &str) -> Self {
        self.options.limit.push(limit.to_owned());
        self
    }

    pub fn take(&self, steps: &Value) -> Outcome {
        self.take_with(&json!({ "steps": steps }))
    }

    pub fn take_with(&self, config: &Value) -> Outcome {
        self.run(&self.connector(config))
    }

    pub fn connector(&self, config: &Value) -> Connector {
        let host = Host::new()
            .with_cache(Some(CompileCache::at(&target().join("test-cache"))))
            .with_resolver(self.names.clone());
        let name = guest("network-source").display().to_string();
        host.get_connector(&name, &self.options, Json::from_value(config)).expect("a connector")
    }

    pub fn run(&self, connector: &Connector) -> Outcome {
        let heard = Arc::new(Heard::default());
        let connector = connector.clone().with_observer(heard.clone());
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(connector.try_config()).expect("the steps are taken");
        let lines = heard.lines.lock().expect("a lock").clone();
        let of = |wanted| lines.iter().filter(move |(level, _)| *level == wanted);
        Outcome {
            steps: of(LogLevel::Info)
                .map(|(_, line)| serde_json::from_str(line).expect("an outcome is JSON"))
                .collect(),
            warnings: of(LogLevel::Warn).map(|(_, line)| format!("{line}\n")).collect(),
            decisions: heard.decisions.lock().expect("a lock").clone(),
        }
    }
}

/// A port that nobody listens at.
pub fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().as_ref().map_or(1, SocketAddr::port)
}
