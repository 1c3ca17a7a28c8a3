//! What is asked for, byte by byte.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use proptest::prelude::*;

use super::scene::{Scene, Server, ok, read_until, rest, socks_request};

#[test]
fn both_ends_of_a_tunnel_hear_of_the_others_end() {
    let echo = Server::echo();
    let grant = format!("db.example:{}", echo.port);
    let scene = Scene::new(&[&grant]).here("db.example").start();
    let mut stream = scene.socks("DB.Example.", echo.port).unwrap();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let (all, expected) = (sent.clone(), sent.len().to_string());
    let writing = std::thread::spawn(move || {
        writer.write_all(&all).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    assert!(rest(&mut stream) == sent, "other bytes came back");
    writing.join().unwrap();
    assert_eq!(echo.first(), expected);
    scene.assert_allowed(&grant, &format!("allow-net {grant}"));
    // What was sent along with the request is the server's.
    let early = scene.say(format!("CONNECT {grant} HTTP/1.1\r\n\r\nearly").as_bytes());
    assert_eq!(early, b"HTTP/1.1 200 Connection established\r\n\r\nearly");
}

#[test]
fn what_was_cut_off_does_not_look_like_an_end() {
    let server = Server::start(|mut stream| {
        let _ = stream.write_all(b"some");
        let mut byte = [0];
        let _ = stream.read(&mut byte);
        let linger = Some(std::time::Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(&stream, linger).unwrap();
        String::new()
    });
    let scene = Scene::new(&[&format!("db.example:{}", server.port)]).here("db.example").start();
    let mut stream = scene.socks("db.example", server.port).unwrap();
    let mut four = [0; 4];
    stream.read_exact(&mut four).unwrap();
    stream.write_all(b"x").unwrap();
    let error = stream.read(&mut four).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_name_that_is_not_granted_is_never_looked_up() {
    let scene =
        Scene::new(&["db.example:5432", "*.wild.example:443"]).here("other.example").start();
    assert_eq!(scene.socks("other.example", 5432).unwrap_err(), 2);
    assert_eq!(scene.socks("db.example", 5433).unwrap_err(), 2);
    assert_eq!(scene.socks("secret-data.db.example", 5432).unwrap_err(), 2);
    assert_eq!(scene.socks("wild.example", 443).unwrap_err(), 2);
    assert_eq!(scene.socks("\0db.example", 5432).unwrap_err(), 2);
    assert_eq!(scene.socks("db.example\0.other.example", 5432).unwrap_err(), 2);
    let four = scene.say(b"\x04\x01\x15\x38\x00\x00\x00\x01me\x00other.example\x00");
    assert_eq!(four[..2], [0, 0x5b]);
    let said = scene.tunnel("other.example:5432");
    assert!(said.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{said}");
    assert!(said.contains("--allow-net other.example:5432 would grant it"), "{said}");
    let said = scene.say(b"GET http://other.example/ HTTP/1.1\r\nHost: db.example:5432\r\n\r\n");
    assert!(said.starts_with(b"HTTP/1.1 403 "));
    assert_eq!(scene.asked(), Vec::<String>::new());
    for target in ["other.example:5432", "db.example:5433", "other.example:80"] {
        scene.assert_denied(target, "not-granted");
    }
    assert!(scene.told().contains("--allow-net other.example:5432"), "{}", scene.told());
}

#[test]
fn every_spelling_of_an_address_is_that_address() {
    let echo = Server::echo();
    let port = echo.port;
    let spellings =
        ["127.0.0.1", "0x7f.1", "127.1", "2130706433", "0177.0.0.1", "::ffff:127.0.0.1"];
    let named = format!("db.example:{port}");
    let wildcard = format!("*:{port}");
    let closed = Scene::new(&[&named, &wildcard]).here("db.example").start();
    let open = Scene::new(&[&format!("127.0.0.1:{port}")]).start();
    for host in spellings {
        assert_eq!(closed.socks(host, port).unwrap_err(), 2, "{host}");
        assert!(open.socks(host, port).is_ok(), "{host}");
        let place =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        assert!(closed.tunnel(&place).starts_with("HTTP/1.1 403 "), "{host}");
        assert!(open.tunnel(&place).starts_with("HTTP/1.1 200 "), "{host}");
    }
    closed.assert_denied(&format!("127.0.0.1:{port}"), "loopback-range");
    assert_eq!(closed.asked(), Vec::<String>::new());
    assert!(closed.tunnel(&format!("169.254.169.254:{port}")).contains("[metadata-address]"));
    assert!(closed.tunnel(&format!("[::]:{port}")).contains("[unspecified-address]"));
    // As the address types of SOCKS.
    let mut request = b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01".to_vec();
    request.extend(port.to_be_bytes());
    assert_eq!(closed.say(&request)[..4], [5, 0, 5, 2]);
    assert_eq!(open.say(&request)[..4], [5, 0, 5, 0]);
    let mut request = b"\x05\x01\x00\x05\x01\x00\x04".to_vec();
    request.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1]);
    request.extend(port.to_be_bytes());
    assert_eq!(closed.say(&request)[..4], [5, 0, 5, 2]);
    assert_eq!(open.say(&request)[..4], [5, 0, 5, 0]);
}

#[test]
fn an_address_is_judged_also_under_a_name_that_is_granted() {
    let echo = Server::echo();
    let (name, wild) =
        (format!("db.example:{}", echo.port), format!("*.wild.example:{}", echo.port));
    let scene = Scene::new(&[&name, &wild])
        .named("db.example", &["192.88.99.1", "1.1.1.1", "127.0.0.1"])
        .here("a.wild.example")
        .named("b.wild.example", &["169.254.169.254"])
        .limited(|limits| limits.connect_time = std::time::Duration::from_millis(300))
        .start();
    assert_eq!(scene.socks("a.wild.example", echo.port).unwrap_err(), 2);
    scene.assert_denied(&format!("a.wild.example:{}", echo.port), "loopback-range");
    assert!(scene.tunnel(&format!("b.wild.example:{}", echo.port)).contains("[metadata-address]"));
    // Private first: what is of the internet is another place then, and the other way round.
    let _ = scene.socks("db.example", echo.port);
    assert_eq!(scene.socks("db.example", echo.port).unwrap_err(), 2);
    scene.assert_denied(&name, "rebinding");
    let scene = Scene::new(&[&name])
        .named("db.example", &["1.1.1.1", "127.0.0.1"])
        .limited(|limits| limits.connect_time = std::time::Duration::from_millis(300))
        .start();
    let _ = scene.socks("db.example", echo.port);
    assert!(scene.tunnel(&name).contains("[rebinding]"));
    assert_eq!(echo.seen(), Vec::<String>::new());
}

#[test]
fn a_jvms_address_of_localhost_is_the_name_that_is_granted() {
    let echo = Server::echo();
    let scene = Scene::new(&[&format!("localhost:{}", echo.port)]).here("localhost").start();
    assert!(scene.socks("127.0.0.1", echo.port).is_ok());
    assert!(scene.socks("::1", echo.port).is_ok());
    assert_eq!(scene.socks("127.0.0.2", echo.port).unwrap_err(), 2);
    assert_eq!(scene.socks("127.0.0.1", 1).unwrap_err(), 2);
    assert_eq!(scene.asked(), ["localhost", "localhost"]);
}

#[test]
fn a_request_is_forwarded_and_nothing_behind_it() {
    let web = Server::http(|_| ok("hello"));
    let scene = Scene::new(&[&format!("api.example:{}", web.port)]).here("api.example").start();
    let place = format!("api.example:{}", web.port);
    let said = scene.say(
        format!(
            "POST http://{place}/a HTTP/1.1\r\nHost: evil.example\r\nConnection: keep-alive, Content-Length\r\n\
             Content-Length: 4\r\nX: y\r\n\r\nbodyGET http://{place}/secret HTTP/1.1\r\n\r\n"
        )
        .as_bytes(),
    );
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert_eq!(String::from_utf8_lossy(&said), answer);
    let wanted = format!(
        "POST /a HTTP/1.1\r\nX: y\r\nHost: {place}\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"
    );
    assert_eq!(web.first(), wanted);
    scene.assert_allowed(&place, &format!("allow-net {place}"));
}

#[test]
fn what_comes_after_a_request_is_not_sent() {
    let (got, has_body) = std::sync::mpsc::sync_channel(1);
    let web = Server::start(move |mut stream| {
        let mut all = Vec::new();
        read_until(&mut stream, &mut all, b"body");
        got.send(()).unwrap();
        let _ = stream.read_to_end(&mut all);
        let _ = stream.write_all(ok("hello").as_bytes());
        String::from_utf8_lossy(&all).into_owned()
    });
    let scene = Scene::new(&[&format!("api.example:{}", web.port)]).here("api.example").start();
    let mut stream = scene.connect();
    let head =
        format!("POST http://api.example:{}/ HTTP/1.1\r\nContent-Length: 4\r\n\r\n", web.port);
    stream.write_all(format!("{head}body").as_bytes()).unwrap();
    has_body.recv().unwrap();
    stream.write_all(b"GET http://other.example/secret HTTP/1.1\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(rest(&mut stream).ends_with(b"hello"));
    assert!(web.first().ends_with("\r\n\r\nbody"), "{}", web.first());
}

#[test]
fn a_chunked_body_ends_where_it_ends() {
    let web = Server::start(|mut stream| {
        let mut all = Vec::new();
        read_until(&mut stream, &mut all, b"0\r\n\r\n");
        let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        let _ = stream.write_all(ok("taken").as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    });
    let scene = Scene::new(&[&format!("api.example:{}", web.port)]).here("api.example").start();
    let head = format!("PUT http://api.example:{} HTTP/1.1\r\n", web.port);
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let said = scene.say(format!("{head}{chunked}GET /x HTTP/1.1\r\n\r\n").as_bytes());
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{said}");
    assert!(said.ends_with("\r\n\r\ntaken"), "{said}");
    assert!(web.first().ends_with(chunked), "{}", web.first());
}

#[test]
fn a_broken_server_is_said_to_be_one() {
    let web = Server::start(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-x\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
        String::new()
    });
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let grants = [format!("a:{}", web.port), format!("a:{closed}"), format!("none:{closed}")];
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let scene = Scene::new(&grants).here("a").start();
    let said = scene.say(format!("GET http://a:{}/ HTTP/1.1\r\n\r\n", web.port).as_bytes());
    assert!(said.starts_with(b"HTTP/1.1 502 "), "{}", String::from_utf8_lossy(&said));
    assert!(scene.tunnel(&format!("a:{closed}")).starts_with("HTTP/1.1 502 "));
    assert!(scene.tunnel(&format!("none:{closed}")).contains("the name has no address"));
    assert_eq!(scene.socks("a", closed).unwrap_err(), 5);
    assert_eq!(scene.socks("none", closed).unwrap_err(), 4);
}

#[test]
fn what_is_no_request_is_refused() {
    let scene = Scene::new(&["db.example:5432"]).start();
    let long = vec![b'A'; 200 << 10];
    let user = [b"\x04\x01\x00\x50\x01\x02\x03\x04".as_slice(), &[1; 2000]].concat();
    let bind = [b"\x05\x01\x00".as_slice(), &socks_request(2, "db.example", 5432)].concat();
    let udp = [b"\x05\x01\x00".as_slice(), &socks_request(3, "db.example", 5432)].concat();
    for (bytes, answer) in [
        (b"".as_slice(), b"".as_slice()),
        (b"\x00", b""),
        (b"\x16\x03\x01\x02\x00\x01\x00", b""),
        (b"\xff\xff", b""),
        (b"\x05", b""),
        (b"\x05\x00", b"\x05\xff"),
        (b"\x05\x02\x01\x02", b"\x05\xff"),
        (b"\x05\x01\x00\x05\x01\x00\x02", b"\x05\x00\x05\x08"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x00", b"\x05\x00\x05\x01"),
        (b"\x05\x01\x00\x05\x01\x07\x01\x01\x01\x01\x01\x00\x50", b"\x05\x00\x05\x01"),
        (b"\x05\x01\x00\x04\x01", b"\x05\x00"),
        (&bind, b"\x05\x00\x05\x07"),
        (&udp, b"\x05\x00\x05\x07"),
        (b"\x04\x02\x00\x50\x01\x02\x03\x04\x00", b"\x00\x5b"),
        (&user, b""),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 "),
        (b"CONNECT db.example HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),
        (b"CONNECT db.example:5432 HTTP/2.0\r\n\r\n", b"HTTP/1.1 400 "),
        (b"CONNECT db.example:5432", b""),
        (&long, b"HTTP/1.1 431 "),
    ] {
        let said = scene.say(bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
        assert!(said.starts_with(answer), "{shown:?}: {:?}", String::from_utf8_lossy(&said));
        assert_eq!(said.is_empty(), answer.is_empty(), "{shown:?}");
    }
    scene.assert_denied("SOCKS BIND", "no-listening");
    scene.assert_denied("SOCKS UDP ASSOCIATE", "no-listening");
    assert_eq!(scene.asked(), Vec::<String>::new());
}

#[test]
fn any_bytes_end_in_a_refusal() {
    let echo = Server::echo();
    // Nothing that the grammar below can name.
    let scene = Scene::new(&[&format!("granted.example:{}", echo.port)]).start();
    let start = prop::sample::select(vec![
        &b""[..],
        b"\x05\x01\x00\x05\x01\x00\x03",
        b"\x05\x01\x00\x05\x01\x00",
        b"\x04\x01",
        b"CONNECT ",
        b"GET http://",
        b"POST http://a/ HTTP/1.1\r\n",
    ]);
    let text = r"[a-c0-9:/@\[\]. ]{0,20}( HTTP/1.1)?(\r\n){0,2}";
    let bytes =
        prop_oneof![prop::collection::vec(any::<u8>(), 0..300), text.prop_map(String::into_bytes),];
    let mut runner = proptest::test_runner::TestRunner::default();
    let refused = runner.run(&(start, bytes), |(start, bytes)| {
        let said = scene.say(&[start, &bytes].concat());
        prop_assert!(!said.starts_with(b"\x05\x00\x05\x00") && !said.starts_with(b"\x00\x5a"));
        prop_assert!(!said.starts_with(b"HTTP/1.1 2"));
        Ok(())
    });
    refused.unwrap();
    assert_eq!((scene.asked(), echo.seen()), (Vec::new(), Vec::new()));
}
