//! Peers that take more than they may, or nothing at all.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::super::peer::HANDSHAKE;
use super::scene::{LONG, Scene, Server, rest};

#[test]
fn somebody_else_on_the_network_is_not_served() {
    let echo = Server::echo();
    let mut scene = Scene::new(&[&format!("db.example:{}", echo.port)]).here("db.example");
    scene.peers = "10.0.0.0/8";
    let scene = scene.start();
    let said = scene.say(format!("CONNECT db.example:{} HTTP/1.1\r\n\r\n", echo.port).as_bytes());
    assert_eq!((said, scene.asked()), (Vec::new(), Vec::new()));
}

#[test]
fn connections_are_limited_at_once_and_in_all() {
    let echo = Server::echo();
    let scene = Scene::new(&[&format!("db.example:{}", echo.port)])
        .here("db.example")
        .limited(|limits| limits.connections = 1)
        .start();
    let mut first = scene.socks("db.example", echo.port).unwrap();
    assert_eq!(scene.socks("db.example", echo.port).unwrap_err(), 1);
    scene.assert_denied("connections", "limit connections");
    let said = scene.tunnel(&format!("db.example:{}", echo.port));
    assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
    first.write_all(b"x").unwrap();
    first.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&mut first), b"x");
    assert_eq!(echo.first(), "1");
    // The place is given back with the connection, of whose end we hear a little sooner.
    let begun = Instant::now();
    while scene.socks("db.example", echo.port).is_err() {
        assert!(begun.elapsed() < LONG, "the place is not given back");
        std::thread::sleep(Duration::from_millis(20));
    }
    let scene = Scene::new(&[&format!("db.example:{}", echo.port)])
        .here("db.example")
        .limited(|limits| limits.connections_total = 1)
        .start();
    assert!(scene.socks("db.example", echo.port).is_ok());
    assert_eq!(scene.socks("db.example", echo.port).unwrap_err(), 1);
    scene.assert_denied("connections-total", "limit connections-total");
}

#[test]
fn lookups_and_bytes_are_limited() {
    let echo = Server::echo();
    let scene = Scene::new(&[&format!("db.example:{}", echo.port)])
        .here("db.example")
        .limited(|limits| (limits.lookups, limits.network_bytes) = (1, 100_000))
        .start();
    let mut stream = scene.socks("db.example", echo.port).unwrap();
    assert_eq!(scene.socks("db.example", echo.port).unwrap_err(), 1);
    scene.assert_denied("lookups", "limit lookups");
    assert_eq!(scene.asked(), ["db.example"]);
    let _ = stream.write_all(&[0; 300_000]);
    assert!(rest(&mut stream).len() < 100_000);
    scene.assert_denied("network-bytes", "limit network-bytes");
    // What is left is nothing.
    let scene = Scene::new(&[&format!("127.0.0.1:{}", echo.port)])
        .limited(|limits| limits.network_bytes = 10)
        .start();
    let said =
        scene.say(format!("GET http://127.0.0.1:{}/ HTTP/1.1\r\n\r\n", echo.port).as_bytes());
    assert!(said.starts_with(b"HTTP/1.1 503 "));
}

#[test]
fn silence_ends() {
    let silent = Server::start(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
        String::new()
    });
    let scene = Scene::new(&[&format!("a:{}", silent.port)])
        .here("a")
        .limited(|limits| {
            limits.network_idle_time = Duration::from_millis(300);
            limits.first_byte_time = Duration::from_millis(200);
        })
        .start();
    let mut stream = scene.socks("a", silent.port).unwrap();
    assert_eq!(rest(&mut stream), b"");
    scene.assert_denied("network-idle-time", "limit network-idle-time");
    let mut stream = scene.socks("a", silent.port).unwrap();
    stream.write_all(b"anybody?").unwrap();
    assert_eq!(rest(&mut stream), b"");
    scene.assert_denied("first-byte-time", "limit first-byte-time");
    let mut stream = scene.connect();
    write!(stream, "GET http://a:{}/ HTTP/1.1\r\n\r\n", silent.port).unwrap();
    assert!(rest(&mut stream).starts_with(b"HTTP/1.1 504 "));
}

#[test]
fn who_does_not_read_is_not_read_for() {
    let flood = Server::start(|mut stream| {
        let (bytes, mut sent) = (vec![7; 1 << 16], 0_u64);
        while stream.write_all(&bytes).is_ok() && sent < 1 << 32 {
            sent += bytes.len() as u64;
        }
        sent.to_string()
    });
    let scene = Scene::new(&[&format!("a:{}", flood.port)])
        .here("a")
        .limited(|limits| limits.network_idle_time = Duration::from_secs(1))
        .start();
    let stream = scene.socks("a", flood.port).unwrap();
    // What the system's own buffers hold.
    let sent: u64 = flood.first().parse().unwrap();
    assert!(sent < 64 << 20, "{sent} bytes went somewhere");
    drop(stream);
}

#[test]
fn who_says_nothing_or_little_is_sent_away() {
    let scene = Scene::new(&["a:1"]).start();
    let begun = Instant::now();
    let slow = |words: &'static [u8], scene: &Scene| {
        let mut stream = scene.connect();
        let mut writer = stream.try_clone().unwrap();
        std::thread::spawn(move || {
            for byte in words.iter().cycle() {
                std::thread::sleep(Duration::from_millis(200));
                if writer.write_all(&[*byte]).is_err() || begun.elapsed() > LONG {
                    break;
                }
            }
        });
        std::thread::spawn(move || rest(&mut stream))
    };
    // 2 + 255 bytes of ways to authenticate; a head that has no end; nothing.
    let all = [slow(b"\x05\xff\x05\x05\x05", &scene), slow(b"GET", &scene), slow(b"", &scene)];
    let said: Vec<_> = all.into_iter().map(|peer| peer.join().unwrap()).collect();
    let took = begun.elapsed();
    assert!(took >= HANDSHAKE && took < LONG, "{took:?}");
    assert!(said[1].starts_with(b"HTTP/1.1 408 "));
    assert_eq!((said[0].len(), said[2].len()), (0, 0));
}

#[test]
fn everything_ends_with_the_proxy() {
    let echo = Server::echo();
    let mut scene = Scene::new(&[&format!("a:{}", echo.port)]).here("a").start();
    let (at, mut undecided) = (scene.egress().at, scene.connect());
    undecided.write_all(b"\x05\x01\x00").unwrap();
    undecided.read_exact(&mut [0; 2]).unwrap();
    let mut tunnel = scene.socks("a", echo.port).unwrap();
    tunnel.write_all(b"x").unwrap();
    tunnel.read_exact(&mut [0]).unwrap();
    scene.stop();
    assert_eq!((rest(&mut tunnel), rest(&mut undecided)), (Vec::new(), Vec::new()));
    assert_eq!(echo.first(), "1");
    assert!(TcpStream::connect(at).is_err(), "somebody still listens");
}
