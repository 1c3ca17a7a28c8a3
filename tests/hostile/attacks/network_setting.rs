//! What the attacks on the network are granted, the steps they take, and what must be true of them
//! afterwards.

use std::path::Path;
use std::sync::atomic::Ordering;

use lockgate::ConnectorOptions;
use serde_json::{Value, json};

use crate::harness::{CONFIG_FILE, Outcome};
use crate::network::{CARRIED_OUT, FORBIDDEN, GRANTED, turning_name};

/// Grants and steps.
fn stage(folder: &Path, grants: &[String], limits: &[&str], steps: &[Value]) -> ConnectorOptions {
    let config = json!({ "steps": steps }).to_string();
    std::fs::write(folder.join(CONFIG_FILE), config).expect("a file");
    ConnectorOptions {
        allow_net: grants.to_vec(),
        allow_any_network: grants.iter().any(|grant| grant.starts_with("*:")),
        limit: limits.iter().map(|limit| (*limit).to_owned()).collect(),
        ..ConnectorOptions::default()
    }
}

fn granted() -> String {
    format!("granted.example:{}", GRANTED.port)
}

fn forbidden(host: &str) -> String {
    format!("{host}:{}", FORBIDDEN.port)
}

/// Everything, as far as there is a grant for it.
fn everything(port: u16) -> Vec<String> {
    vec![format!("*:{port}"), format!("*.example:{port}"), format!("0.0.0.0/0:{port}")]
}

fn get(authority: &str, path: &str) -> Value {
    json!({ "do": "http", "authority": authority, "path": path })
}

/// By the interface, by a standard library and as a request.
fn every_way(hosts: &[&str], port: u16) -> Vec<Value> {
    let mut steps = Vec::new();
    for host in hosts {
        let to = format!("{host}:{port}");
        if to.parse::<std::net::SocketAddr>().is_ok() {
            steps.push(json!({ "do": "raw", "to": to }));
        } else {
            steps.push(json!({ "do": "raw-resolve", "name": host }));
        }
        steps.push(json!({ "do": "tcp", "to": to }));
        steps.push(get(&to, "/"));
    }
    steps
}

pub(super) fn one_name(_: &Path) -> ConnectorOptions {
    ConnectorOptions { allow_net: vec!["granted.example:9".into()], ..ConnectorOptions::default() }
}

pub(super) fn metadata(folder: &Path) -> ConnectorOptions {
    let mut grants = everything(80);
    grants.push("metadata.granted.example:80".into());
    let hosts = [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "2852039166",
        "0xa9fea9fe",
        "metadata.google.internal",
        "METADATA.google.internal.",
        "metadata.granted.example",
    ];
    stage(folder, &grants, &[], &every_way(&hosts, 80))
}

pub(super) fn loopback(folder: &Path) -> ConnectorOptions {
    let hosts = [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::127.0.0.1]",
        "[2002:7f00:1::]",
        "[2001:0:102:304:0:0:80ff:fffe]",
        "[2606:4700::5efe:127.0.0.1]",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "localhost",
        "a.example",
    ];
    stage(folder, &everything(FORBIDDEN.port), &[], &every_way(&hosts, FORBIDDEN.port))
}

pub(super) fn rebinding(folder: &Path) -> ConnectorOptions {
    let name = turning_name();
    let to = forbidden(&name);
    let resolve = json!({ "do": "resolve", "name": name });
    let steps = [
        resolve.clone(),
        resolve,
        json!({ "do": "tcp", "to": to }),
        json!({ "do": "raw", "to": forbidden("127.0.0.1") }),
        get(&to, "/"),
    ];
    stage(folder, &[to], &["connect-time=500ms"], &steps)
}

pub(super) fn alias(folder: &Path) -> ConnectorOptions {
    let steps = every_way(&["alias.granted.example"], FORBIDDEN.port);
    stage(folder, &[forbidden("*.granted.example")], &[], &steps)
}

pub(super) fn tunnel(folder: &Path) -> ConnectorOptions {
    let mut steps: Vec<Value> = (0..200)
        .map(|n| json!({ "do": "raw-resolve", "name": format!("{n:040x}.thief.example") }))
        .collect();
    steps.push(get("secret.thief.example:80", "/"));
    steps.push(get("granted.example.thief.example:80", "/"));
    stage(folder, &[granted()], &[], &steps)
}

