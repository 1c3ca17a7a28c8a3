//! `wasi:sockets` of a component: what is granted is reached, and nothing else.

mod common;
#[path = "peers/network.rs"]
mod network;

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use lockgate::fault::{ExitClass, Fault};
use lockgate::protocol::{Capability, Json};
use lockgate::{ConnectorOptions, Host};
use serde_json::json;

use self::common::{Folder, guest};
use self::network::{Names, Scene, Server, closed_port};

#[test]
fn a_granted_name_is_reached_at_its_port() {
    let server = Server::greeting("hello");
    let other = Server::greeting("not for you");
    let (port, next) = (server.port, other.port);
    let names = Names::here(&["db.example", "second.example"]);
    let grant = format!("db.example:{port}");
    let scene = Scene::new(names.clone(), &[&grant]);

    let outcome = scene.take(&json!([
        { "do": "tcp", "to": format!("db.example:{port}") },
        { "do": "tcp", "to": format!("DB.Example.:{port}") },
        { "do": "tcp", "to": format!("db.example:{next}") },
        { "do": "tcp", "to": format!("second.example:{port}") },
        { "do": "tcp", "to": format!("127.0.0.2:{port}") },
    ]));
    assert_eq!(outcome.ok(0), "hello");
    assert_eq!(outcome.ok(1), "hello");
    for step in 2..5 {
        outcome.error(step);
    }
    assert_eq!((server.connections(), other.connections()), (2, 0));
    // A second name is not even looked up.
    assert!(names.asked().iter().all(|name| name == "db.example"), "{:?}", names.asked());
    let rule = format!("allow-net {grant}");
    outcome.assert_allowed(Capability::Lookup, "db.example", &rule);
    outcome.assert_allowed(Capability::Connect, &format!("127.0.0.1:{port}"), &rule);
    let missing = format!("db.example:{next}");
    outcome.assert_denied(Capability::Connect, &missing, "not-granted");
    outcome.assert_denied(Capability::Lookup, "second.example", "not-granted");
    let elsewhere = format!("127.0.0.2:{port}");
    outcome.assert_denied(Capability::Connect, &elsewhere, "loopback-range");
    for flag in [format!("--allow-net {missing}"), format!("--allow-net {elsewhere}")] {
        assert!(outcome.warnings.contains(&flag), "{flag}: {}", outcome.warnings);
    }
}

#[test]
fn the_same_server_by_its_address_needs_a_grant_of_the_address() {
    let server = Server::greeting("hello");
    let port = server.port;
    let steps = json!([{ "do": "tcp", "to": format!("127.0.0.1:{port}") }]);
    let by_name = Scene::new(Names::here(&["db.example"]), &[&format!("db.example:{port}")]);
    by_name.take(&steps).error(0);
    assert_eq!(server.connections(), 0);
    for grant in [format!("127.0.0.1:{port}"), format!("127.0.0.0/8:{port}")] {
        assert_eq!(Scene::new(Names::here(&[]), &[&grant]).take(&steps).ok(0), "hello");
    }
    let wide = Scene::new(Names::here(&[]), &[&format!("64.0.0.0/2:{port}")]);
    wide.take(&steps).assert_denied(
        Capability::Connect,
        &format!("127.0.0.1:{port}"),
        "loopback-range",
    );
}

