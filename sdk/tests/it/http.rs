//! Requests, against servers of this machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lockgate_sdk::http::{Client, Error, Method, Reason, Stage, Timeouts, failure_kind, parse_url};
use lockgate_sdk::retry::{Retryable as _, Verdict};
use lockgate_sdk::{Failure, FailureKind};

/// Serves one connection, and gives what was asked: the head in small letters, and the body.
fn serve(
    answer: impl FnOnce(&mut TcpStream) + Send + 'static,
) -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/items", listener.local_addr().unwrap());
    let (asked, seen) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while reader.read_line(&mut head).unwrap() > 2 {}
        let head = head.to_ascii_lowercase();
        let length = head
            .split_once("content-length: ")
            .and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        asked.send((head, body)).unwrap();
        answer(&mut stream);
    });
    (url, seen)
}

fn respond(text: impl Into<String>) -> impl FnOnce(&mut TcpStream) + Send + 'static {
    let text = text.into();
    move |stream: &mut TcpStream| stream.write_all(text.as_bytes()).unwrap()
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

/// What a request is answered with, as an error.
fn refused(response: String) -> Error {
    let (url, _seen) = serve(respond(response));
    Client::new().get(url).bearer("t0ps3cret").send().unwrap().success().unwrap_err()
}

#[test]
fn a_request_arrives_as_it_was_put_together() {
    let (url, seen) = serve(respond(answer(200, "x-one: a\r\nX-One: b\r\n", "{\"a\":1}")));
    let response = Client::new()
        .post(&url)
        .query("page", "1")
        .query("q", "a b&c")
        .header("X-Own", "yes")
        .bearer("t0ps3cret")
        .json(&serde_json::json!({"b": 2}))
        .send()
        .unwrap();
    assert_eq!((response.status(), response.is_success()), (200, true));
    assert_eq!(response.header("X-ONE"), Some("a"));
    assert_eq!(response.headers().filter(|(name, _)| *name == "x-one").count(), 2);
    let value: serde_json::Value = response.json().unwrap();
    assert_eq!(value, serde_json::json!({"a": 1}));
    let (head, body) = seen.recv().unwrap();
    assert!(head.starts_with("post /items?page=1&q=a+b%26c http/1.1\r\n"), "{head}");
    for line in ["x-own: yes", "authorization: bearer t0ps3cret", "content-type: application/json"]
    {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
    }
    assert_eq!(body, b"{\"b\":2}");
}

#[test]
fn every_method_is_sent() {
    for (method, body) in [
        (Method::Get, ""),
        (Method::Head, ""),
        (Method::Post, ""),
        (Method::Post, "x"),
        (Method::Put, "x"),
        (Method::Patch, "x"),
        (Method::Delete, ""),
    ] {
        let (url, seen) = serve(respond("HTTP/1.1 204 x\r\n\r\n"));
        let response = Client::new().request(method, url).body(body).send().unwrap();
        assert_eq!(response.bytes().unwrap(), b"", "{method}");
        let (head, sent) = seen.recv().unwrap();
        assert!(head.starts_with(&format!("{method} /items").to_lowercase()), "{head}");
        assert_eq!(sent, body.as_bytes(), "{method}");
    }
}

#[test]
fn a_body_is_read_as_it_comes() {
    let (go, wait) = mpsc::sync_channel::<()>(0);
    let (url, _seen) = serve(move |stream| {
        stream.write_all(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        stream.write_all(b"2\r\na\n\r\n").unwrap();
        // The rest comes when the first of it was read.
        wait.recv().unwrap();
        stream.write_all(b"2\r\nb\n\r\n0\r\n\r\n").unwrap();
    });
    let body = Client::new().get(url).send().unwrap().into_body();
    let mut lines = BufReader::new(body).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "a");
    go.send(()).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "b");
    assert!(lines.next().is_none());
}

#[test]
fn a_body_has_a_size() {
    let (url, _seen) = serve(respond(answer(200, "", "12345")));
    assert_eq!(Client::new().get(url).send().unwrap().bytes_up_to(5).unwrap(), b"12345");
    // A server that says nothing of its length.
    let (url, _seen) = serve(respond("HTTP/1.1 200 x\r\nconnection: close\r\n\r\n123456"));
    let error = Client::new().get(url).send().unwrap().bytes_up_to(5).unwrap_err();
    assert_eq!(error.reason(), &Reason::TooLarge(5));
    assert_eq!(error.verdict(), Verdict::Final);
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    for text in [
        "HTTP/1.1 200 x\r\ncontent-length: 10\r\n\r\n{\"a\"",
        "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"a\"",
    ] {
        let (url, _seen) = serve(respond(text));
        let error = Client::new().get(url).send().unwrap().bytes().unwrap_err();
        assert_eq!(error.reason(), &Reason::Incomplete);
        assert_eq!(error.verdict(), Verdict::Again { after: None });
    }
}

#[test]
fn statuses_have_kinds() {
    let kinds = [
        (FailureKind::Transient, vec![408, 425, 429, 500, 502, 503, 504]),
        (FailureKind::Config, vec![301, 302, 304, 401, 402, 403, 404, 407, 410, 451]),
        (FailureKind::System, vec![400, 405, 409, 415, 422, 600]),
    ];
    for (kind, statuses) in kinds {
        for status in statuses {
            assert_eq!(failure_kind(status), kind, "{status}");
        }
    }
    let failure: Failure = refused(answer(403, "", "")).into();
    assert_eq!(failure.kind, FailureKind::Config);
    assert_eq!(failure.detail, None);
}

