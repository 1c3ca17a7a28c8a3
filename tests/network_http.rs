//! `wasi:http` of a component: a request goes where it was checked to go, and nowhere else.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

mod common;
#[path = "peers/network.rs"]
mod network;

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate::protocol::Capability;
use serde_json::{Value, json};

use self::common::{Folder, guest};
use self::network::{Names, Scene, Server, drain, ok, read_head};

fn get(authority: &str) -> Value {
    json!({ "do": "http", "authority": authority })
}

/// The same step with more members.
fn with(step: &Value, members: &Value) -> Value {
    let mut step = step.clone();
    let members = members.as_object().expect("members").clone();
    step.as_object_mut().expect("a step").extend(members);
    step
}

#[test]
fn a_request_arrives_as_it_was_checked() {
    let server = Server::http(|_| ok("hello"));
    let port = server.port;
    let authority = format!("api.example:{port}");
    let scene = Scene::new(Names::here(&["api.example"]), &[&authority]);
    let step = with(
        &get(&format!("API.example.:{port}")),
        &json!({ "path": "/a?b=c", "headers": [["x-own", "1"]] }),
    );
    let outcome = scene.take(&json!([step]));
    assert_eq!((&outcome.ok(0)["status"], &outcome.ok(0)["body"]), (&json!(200), &json!("hello")));
    let head = server.first().to_lowercase();
    assert!(head.starts_with("get /a?b=c http/1.1\r\n"), "{head}");
    assert_eq!(head.matches("\r\nhost: ").count(), 1, "{head}");
    assert!(head.contains(&format!("\r\nhost: {authority}\r\n")), "{head}");
    assert!(head.contains("\r\nx-own: 1\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    outcome.assert_allowed(Capability::Http, &authority, &format!("allow-net {authority}"));
}

#[test]
fn other_places_are_refused() {
    let server = Server::http(|_| ok("hello"));
    let other = Server::http(|_| ok("not for you"));
    let (port, next) = (server.port, other.port);
    let names = Names::here(&["api.example", "second.example", "evil.example"]);
    let scene = Scene::new(names.clone(), &[&format!("api.example:{port}")]);
    let good = get(&format!("api.example:{port}"));
    let steps = [
        get(&format!("api.example:{next}")),
        get(&format!("second.example:{port}")),
        get(&format!("127.0.0.1:{port}")),
        get(&format!("[::ffff:127.0.0.1]:{port}")),
        get(&format!("2130706433:{port}")),
        get("api.example"),
        get(&format!("api.example:{port}@evil.example:{next}")),
        get(&format!("evil.example@api.example:{port}")),
        get(&format!("api.example:{port}/x")),
        get("api.example:99999"),
        get("api.example:"),
        get(""),
        with(&good, &json!({ "path": format!("http://evil.example:{next}/") })),
        with(&good, &json!({ "path": format!("evil.example:{next}") })),
        with(&good, &json!({ "path": "*", "method": "OPTIONS" })),
        with(&good, &json!({ "method": "CONNECT" })),
        with(&good, &json!({ "scheme": "ftp" })),
        with(&good, &json!({ "headers": [["Host", "evil.example"]] })),
        with(&good, &json!({ "headers": [["Connection", "x"]] })),
        with(&good, &json!({ "headers": [["Transfer-Encoding", "chunked"]] })),
        with(&good, &json!({ "headers": [["Upgrade", "websocket"]] })),
        with(&good, &json!({ "headers": [["Proxy-Authorization", "x"]] })),
        with(&good, &json!({ "headers": [["x", "a\r\nHost: evil.example"]] })),
        with(&good, &json!({ "path": "/ HTTP/1.1\r\nHost: evil.example\r\n\r\n" })),
    ];
    let outcome = scene.take(&json!(steps));
    for (at, step) in steps.iter().enumerate() {
        assert!(outcome.steps[at]["error"].is_string(), "{step}: {}", outcome.steps[at]);
    }
    assert_eq!((server.connections(), other.connections()), (0, 0));
    assert_eq!(names.asked(), Vec::<String>::new());
    let denied = |target: &str, rule| outcome.assert_denied(Capability::Http, target, rule);
    denied(&format!("api.example:{next}"), "not-granted");
    denied(&format!("second.example:{port}"), "not-granted");
    denied(&format!("127.0.0.1:{port}"), "loopback-range");
    denied(&format!("api.example:{port}@evil.example:{next}"), "userinfo");
    assert!(outcome.warnings.contains(&format!("--allow-net api.example:{next}")));
}

#[test]
fn a_redirect_is_an_answer() {
    let other = Server::http(|_| ok("not for you"));
    let next = other.port;
    let server = Server::http(move |_| {
        format!(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{next}/\r\ncontent-length: 0\r\n\r\n"
        )
    });
    let authority = format!("api.example:{}", server.port);
    let scene = Scene::new(Names::here(&["api.example"]), &[&authority, "*.example:1"]);
    let outcome = scene.take(&json!([get(&authority), get(&format!("127.0.0.1:{next}"))]));
    assert_eq!(outcome.ok(0)["status"], 302);
    outcome.error(1);
    assert_eq!(other.connections(), 0);
}

#[test]
fn proxies_of_the_environment_are_ignored() {
    let server = Server::http(|_| ok("hello"));
    let proxy = Server::http(|_| ok("by the proxy"));
    let folder = Folder::new();
    let to = format!("127.0.0.1:{}", server.port);
    let config = folder.write("config.json", &json!({ "steps": [get(&to)] }).to_string());
    let mut command = folder.lockgate();
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"] {
        command.env(name, format!("http://127.0.0.1:{}", proxy.port));
    }
    command.args(["--verbose", "check"]).arg(guest("network-source")).arg("--config").arg(config);
    let output = command.args(["--allow-net", &to]).output().expect("lockgate runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(r#""body":"hello""#), "{text}");
    assert_eq!((server.connections(), proxy.connections()), (1, 0));
}

#[test]
fn bodies_are_sent_and_counted() {
    let server = Server::start(|mut stream| {
        let head = read_head(&mut stream);
        let (mut last, mut byte) = (Vec::new(), [0]);
        while !last.ends_with(b"\r\n0\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
            last.push(byte[0]);
        }
        let _ = stream
            .write_all(ok(&last.iter().filter(|b| **b == b'x').count().to_string()).as_bytes());
        head
    });
    let to = format!("127.0.0.1:{}", server.port);
    let scene = || Scene::new(Names::here(&[]), &[&to]);
    let post = with(&get(&to), &json!({ "method": "POST", "body": "x".repeat(1000), "times": 3 }));
    let empty = with(&post, &json!({ "empty_writes": 2000 }));
    assert_eq!(scene().take(&json!([empty])).ok(0)["body"], "3000");
    let large = with(&post, &json!({ "times": 20_000 }));
    let outcome = scene().limit("http-body-bytes=100KiB").take(&json!([large]));
    assert!(outcome.error(0).contains("HttpRequestBodySize"), "{outcome:#?}");
    outcome.assert_denied(Capability::Limit, "http-body-bytes", "limit http-body-bytes");
    let outcome = scene().limit("network-bytes=2KiB").take(&json!([post]));
    outcome.error(0);
    outcome.assert_denied(Capability::Limit, "network-bytes", "limit network-bytes");
}

#[test]
fn trailers_are_stripped_as_headers_are() {
    let server = Server::start(|mut stream| {
        let mut text = read_head(&mut stream);
        let mut byte = [0];
        while !text.ends_with("0\r\n\r\n") && !text.contains("x-end") {
            if !matches!(stream.read(&mut byte), Ok(1)) {
                break;
            }
            text.push(char::from(byte[0]));
        }
        let _ = stream.write_all(ok("done").as_bytes());
        text
    });
    let to = format!("127.0.0.1:{}", server.port);
    let post = json!({
        "do": "http", "authority": to, "method": "POST", "body": "hello",
        "trailers": [["transfer-encoding", "x"]],
    });
    // A guest cannot even make such a trailer; the request never ends, or ends without it.
    let outcome =
        Scene::new(Names::here(&[]), &[&to]).limit("first-byte-time=1s").take(&json!([post]));
    assert!(outcome.steps[0].is_object());
    assert!(!server.first().to_lowercase().contains("transfer-encoding: x"));
}

#[test]
fn answers_without_measure_are_cut_off() {
    let server = Server::start(|mut stream| {
        let head = read_head(&mut stream);
        let mut send = |text: &str| stream.write_all(text.as_bytes()).is_ok();
        send("HTTP/1.1 200 OK\r\n");
        if head.contains("/one ") {
            send("x: ");
            for _ in 0..1000 {
                if !send(&"x".repeat(1000)) {
                    break;
                }
            }
        } else if head.contains("/many ") {
            for n in 0..100_000 {
                if !send(&format!("x-{n}: y\r\n")) {
                    break;
                }
            }
        } else {
            send("transfer-encoding: chunked\r\n\r\n");
            while send("400\r\n") && send(&"y".repeat(1024)) && send("\r\n") {}
        }
        String::new()
    });
    let to = format!("127.0.0.1:{}", server.port);
    let path = |path: &str| with(&get(&to), &json!({ "path": path }));
    let scene = Scene::new(Names::here(&[]), &[&to])
        .limit("http-header-bytes=16KiB")
        .limit("http-body-bytes=1MiB");
    let outcome = scene.take(&json!([path("/one"), path("/many"), path("/body")]));
    for step in 0..3 {
        outcome.error(step);
    }
    outcome.assert_denied(Capability::Limit, "http-header-bytes", "limit http-header-bytes");
    outcome.assert_denied(Capability::Limit, "http-body-bytes", "limit http-body-bytes");
    assert!(outcome.error(2).starts_with("body after 1"), "{outcome:#?}");
}

#[test]
fn slow_servers_are_left() {
    let server = Server::start(|mut stream| {
        let head = read_head(&mut stream);
        if head.contains("/drip ") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx");
        }
        std::thread::sleep(Duration::from_secs(30));
        String::new()
    });
    let to = format!("127.0.0.1:{}", server.port);
    let drip = with(&get(&to), &json!({ "path": "/drip" }));
    let begun = Instant::now();
    let scene = Scene::new(Names::here(&[]), &[&to])
        .limit("first-byte-time=300ms")
        .limit("network-idle-time=300ms");
    let outcome = scene.take(&json!([get(&to), drip]));
    assert!(outcome.error(0).to_lowercase().contains("timeout"), "{outcome:#?}");
    assert!(outcome.error(1).to_lowercase().contains("timeout"), "{outcome:#?}");
    outcome.assert_denied(Capability::Limit, "first-byte-time", "limit first-byte-time");
    outcome.assert_denied(Capability::Limit, "network-idle-time", "limit network-idle-time");
    // A guest's own times: none at all, and longer than there is.
    let times = |nanoseconds: u64| with(&drip, &json!({ "timeout": nanoseconds }));
    scene.take(&json!([times(0)])).error(0);
    scene.take(&json!([times(u64::MAX)])).error(0);
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
}

#[test]
fn an_address_that_does_not_answer_leaves_time_for_the_next() {
    let server = Server::http(|_| ok("hello"));
    // Nobody is at the second loopback address.
    let answer: &[&[&str]] = &[&["127.0.0.3", "127.0.0.1"]];
    let authority = format!("api.example:{}", server.port);
    let scene = Scene::new(Names::new(&[("api.example", answer)]), &[&authority]);
    assert_eq!(scene.take(&json!([get(&authority)])).ok(0)["body"], "hello");
}

#[test]
fn requests_are_connections() {
    let server = Server::http(|_| ok("hello"));
    let to = format!("127.0.0.1:{}", server.port);
    let scene = Scene::new(Names::here(&[]), &[&to]).limit("connections-total=2");
    let outcome = scene.take(&json!([get(&to), get(&to), get(&to)]));
    outcome.ok(1);
    outcome.error(2);
    outcome.assert_denied(Capability::Limit, "connections-total", "limit connections-total");
}

#[test]
fn headers_are_not_hoarded() {
    let outcome = Scene::new(Names::here(&[]), &["127.0.0.1:1"])
        .take(&json!([{ "do": "hoard", "sets": 100 }, { "do": "hoard", "sets": 5000 }]));
    assert_eq!(outcome.ok(0)["kept"], 100);
    let kept = outcome.ok(1)["kept"].as_u64().expect("a number");
    assert!(kept < 600, "{outcome:#?}");
    outcome.assert_denied(Capability::Limit, "sets of HTTP headers", "header-sets");
}

/// A server behind TLS, and the certificate it is to be trusted by.
fn tls_server(name: &str) -> (Server, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.expect("a key"))
        .expect("a configuration");
    let config = Arc::new(config);
    let server = Server::start(move |mut socket| {
        let Ok(mut tls) = rustls::ServerConnection::new(config.clone()) else {
            return "none".to_owned();
        };
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        let head = read_head(&mut stream);
        let _ = stream.write_all(ok("over TLS").as_bytes());
        stream.conn.send_close_notify();
        let _ = stream.flush();
        drain(&mut socket);
        let name = tls.server_name().unwrap_or("no name").to_owned();
        format!("{name}\n{head}")
    });
    (server, made.cert.pem())
}