#[test]
fn every_spelling_of_this_machine_and_of_metadata_services_is_closed() {
    let server = Server::greeting("hello");
    let port = server.port;
    let names: &[&[&str]] = &[&["127.0.0.1"]];
    let metadata: &[&[&str]] = &[&["169.254.169.254"]];
    let names = Names::new(&[
        ("a.wide.example", names),
        ("localhost", names),
        ("metadata.google.internal", metadata),
        ("exact.example", metadata),
    ]);
    let mut scene = Scene::new(
        names.clone(),
        &[&format!("*.wide.example:{port}"), &format!("*:{port}"), &format!("0.0.0.0/0:{port}")],
    );
    scene.options.allow_net.push(format!("exact.example:{port}"));
    scene.options.allow_any_network = true;
    let addresses = [
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
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "10.0.0.1",
        "[fe80::1]",
    ];
    let spellings = [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "2852039166",
        "a.wide.example",
        "localhost",
        "metadata.google.internal",
        "exact.example",
        "EXACT.example.",
    ];
    let mut steps: Vec<_> = addresses
        .iter()
        .map(|address| json!({ "do": "raw", "to": format!("{address}:{port}") }))
        .collect();
    steps.extend(spellings.iter().map(|name| json!({ "do": "raw-resolve", "name": name })));
    steps.extend(
        spellings.iter().map(|name| json!({ "do": "tcp", "to": format!("{name}:{port}") })),
    );
    let outcome = scene.take(&json!(steps));
    for (step, what) in steps.iter().enumerate() {
        let error = outcome.steps[step]["error"].as_str();
        assert!(error.is_some(), "{what} was not refused: {}", outcome.steps[step]);
        if step < addresses.len() + spellings.len() {
            assert_eq!(error, Some("access-denied"), "{what}");
        }
    }
    assert_eq!(server.connections(), 0);
    // Addresses in odd clothes are no names: nobody was asked.
    assert!(names.asked().iter().all(|n| n.parse::<u32>().is_err() && !n.contains("127")));
}

