//! Connections, to this machine.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use lockgate_sdk::retry::{Retryable as _, Verdict};
use lockgate_sdk::tcp::{self, Reason, Timeouts};
use lockgate_sdk::{Failure, FailureKind};

#[test]
fn a_connection_talks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 5];
        stream.read_exact(&mut asked).unwrap();
        stream.write_all(&asked).unwrap();
    });
    // By a name that may have an address that nobody listens at.
    let mut stream = tcp::connect("localhost", port, Timeouts::default()).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello");
    peer.join().unwrap();
}

#[test]
fn nobody_there_is_tried_again() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = tcp::connect("127.0.0.1", port, Timeouts::default()).unwrap_err();
    assert!(matches!(error.reason(), Reason::Refused), "{error}");
    assert_eq!(error.verdict(), Verdict::Again { after: None });
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[test]
fn silence_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let brief = Timeouts { read: Duration::from_millis(100), ..Timeouts::default() };
    let mut stream = tcp::connect("127.0.0.1", port, brief).unwrap();
    let start = Instant::now();
    let error = tcp::Error::of("127.0.0.1", port, stream.read(&mut [0]).unwrap_err());
    assert!(matches!(error.reason(), Reason::Timeout), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_missing_grant_is_named() {
    let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let failure = Failure::from(tcp::Error::of("db.example", 5432, denied()));
    assert_eq!(failure.kind, FailureKind::Config);
    assert!(failure.message.contains("--allow-net db.example:5432"), "{}", failure.message);
    let error = tcp::Error::of("fd00::7", 5432, denied());
    assert!(error.to_string().contains("--allow-net [fd00::7]:5432"), "{error}");
    assert_eq!(error.verdict(), Verdict::Final);
}

#[test]
fn a_name_without_address_is_named() {
    let error = tcp::connect("nowhere.invalid", 1, Timeouts::default()).unwrap_err();
    assert!(matches!(error.reason(), Reason::Unresolved), "{error}");
    assert!(error.to_string().contains("nowhere.invalid:1"), "{error}");
}