#[test]
fn tls_trusts_a_private_root_where_it_is_told_to() {
    let (server, pem) = tls_server("db.example");
    let folder = Folder::new();
    let root = folder.write("root.pem", &pem);
    let port = server.port;
    let names = Names::here(&["db.example", "other.example"]);
    let grants = [format!("db.example:{port}"), format!("other.example:{port}")];
    let https = |host: &str| with(&get(&format!("{host}:{port}")), &json!({ "scheme": "https" }));
    let mut scene = Scene::new(names, &[&grants[0], &grants[1]]);

    let outcome = scene.take(&json!([https("db.example")]));
    assert!(outcome.error(0).contains("Tls"), "{outcome:#?}");
    assert!(outcome.warnings.contains("--tls-root FILE"), "{}", outcome.warnings);

    scene.options.tls_root = vec![root];
    let outcome = scene.take(&json!([https("DB.example."), https("other.example")]));
    assert_eq!(outcome.ok(0)["body"], "over TLS");
    // The certificate is another name's.
    assert!(outcome.error(1).contains("Tls"), "{outcome:#?}");
    let seen = server.seen.lock().expect("a lock").join("|");
    assert!(seen.contains("db.example\nGET / HTTP/1.1"), "{seen}");

    scene.options.tls_root = vec![folder.write("empty.pem", "nothing\n")];
    let name = guest("network-source").display().to_string();
    let made = lockgate::Host::new().get_connector(
        &name,
        &scene.options,
        lockgate::protocol::Json::empty_object(),
    );
    let error = made.expect_err("no certificate").to_string();
    assert!(error.contains("empty.pem"), "{error}");
}