#[test]
fn a_name_that_turns_private_is_refused() {
    let server = Server::greeting("hello");
    let port = server.port;
    let turns: &[&[&str]] = &[&["203.0.114.1"], &["127.0.0.1"]];
    let mixed: &[&[&str]] = &[&["127.0.0.1", "203.0.114.1"]];
    let names = Names::new(&[("db.example", turns), ("mixed.example", mixed)]);
    let scene =
        Scene::new(names, &[&format!("db.example:{port}"), &format!("mixed.example:{port}")]);
    let outcome = scene.limit("connect-time=500ms").take(&json!([
        { "do": "resolve", "name": "db.example" },
        { "do": "resolve", "name": "db.example" },
        { "do": "tcp", "to": format!("db.example:{port}") },
        { "do": "raw", "to": format!("127.0.0.1:{port}") },
        { "do": "http", "authority": format!("db.example:{port}") },
        { "do": "resolve", "name": "mixed.example" },
    ]));
    assert_eq!(outcome.ok(0), &json!(["203.0.114.1"]));
    for step in 1..5 {
        outcome.error(step);
    }
    assert_eq!(outcome.ok(5), &json!(["203.0.114.1"]));
    outcome.assert_denied(Capability::Lookup, "db.example", "rebinding");
    outcome.assert_denied(Capability::Http, &format!("db.example:{port}"), "rebinding");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_name_keeps_its_kind_from_one_operation_to_the_next() {
    let turns: &[&[&str]] = &[&["203.0.114.1"], &["127.0.0.1"]];
    let scene = Scene::new(Names::new(&[("db.example", turns)]), &["db.example:1"]);
    let connector =
        scene.connector(&json!({ "steps": [{ "do": "resolve", "name": "db.example" }] }));
    assert_eq!(scene.run(&connector).ok(0), &json!(["203.0.114.1"]));
    let outcome = scene.run(&connector);
    outcome.error(0);
    outcome.assert_denied(Capability::Lookup, "db.example", "rebinding");
}

#[test]
fn an_operation_that_waits_for_the_network_ends_at_its_deadline() {
    let server = Server::silent();
    let to = format!("127.0.0.1:{}", server.port);
    let mut scene = Scene::new(Names::here(&[]), &[&to]);
    scene.options.timeout = Some("1s".into());
    let steps = [
        json!({ "do": "tcp", "to": to, "send": "hello" }),
        json!({ "do": "http", "authority": to }),
        json!({ "do": "flood", "to": to, "connections": 60 }),
    ];
    for step in &steps {
        let begun = Instant::now();
        let connector =
            scene.connector(&json!({ "steps": [step, { "do": "sleep", "millis": 9000 }] }));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let error = runtime.block_on(connector.try_config()).expect_err("it takes too long");
        assert_eq!(error.code(), "LIMIT_TIME", "{step}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{step}: {:?}", begun.elapsed());
    }
    // And the next one is served.
    let healthy = Server::greeting("hello");
    let to = format!("127.0.0.1:{}", healthy.port);
    let outcome = Scene::new(Names::here(&[]), &[&to]).take(&json!([{ "do": "tcp", "to": to }]));
    assert_eq!(outcome.ok(0), "hello");
}

#[test]
fn listening_and_datagrams_are_refused() {
    let scene = Scene::new(Names::here(&["db.example"]), &["db.example:5432", "127.0.0.1:*"]);
    let outcome = scene.take(&json!([
        { "do": "listen", "at": "127.0.0.1:0" },
        { "do": "listen", "at": "[::]:8080" },
        { "do": "udp", "to": "127.0.0.1:53" },
    ]));
    for step in 0..3 {
        outcome.error(step);
    }
    outcome.assert_denied(Capability::Socket, "bind 127.0.0.1:0", "no-listening");
    outcome.assert_denied(Capability::Socket, "udp", "no-udp");
}

#[test]
fn connections_are_counted() {
    let server = Server::silent();
    let port = server.port;
    let grant = format!("127.0.0.1:{port}");
    let flood = json!([
        { "do": "flood", "to": format!("127.0.0.1:{port}"), "connections": 20 },
        { "do": "flood", "to": format!("127.0.0.1:{port}"), "connections": 2 },
    ]);
    let at_once = Scene::new(Names::here(&[]), &[&grant]).limit("connections=5").take(&flood);
    assert_eq!(at_once.ok(0)["open"], 5);
    // Those of the first step were closed.
    assert_eq!(at_once.ok(1)["open"], 2);
    at_once.assert_denied(Capability::Limit, "connections", "limit connections");
    assert!(at_once.warnings.contains("--limit connections="), "{}", at_once.warnings);
    let in_all = Scene::new(Names::here(&[]), &[&grant]).limit("connections-total=21").take(&flood);
    assert_eq!((&in_all.ok(0)["open"], &in_all.ok(1)["open"]), (&json!(20), &json!(1)));
    in_all.assert_denied(Capability::Limit, "connections-total", "limit connections-total");
}

#[test]
fn lookups_are_counted() {
    let names = Names::here(&["db.example"]);
    let scene = Scene::new(names.clone(), &["db.example:1"]).limit("lookups=2");
    let step = json!({ "do": "resolve", "name": "db.example" });
    let outcome = scene.take(&json!([step, step, step]));
    outcome.ok(1);
    outcome.error(2);
    outcome.assert_denied(Capability::Limit, "lookups", "limit lookups");
    assert_eq!(names.asked().len(), 2);
}

#[test]
fn bytes_are_counted_both_ways() {
    let sink = Server::start(|mut stream| {
        let count = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or(0);
        let _ = write!(stream, "{count}");
        count.to_string()
    });
    let spring = Server::start(|mut stream| {
        let chunk = [b'x'; 4096];
        let mut sent = 0;
        while sent < 1 << 20 && stream.write_all(&chunk).is_ok() {
            sent += chunk.len();
        }
        String::new()
    });
    let grants = [format!("127.0.0.1:{}", sink.port), format!("127.0.0.1:{}", spring.port)];
    let scene = || Scene::new(Names::here(&[]), &[&grants[0], &grants[1]]);
    let pour = |bytes: u32| json!({ "do": "pour", "to": grants[0], "bytes": bytes });
    // More than any buffer, and all of it arrives.
    assert_eq!(scene().take(&json!([pour(20_000_000)])).ok(0), "20000000");
    let outcome = scene().limit("network-bytes=1MiB").take(&json!([pour(900_000), pour(900_000)]));
    assert_eq!(outcome.ok(0), "900000");
    outcome.error(1);
    outcome.assert_denied(Capability::Limit, "network-bytes", "limit network-bytes");
    let read = json!({ "do": "tcp", "to": grants[1] });
    scene().take(&json!([read])).ok(0);
    scene().limit("network-bytes=500KiB").take(&json!([read])).error(0);
}

#[test]
fn nothing_written_a_million_times_is_nothing() {
    let server = Server::start(|mut stream| {
        let mut text = [0; 4];
        let _ = stream.read_exact(&mut text);
        let _ = stream.write_all(&text);
        String::new()
    });
    let to = format!("127.0.0.1:{}", server.port);
    let scene = Scene::new(Names::here(&[]), &[&to]).limit("network-bytes=8");
    let raw = json!({ "do": "raw", "to": to, "empty_writes": 200_000, "send": "ping" });
    let outcome = scene.take(&json!([raw]));
    assert_eq!(outcome.ok(0), "ping");
}

#[test]
fn a_peer_that_says_nothing_is_left() {
    let server = Server::silent();
    let to = format!("127.0.0.1:{}", server.port);
    for (send, limit) in [("", "network-idle-time"), ("hello", "first-byte-time")] {
        let scene = Scene::new(Names::here(&[]), &[&to]).limit(&format!("{limit}=300ms"));
        let begun = Instant::now();
        let outcome = scene.take(&json!([{ "do": "tcp", "to": to, "send": send }]));
        outcome.error(0);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        outcome.assert_denied(Capability::Limit, limit, &format!("limit {limit}"));
    }
}

#[test]
fn an_address_that_does_not_answer_is_left() {
    // A full backlog: the system drops what more comes.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let socket = listener.local_addr().expect("an address");
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&socket, Duration::from_millis(200))
    {
        held.push(stream);
        assert!(held.len() < 10_000, "the backlog is never full");
    }
    let to = socket.to_string();
    let scene = Scene::new(Names::here(&[]), &[&to]).limit("connect-time=300ms");
    let outcome = scene.take(&json!([{ "do": "tcp", "to": to }]));
    outcome.error(0);
    outcome.assert_denied(Capability::Limit, "connect-time", "limit connect-time");
}