pub(super) fn name_flood(folder: &Path) -> ConnectorOptions {
    let names =
        (0..50).map(|n| json!({ "do": "raw-resolve", "name": format!("{n}.flood.example") }));
    let steps: Vec<Value> = names.collect();
    stage(folder, &[format!("*.flood.example:{}", FORBIDDEN.port)], &["lookups=10"], &steps)
}

pub(super) fn other_port(folder: &Path) -> ConnectorOptions {
    let to = forbidden("granted.example");
    let raw = json!({ "do": "raw", "to": forbidden("127.0.0.1") });
    // Looked up it may be: then its address is known, and the port is still not granted.
    let steps = [json!({ "do": "tcp", "to": to }), raw, get(&to, "/")];
    stage(folder, &[granted()], &[], &steps)
}

pub(super) fn redirect(folder: &Path) -> ConnectorOptions {
    let steps = [get(&granted(), "/redirect"), get(&forbidden("127.0.0.1"), "/")];
    stage(folder, &[granted()], &[], &steps)
}

pub(super) fn other_authority(folder: &Path) -> ConnectorOptions {
    let (here, there) = (granted(), forbidden("127.0.0.1"));
    let with = |member: &str, value: Value| {
        let mut step = get(&here, "/");
        step[member] = value;
        step
    };
    let header = |name: &str, value: &str| with("headers", json!([[name, value]]));
    let steps = [
        get(&format!("{here}@{there}"), "/"),
        get(&format!("{there}@{here}"), "/"),
        get(&format!("{here}/@{there}"), "/"),
        get(&format!("{here}#@{there}"), "/"),
        get(&format!("{here}\\@{there}"), "/"),
        get(&format!("granted.example%2f@{there}"), "/"),
        get(&forbidden("xn--granted-.example"), "/"),
        get(&forbidden("granted。example"), "/"),
        get(&forbidden("GRANTED.example."), "/"),
        get("", "/"),
        get(&here, &format!("http://{there}/")),
        get(&here, &there),
        get(&here, &format!("@{there}/")),
        get(&here, "/ HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        with("method", "CONNECT".into()),
        with("method", "GET / HTTP/1.1\r\nx:".into()),
        with("scheme", "file".into()),
        header("Host", &there),
        header("Connection", "keep-alive"),
        header("Transfer-Encoding", "chunked"),
        header("Upgrade", "h2c"),
        header("Proxy-Authorization", "x"),
        header("x", &format!("a\r\nHost: {there}")),
    ];
    stage(folder, &[granted()], &[], &steps)
}

pub(super) fn datagrams(folder: &Path) -> ConnectorOptions {
    let ports = [53, GRANTED.port];
    let steps = ports.map(|port| json!({ "do": "udp", "to": format!("127.0.0.1:{port}") }));
    stage(folder, &[granted(), "127.0.0.1:*".into()], &[], &steps)
}

pub(super) fn listens(folder: &Path) -> ConnectorOptions {
    let steps =
        ["127.0.0.1:0", "0.0.0.0:0", "[::]:8080"].map(|at| json!({ "do": "listen", "at": at }));
    stage(folder, &[granted(), "127.0.0.1:*".into()], &[], &steps)
}

pub(super) fn connection_flood(folder: &Path) -> ConnectorOptions {
    let step = json!({ "do": "flood", "to": granted(), "connections": 300 });
    stage(folder, &[granted()], &["connections=5"], &[step])
}

pub(super) fn request_flood(folder: &Path) -> ConnectorOptions {
    let steps = vec![get(&granted(), "/"); 30];
    stage(folder, &[granted()], &["connections-total=5"], &steps)
}

pub(super) fn silent_server(folder: &Path) -> ConnectorOptions {
    let steps = [get(&granted(), "/silent")];
    stage(folder, &[granted()], &["first-byte-time=300ms"], &steps)
}

pub(super) fn dripping_server(folder: &Path) -> ConnectorOptions {
    let steps = [get(&granted(), "/drip")];
    stage(folder, &[granted()], &["network-idle-time=300ms"], &steps)
}

pub(super) fn endless_body(folder: &Path) -> ConnectorOptions {
    stage(folder, &[granted()], &["http-body-bytes=1MiB"], &[get(&granted(), "/endless")])
}

pub(super) fn waiting(folder: &Path) -> ConnectorOptions {
    let options = stage(folder, &[granted()], &[], &[get(&granted(), "/silent")]);
    ConnectorOptions { timeout: Some("300ms".into()), ..options }
}

pub(super) fn large_header(folder: &Path) -> ConnectorOptions {
    stage(folder, &[granted()], &["http-header-bytes=16KiB"], &[get(&granted(), "/large-header")])
}

pub(super) fn many_headers(folder: &Path) -> ConnectorOptions {
    stage(folder, &[granted()], &["http-header-bytes=16KiB"], &[get(&granted(), "/many-headers")])
}

pub(super) fn header_flood(folder: &Path) -> ConnectorOptions {
    let many: Vec<Value> = (0..100_000).map(|n| json!([format!("x-{n}"), "y"])).collect();
    let mut steps = vec![get(&granted(), "/"); 3];
    steps[0]["headers"] = many.into();
    steps[1]["headers"] = json!([["x", "y".repeat(1 << 20)]]);
    steps[2]["trailers"] = json!([["transfer-encoding", "chunked"]]);
    stage(folder, &[granted()], &["first-byte-time=1s"], &steps)
}

pub(super) fn header_hoard(folder: &Path) -> ConnectorOptions {
    stage(folder, &[granted()], &[], &[json!({ "do": "hoard", "sets": 5000 })])
}

pub(super) fn empty_frames(folder: &Path) -> ConnectorOptions {
    let mut post = get(&granted(), "/");
    post["method"] = "POST".into();
    post["empty_writes"] = 20_000.into();
    let to = format!("127.0.0.1:{}", GRANTED.port);
    let raw =
        json!({ "do": "raw", "to": to, "empty_writes": 200_000, "send": "GET / HTTP/1.1\r\n\r\n" });
    stage(folder, &[granted(), to], &[], &[raw, post])
}

/// How many steps went well, and how many did not.
fn counted(outcome: &Outcome) -> (usize, usize) {
    let starting = |with: &str| outcome.heard.iter().filter(|l| l.starts_with(with)).count();
    (starting("{\"ok\""), starting("{\"error\""))
}

/// No step went well.
pub(super) fn nothing_was_reached(outcome: &Outcome, _: &Path) {
    let (well, refused) = counted(outcome);
    assert!(well == 0 && refused > 0, "{outcome:#?}");
    assert_eq!(FORBIDDEN.came(), 0, "{outcome:#?}");
}

/// The first step is the attack's bait.
pub(super) fn only_the_first_was_reached(outcome: &Outcome, _: &Path) {
    let (well, refused) = counted(outcome);
    assert!(well == 1 && refused > 0, "{outcome:#?}");
    assert!(outcome.heard.iter().any(|line| line.contains("203.0.114.1") || line.contains("302")));
    assert_eq!(FORBIDDEN.came(), 0, "{outcome:#?}");
}

/// No resolver was asked for what carries data.
pub(super) fn nothing_carried_out(outcome: &Outcome, _: &Path) {
    assert_eq!(counted(outcome).0, 0, "{outcome:#?}");
    assert_eq!((CARRIED_OUT.load(Ordering::Relaxed), FORBIDDEN.came()), (0, 0), "{outcome:#?}");
}

/// The limit was 5.
pub(super) fn five_were_open(outcome: &Outcome, _: &Path) {
    assert!(outcome.heard.iter().any(|line| line.contains(r#""open":5"#)), "{outcome:#?}");
}

/// The limit was 5.
pub(super) fn five_were_answered(outcome: &Outcome, _: &Path) {
    assert_eq!(counted(outcome), (5, 25), "{outcome:#?}");
}

/// Nothing that was written is nothing: what came after it arrived.
pub(super) fn the_server_answered(outcome: &Outcome, _: &Path) {
    assert!(outcome.heard.iter().any(|line| line.contains("hello")), "{outcome:#?}");
}