/// What a connector in Rust sends by its SDK, and what it is told.
#[test]
fn the_sdk_sends_bodies_and_says_which_grant_is_missing() {
    let server = Server::start(|mut stream| {
        let head = read_head(&mut stream).to_lowercase();
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next());
        let length = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        let _ = stream.read_exact(&mut body);
        let sent = body.iter().filter(|byte| **byte == b'x').count();
        let answer = format!("{}{sent}", " ".repeat(300_000 - sent.to_string().len()));
        let length = answer.len();
        let more =
            format!("HTTP/1.1 201 Created\r\nx-answer: yes\r\ncontent-length: {length}\r\n\r\n");
        let _ = stream.write_all(format!("{more}{answer}").as_bytes());
        drain(&mut stream);
        format!("{head}{sent}")
    });
    let authority = format!("api.example:{}", server.port);
    let scene = Scene::new(Names::here(&["api.example"]), &[&authority]);
    let url = format!("http://{authority}/items?key=h1dden");
    let post = |url: &str, bytes: usize, limit: usize| -> Value {
        json!({ "do": "sdk-post", "url": url, "bytes": bytes, "limit": limit })
    };
    let outcome = scene.take(&json!([
        post(&url, 1_000_000, 300_000),
        post(&url, 0, 299_999),
        post("http://other.example/items?key=h1dden", 5, 10),
    ]));
    let expected = json!({ "status": 201, "header": "yes", "bytes": 300_000 });
    assert_eq!(outcome.ok(0), &expected);
    let head = server.first();
    assert!(head.starts_with("post /items?key=h1dden http/1.1\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n1000000"), "{head}");
    assert!(head.contains("\r\nx-own: 1\r\n"), "{head}");
    let large = format!("FailureKind::System: POST http://{authority}/items: the answer is larger");
    assert!(outcome.error(1).starts_with(&large), "{}", outcome.error(1));
    let missing = "FailureKind::Config: POST http://other.example/items: it is not granted: pass \
                   --allow-net other.example:80";
    assert!(outcome.error(2).starts_with(missing), "{}", outcome.error(2));
    assert_eq!(server.connections(), 2);
}