#[test]
fn a_port_that_is_closed_is_said_to_be() {
    let to = format!("127.0.0.1:{}", closed_port());
    let outcome = Scene::new(Names::here(&[]), &[&to]).take(&json!([{ "do": "raw", "to": to }]));
    assert_eq!(outcome.error(0), "connection-refused");
}

#[test]
fn templates_are_filled_from_the_configuration() {
    let server = Server::greeting("hello");
    let scene = Scene::new(Names::here(&["db.example"]), &["${config.host}:${config.port}"]);
    let to = format!("db.example:{}", server.port);
    let steps = json!([{ "do": "tcp", "to": to }]);
    let config = json!({ "host": "DB.example", "port": server.port, "steps": steps });
    assert_eq!(scene.take_with(&config).ok(0), "hello");
    for host in ["*", "*.example", "0.0.0.0/0", "db.example:1", ""] {
        let config = json!({ "host": host, "port": server.port, "steps": steps });
        let name = guest("network-source").display().to_string();
        let made = Host::new().get_connector(&name, &scene.options, Json::from_value(&config));
        let error = made.expect_err("it is no host");
        assert_eq!(error.code(), "GRANT_NETWORK", "{host}: {error}");
        assert!(error.to_string().contains("${config.host}"), "{error}");
    }
}

#[test]
fn without_a_grant_it_is_refused_by_name() {
    let name = guest("network-source").display().to_string();
    let config = Json::from_value(&json!({ "steps": [] }));
    let made = Host::new().get_source(&name, &ConnectorOptions::default(), config);
    let source = made.expect("what it needs can be asked for");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let refused = |error: lockgate::connector::ConnectorError| {
        assert_eq!((error.code(), error.exit()), ("COMPONENT_IMPORT", ExitClass::Refused));
        assert!(error.to_string().contains("imports wasi:"), "{error}");
        assert!(error.hint().expect("a hint").contains("--allow-net HOST:PORT"), "{error}");
    };
    refused(runtime.block_on(source.spec()).expect_err("it imports the network"));
    refused(runtime.block_on(source.check()).expect_err("it imports the network"));
    refused(runtime.block_on(source.discover()).expect_err("it imports the network"));
}