#[test]
fn retry_after_goes_with_the_failure() {
    let error = refused(answer(429, "retry-after: 7\r\n", "slow down"));
    assert_eq!(error.verdict(), Verdict::Again { after: Some(Duration::from_secs(7)) });
    let failure = Failure::from(error);
    assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::Transient, Some(7000)));
    assert_eq!(failure.detail.as_deref(), Some("the answer begins: slow down"));
}

#[test]
fn nothing_secret_is_said() {
    let body = format!("bad token t0ps3cret\r\n{}", "x".repeat(10_000));
    let (url, _seen) = serve(respond(answer(400, "", &body)));
    let request = Client::new().get(format!("{url}?key=h1dden")).bearer("t0ps3cret");
    assert!(!format!("{request:?}").contains("t0ps3cret"));
    let error = request.send().unwrap().success().unwrap_err();
    let failure = Failure::from(error.clone());
    let said = format!("{error:?} {failure:?}");
    assert!(!said.contains("t0ps3cret") && !said.contains("h1dden"), "{said}");
    let detail = failure.detail.unwrap();
    assert!(detail.starts_with("the answer begins: bad token [hidden]  xxx"), "{detail}");
    assert!(detail.len() < 600);
    assert_eq!(failure.message, format!("GET {url}: the answer was 400"));
}

#[test]
fn a_redirect_is_an_answer() {
    let error = refused(answer(302, "location: http://127.0.0.1:1/\r\n", ""));
    assert_eq!(error.status(), Some(302));
    assert!(error.to_string().contains("not followed"), "{error}");
}

#[test]
fn what_is_not_json_is_said_without_its_values() {
    #[derive(Debug, serde::Deserialize)]
    struct Page {
        #[expect(dead_code, reason = "it is never there")]
        items: Vec<u64>,
    }
    for body in ["hunter2", "{\"items\":\"hunter2\"}", "{\"items\":[1,", "{}", "\u{feff}{}"] {
        let (url, _seen) = serve(respond(answer(200, "", body)));
        let error = Client::new().get(url).send().unwrap().json::<Page>().unwrap_err();
        assert!(matches!(error.reason(), Reason::Json(_)), "{body}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert_eq!(error.kind(), FailureKind::System);
    }
}

#[test]
fn what_cannot_be_asked_is_not() {
    let reason = |url: &str| Client::new().get(url).send().unwrap_err().reason().clone();
    for url in ["", "items", "ftp://a/", "file:///etc/passwd", "http://", "http://[", "data:,a"] {
        assert!(matches!(reason(url), Reason::Url(_)), "{url}");
        assert!(parse_url(url).is_err(), "{url}");
    }
    for url in ["http://user@a/", "http://user:hunter2@a/", "http://:hunter2@a/"] {
        let error = parse_url(url).unwrap_err();
        assert!(matches!(error.reason(), Reason::Url(_)), "{url}");
        assert!(!format!("{error:?}{error}").contains("hunter2"));
    }
    for (name, value) in [("", "a"), ("a b", "c"), ("a", "b\r\nHost: evil"), ("a", "b\0")] {
        let error = Client::new().get("http://127.0.0.1:1/").header(name, value).send();
        let error = error.unwrap_err();
        assert!(matches!(error.reason(), Reason::Header(_)), "{name:?}: {error}");
        assert_eq!(error.kind(), FailureKind::Config);
    }
}

#[test]
fn nobody_there_is_tried_again() {
    // Bound and let go: nobody listens there now.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Client::new().get(format!("http://127.0.0.1:{port}/")).send().unwrap_err();
    assert_eq!(error.reason(), &Reason::Refused);
    assert_eq!(error.verdict(), Verdict::Again { after: None });
}

#[test]
fn silence_ends() {
    let brief = Timeouts {
        first_byte: Duration::from_millis(200),
        silence: Duration::from_millis(200),
        ..Timeouts::default()
    };
    let start = Instant::now();
    let (url, _seen) = serve(|_| std::thread::sleep(Duration::from_secs(5)));
    let error = Client::new().timeouts(brief).get(url).send().unwrap_err();
    assert_eq!(error.reason(), &Reason::Timeout(Stage::Answer));
    assert_eq!(error.kind(), FailureKind::Transient);
    let (url, _seen) = serve(|stream| {
        stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n1").unwrap();
        std::thread::sleep(Duration::from_secs(5));
    });
    let error = Client::new().get(url).timeouts(brief).send().unwrap().bytes().unwrap_err();
    assert!(matches!(error.reason(), Reason::Timeout(_)), "{error}");
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_byte_now_and_then_is_not_enough() {
    let (url, _seen) = serve(|stream| {
        stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 99\r\n\r\n").unwrap();
        while stream.write_all(b"1").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let brief = Timeouts { whole: Duration::from_millis(400), ..Timeouts::default() };
    let error = Client::new().get(url).timeouts(brief).send().unwrap().bytes().unwrap_err();
    assert_eq!(error.reason(), &Reason::Timeout(Stage::Whole));
}
