//! A server that says what a test wants.

use std::io::{Read as _, Write as _};

use lockgate_sdk::FailureKind;

use super::*;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag][..], &length, body].concat()
}

fn part(body: &[u8]) -> Vec<u8> {
    message(b'd', &[&b"w"[..], &[0; 24], body].concat())
}

fn reached(place: u64, reply: u8) -> Vec<u8> {
    message(b'd', &[&b"k"[..], &place.to_be_bytes(), &[0; 8], &[reply]].concat())
}

/// What is heard of a server that answers the command by some bytes, then closes, and what it was sent
/// since.
fn heard(answer: Vec<u8>) -> (Vec<String>, Result<(), Failure>, Vec<u8>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut room = [0; 4096];
        let ready = message(b'Z', b"I");
        let row = message(b'D', b"\0\x02\0\0\0\x06150000\0\0\0\x04UTF8");
        let set_up = [row, message(b'C', b"SELECT 1\0"), ready.clone()].concat();
        for answer in [[message(b'R', &[0; 4]), ready].concat(), set_up, answer] {
            if stream.read(&mut room).unwrap_or(0) == 0 || stream.write_all(&answer).is_err() {
                return Vec::new();
            }
        }
        // A client that gives up before it took all may be gone already: then nothing is read either.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut sent = Vec::new();
        let _ = stream.read_to_end(&mut sent);
        sent
    });
    let server = crate::Server {
        side: crate::Side::Source,
        host: "127.0.0.1",
        port,
        database: "d",
        username: "u",
        password: "",
        sslmode: crate::SslMode::Disable,
        root_certificate: None,
        allow_unsafe_password: false,
    };
    let mut connection = Connection::open_to_replicate(&server, "").unwrap();
    let mut told = Vec::new();
    let result = connection.replicate("START_REPLICATION", 7, "reading x").and_then(|mut log| {
        loop {
            match log.next()? {
                Heard::Part(bytes) => told.push(String::from_utf8_lossy(bytes).into_owned()),
                Heard::Reached(99) => return log.end(),
                Heard::Reached(place) => told.push(place.to_string()),
            }
        }
    });
    drop(connection);
    (told, result, serving.join().unwrap())
}

fn ended() -> Vec<u8> {
    [message(b'c', b""), message(b'C', b"COPY 0\0"), message(b'C', b"START\0"), message(b'Z', b"I")]
        .concat()
}

#[test]
fn parts_and_places_are_heard_and_the_kept_is_told() {
    let start = [message(b'S', b"a\0b\0"), message(b'W', &[0, 0, 0])].concat();
    let answer = [
        start,
        part(b"one"),
        reached(5, 1),
        part(b""),
        reached(99, 0),
        part(b"nobody wants it"),
        ended(),
    ];
    let (told, result, sent) = heard(answer.concat());
    assert_eq!((told, result), (vec!["one".into(), "5".into(), String::new()], Ok(())));
    let status = [&[b'd', 0, 0, 0, 38, b'r'][..], &7_u64.to_be_bytes().repeat(3), &[0; 9]].concat();
    let expected = [status, message(b'c', b""), message(b'X', b"")].concat();
    assert_eq!(sent, expected);
}

#[test]
fn a_server_that_refuses_is_heard() {
    let error = message(b'E', b"SERROR\0C55006\0Mit is in use\0\0");
    let (_, result, _) = heard([error.clone(), message(b'Z', b"I")].concat());
    let failure = result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transient);
    assert!(failure.message.contains("it is in use"), "{}", failure.message);
    let (told, result, _) = heard([message(b'W', &[0, 0, 0]), part(b"one"), error].concat());
    assert_eq!(told, ["one"]);
    assert!(result.unwrap_err().message.contains("reading x failed: it is in use"));
}

#[test]
fn a_server_that_is_turned_is_refused() {
    let both = message(b'W', &[0, 0, 0]);
    for (more, said) in [
        (vec![b'd', 0x7f, 0xff, 0xff, 0xff], "a changed row has"),
        (vec![b'd', 0, 0, 0, 4], "cannot be read"),
        (vec![b'd', 0, 0, 0, 0], "cannot be read"),
        (message(b'd', b"w too short"), "cannot be read"),
        (message(b'd', b"k too short"), "cannot be read"),
        (message(b'd', b"?"), "cannot be read"),
        (part(b"cut")[..9].to_vec(), "lost"),
        (vec![b'C', 0x7f, 0xff, 0xff, 0xff], "too long"),
        (message(b'c', b""), "ended its log"),
        (message(b'G', &[0; 3]), "something else"),
    ] {
        let (told, result, _) = heard([both.clone(), part(b"one"), more.clone()].concat());
        assert_eq!(told, ["one"]);
        let failure = result.unwrap_err();
        assert!(failure.message.contains(said), "{more:?}: {}", failure.message);
    }
    for (answer, said) in [
        (vec![b'W', 0x7f, 0xff, 0xff, 0xff], "too long"),
        (message(b'H', &[0; 3]), "something else"),
        (message(b'Z', b"I"), "sends no log"),
        (Vec::new(), "lost"),
    ] {
        let failure = heard(answer).1.unwrap_err();
        assert!(failure.message.contains(said), "{}", failure.message);
    }
}

#[test]
fn what_is_left_is_not_taken_for_ever() {
    let many = part(&vec![b'x'; 1 << 20]).repeat(9);
    let answer = [message(b'W', &[0, 0, 0]), reached(99, 0), many].concat();
    let (_, result, _) = heard(answer);
    assert_eq!(result, Ok(()));
}