#[test]
fn the_command_line_grants_names_and_addresses() {
    let server = Server::greeting("hello");
    let folder = Folder::new();
    let to = |host: &str| json!({ "do": "tcp", "to": format!("{host}:{}", server.port) });
    let config = json!({ "steps": [to("127.0.0.1"), to("localhost")] });
    let config = folder.write("config.json", &config.to_string());
    let check = |grants: &[String]| {
        let mut command = folder.lockgate();
        command
            .args(["--verbose", "check"])
            .arg(guest("network-source"))
            .arg("--config")
            .arg(&config);
        for grant in grants {
            command.args(["--allow-net", grant]);
        }
        let output = command.output().expect("lockgate runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = check(&[]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("\nerror[COMPONENT_IMPORT]"), "{text}");
    let grants = [format!("127.0.0.1:{}", server.port), format!("localhost:{}", server.port)];
    let (code, text) = check(&grants);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!((text.matches(r#""ok":"hello""#).count(), server.connections()), (2, 2), "{text}");
    let (code, text) = check(&grants[1..]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("--allow-net 127.0.0.1:{}", server.port)), "{text}");
    let (code, text) = check(&["*:443".to_owned()]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("allow-any-network"), "{text}");
}

/// A worker asks the system for names, and its gate decides as that of this process does.
#[test]
fn a_sync_reaches_the_same_in_a_worker_and_without_one() {
    let (granted, other) = (Server::greeting("hello"), Server::greeting("secret"));
    let destination = guest("destination-dev-null");
    let tcp = |host: &str, port: u16| json!({ "do": "tcp", "to": format!("{host}:{port}") });
    let steps = [
        tcp("localhost", granted.port),
        tcp("localhost", other.port),
        tcp("127.0.0.1", other.port),
        tcp("2130706433", other.port),
        json!({ "do": "listen", "at": "127.0.0.1:0" }),
        json!({ "do": "udp", "to": format!("127.0.0.1:{}", other.port) }),
    ];
    let config = json!({ "steps": steps }).to_string();
    for (isolation, connections) in [("worker", 1), ("in-process", 2)] {
        let folder = Folder::new();
        let output = folder
            .lockgate()
            .args(["--verbose", "sync", "--isolation", isolation, "--source-config", &config])
            .arg("--source")
            .arg(guest("network-source"))
            .arg("--destination")
            .arg(&destination)
            .args(["--source-allow-net", &format!("localhost:{}", granted.port)])
            .output()
            .expect("lockgate runs");
        let text = String::from_utf8_lossy(&output.stderr);
        // It has no stream; what it reaches for, it reaches for in `check`.
        assert!(text.contains("error[STREAM_NONE]"), "{isolation}: {text}");
        assert_eq!(text.matches(r#""ok":"hello""#).count(), 1, "{isolation}: {text}");
        assert_eq!(text.matches(r#""ok""#).count(), 1, "{isolation}: {text}");
        for rule in ["not-granted", "no-listening", "no-udp"] {
            assert!(text.contains(rule), "{isolation}: no {rule} in {text}");
        }
        assert_eq!((granted.connections(), other.connections()), (connections, 0), "{isolation}");
    }
}

/// What a connector in Rust is told by its SDK, beside what the operator is.
#[test]
fn the_sdk_says_which_grant_is_missing() {
    let (server, silent, closed) = (Server::greeting("hello"), Server::silent(), closed_port());
    let places = [
        format!("db.example:{}", server.port),
        format!("db.example:{}", silent.port),
        format!("db.example:{closed}"),
        "unknown.example:1".to_owned(),
    ];
    let grants: Vec<&str> = places.iter().map(String::as_str).collect();
    let names = Names::here(&["db.example", "second.example"]);
    let step = |host: &str, port: u16| -> serde_json::Value {
        json!({ "do": "sdk-tcp", "host": host, "port": port, "millis": 500 })
    };
    let outcome = Scene::new(names, &grants).take(&json!([
        step("db.example", server.port),
        step("db.example", silent.port),
        step("db.example", closed),
        step("second.example", 5432),
        step("127.0.0.2", 5432),
        step("unknown.example", 1),
    ]));
    assert_eq!(outcome.ok(0), "hello");
    for (at, said) in [
        (1, "FailureKind::Transient: the connection to"),
        (1, "took too long"),
        (2, "FailureKind::Transient: cannot connect to"),
        (2, "the connection was refused"),
        (3, "FailureKind::Config: cannot connect to second.example:5432: it is not granted"),
        (3, "--allow-net second.example:5432"),
        (4, "FailureKind::Config: cannot connect to 127.0.0.2:5432: it is not granted"),
        (5, "FailureKind::Transient: cannot connect to unknown.example:1: its name cannot be"),
    ] {
        let error = outcome.error(at);
        assert!(error.contains(said), "{at}: {error}");
    }
}
