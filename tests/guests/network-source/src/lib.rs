//! A source that reaches for the network in the ways its configuration lists: what a host must refuse
//! and what it must let through.
//!
//! `{"steps": [{"do": "tcp", "to": "db.example:5432"}, ...]}`: `check` takes each step and logs what came
//! of it, as one JSON object: `{"ok": ...}` or `{"error": "..."}`.

mod http;
mod raw;
mod sockets;

use lockgate_sdk::Failure;
use lockgate_sdk::bindings::logging::{Level, log};
use lockgate_sdk::bindings::source::Guest;
use lockgate_sdk::bindings::types::{
    Catalog, DiscoveredStream, Need, RowFormat, Specification, State,
};
use serde::Deserialize;
use serde_json::{Value, json};

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "network", generate_all });
}

/// What is tried.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Step {
    /// Connects with the standard library, sends, and reads to the end.
    Tcp {
        to: String,
        #[serde(default)]
        send: String,
    },
    /// Connects with the SDK, sends, and reads to the end or for so long.
    SdkTcp {
        host: String,
        port: u16,
        #[serde(default)]
        send: String,
        #[serde(default = "second")]
        millis: u64,
    },
    /// Connects, and sends so many bytes.
    Pour { to: String, bytes: u64 },
    /// Opens so many connections and keeps them.
    Flood { to: String, connections: usize },
    /// Looks a name up with the standard library.
    Resolve { name: String },
    /// Looks a name up by the interface itself, in the spelling given.
    RawResolve { name: String },
    /// Connects by the interface itself, writes nothing so many times, then sends and reads to the end.
    Raw {
        to: String,
        #[serde(default)]
        empty_writes: u32,
        #[serde(default)]
        send: String,
    },
    /// Listens.
    Listen { at: String },
    /// Sends a datagram.
    Udp { to: String },
    /// Sends a request.
    Http(Box<http::Ask>),
    /// Posts with the SDK a body of so many bytes, and reads the answer up to so many.
    SdkPost { url: String, bytes: usize, limit: u64 },
    /// Keeps so many sets of headers of 100 KB each.
    Hoard { sets: usize },
    /// Sleeps.
    Sleep { millis: u64 },
}

#[derive(Debug, Deserialize)]
struct Config {
    steps: Vec<Step>,
}

/// The source.
#[derive(Debug)]
pub struct Network;

impl Guest for Network {
    fn spec() -> Specification {
        let need = |pattern: &str| Need {
            capability: "network".to_owned(),
            pattern: pattern.to_owned(),
            reason: "what the steps reach for".to_owned(),
        };
        Specification {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            documentation_url: None,
            config_schema: r#"{"type":"object","required":["steps"]}"#.to_owned(),
            destination_sync_modes: Vec::new(),
            formats: vec![RowFormat::JsonLines],
            needs: vec![need("${host}:${port}")],
            extra: "{}".to_owned(),
        }
    }

    fn check(config: String) -> Result<(), Failure> {
        let config: Config =
            serde_json::from_str(&config).map_err(|error| Failure::config(error.to_string()))?;
        for step in &config.steps {
            let outcome = match take(step) {
                Ok(value) => json!({ "ok": value }),
                Err(error) => json!({ "error": error }),
            };
            log(Level::Info, &outcome.to_string());
        }
        Ok(())
    }

    fn discover(_: String) -> Result<Vec<DiscoveredStream>, Failure> {
        Ok(Vec::new())
    }

    fn read(_: String, _: Catalog, _: Vec<State>) -> Result<(), Failure> {
        Ok(())
    }
}

fn second() -> u64 {
    1000
}

fn take(step: &Step) -> Result<Value, String> {
    match step {
        Step::Tcp { to, send } => sockets::talk(to, send),
        Step::SdkTcp { host, port, send, millis } => sockets::sdk(host, *port, send, *millis),
        Step::Pour { to, bytes } => sockets::pour(to, *bytes),
        Step::Flood { to, connections } => sockets::flood(to, *connections),
        Step::Resolve { name } => sockets::resolve(name),
        Step::RawResolve { name } => raw::resolve(name),
        Step::Raw { to, empty_writes, send } => raw::talk(to, *empty_writes, send),
        Step::Listen { at } => sockets::listen(at),
        Step::Udp { to } => sockets::datagram(to),
        Step::Http(ask) => http::ask(ask),
        Step::SdkPost { url, bytes, limit } => http::post(url, *bytes, *limit),
        Step::Hoard { sets } => http::hoard(*sets),
        Step::Sleep { millis } => {
            std::thread::sleep(std::time::Duration::from_millis(*millis));
            Ok(Value::Null)
        }
    }
}

#[cfg(target_family = "wasm")]
lockgate_sdk::bindings::source::export!(
    Network with_types_in lockgate_sdk::bindings::source
);
