//! Files on a server of this machine.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

/// What a server does that some do not.
#[derive(Clone, Copy, Default)]
struct Manners {
    ranges: bool,
    head: bool,
    etag: bool,
    /// Breaks off each answer after so many bytes.
    breaks: Option<usize>,
}

const GOOD: Manners = Manners { ranges: true, head: true, etag: true, breaks: None };

/// Serves one file at any path.
struct Server {
    port: u16,
    content: Arc<Mutex<Vec<u8>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(content: Vec<u8>, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let content = Arc::new(Mutex::new(content));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (served, seen) = (content.clone(), heads.clone());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = String::new();
                let mut lines = BufReader::new(stream.try_clone().expect("a stream"));
                while lines.read_line(&mut head).expect("a line") > 2 {}
                let head = head.to_lowercase();
                let content = served.lock().expect("a lock").clone();
                seen.lock().expect("a lock").push(head.clone());
                let _ = stream.write_all(&answer(&head, &content, manners));
            }
        });
        Self { port, content, heads }
    }

    fn scene(&self, format: &str) -> Scene {
        let mut scene = Scene::new(format, &[]);
        scene.stream["urls"] =
            json!([format!("http://127.0.0.1:{}/dir/file?token=abc", self.port)]);
        scene
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("a lock").clone()
    }
}

fn answer(head: &str, content: &[u8], manners: Manners) -> Vec<u8> {
    if head.starts_with("head") && !manners.head {
        return b"HTTP/1.1 405 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    }
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
    let mut more = String::new();
    let mut part = 0..content.len();
    if let Some((start, end)) =
        range.and_then(|range| range.split_once('-')).filter(|_| manners.ranges)
    {
        let start: usize = start.parse().expect("a number");
        if start >= content.len() {
            return b"HTTP/1.1 416 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
        }
        let end =
            end.trim().parse().map_or(content.len(), |end: usize| (end + 1).min(content.len()));
        part = start..end;
        more = format!("content-range: bytes {start}-{}/{}\r\n", end - 1, content.len());
    }
    if manners.ranges {
        more.push_str("accept-ranges: bytes\r\n");
    }
    if manners.etag {
        more.push_str(&format!("etag: \"{}\"\r\n", content.len()));
    }
    let code = if part.len() < content.len() { 206 } else { 200 };
    let body = &content[part];
    let mut answer = format!(
        "HTTP/1.1 {code} x\r\ncontent-length: {}\r\nconnection: close\r\n{more}\r\n",
        body.len()
    )
    .into_bytes();
    if head.starts_with("get") {
        answer.extend_from_slice(&body[..body.len().min(manners.breaks.unwrap_or(usize::MAX))]);
    }
    answer
}

fn lines(count: usize) -> Vec<u8> {
    (0..count).map(|number| format!("{{\"n\":{number}}}\n")).collect::<String>().into_bytes()
}

#[test]
fn a_file_is_read_from_servers_of_all_manners() {
    let all: Vec<i64> = (0..3000).collect();
    for (ranges, head, etag) in
        [(true, true, true), (false, true, false), (true, false, false), (false, false, true)]
    {
        let manners = Manners { ranges, head, etag, breaks: None };
        for content in [lines(3000), gzip(&lines(3000))] {
            let server = Server::new(content, manners);
            assert_eq!(numbers(&server.scene("jsonl").rows(), "n"), all);
        }
    }
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let server = Server::new(lines(3000), Manners { breaks: Some(9000), ..GOOD });
    let scene = server.scene("jsonl");
    let run = scene.read(SyncMode::FullRefresh, None);
    assert_eq!(run.result, Ok(()));
    assert_eq!(numbers(&run.sink.rows(0), "n"), (0..3000).collect::<Vec<_>>());
    assert!(server.heads().iter().any(|head| head.contains("range: bytes=9000-")));
}

#[test]
fn a_file_that_did_not_change_is_not_read_again_and_names_hold_no_query() {
    let server = Server::new(lines(10), GOOD);
    let mut scene = server.scene("jsonl");
    scene.more = json!({ "add_file_columns": true });
    let (rows, state, _) = scene.next(None);
    let name = rows[0]["_file"].as_str().expect("a name");
    assert!(name.starts_with(&format!("http://127.0.0.1:{}/dir/file?", server.port)), "{name}");
    assert!(!name.contains("abc") && !format!("{state:?}").contains("token"));
    let (rows, state, warnings) = scene.next(Some(&state));
    assert_eq!((rows.len(), warnings), (0, vec![]));
    // It grew.
    *server.content.lock().expect("a lock") = lines(12);
    let (rows, _, warnings) = scene.next(Some(&state));
    assert_eq!((numbers(&rows, "n"), warnings), (vec![10, 11], vec![]));
}

#[test]
fn what_a_server_refuses_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().expect("a stream"));
            while lines.read_line(&mut String::new()).expect("a line") > 2 {}
            let _ = stream
                .write_all(b"HTTP/1.1 404 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let mut scene = Scene::new("csv", &[]);
    scene.stream["urls"] = json!([format!("http://127.0.0.1:{port}/a.csv?token=abc")]);
    let failure = source::check::<Files>(&scene.config()).expect_err("it is not there");
    assert!(failure.message.contains("/a.csv: the answer was 404"), "{failure:?}");
    assert!(!failure.message.contains("abc"));
    scene.more = json!({ "hosts": ["data.example:443"] });
    let failure = source::check::<Files>(&scene.config()).expect_err("not listed").message;
    assert!(failure.contains(&format!("leads to 127.0.0.1:{port}, which `hosts` does not list")));
}

#[test]
fn parquet_is_read_in_parts_or_whole() {
    let (bytes, rows) = super::parquet::sample_file(5000);
    for manners in [GOOD, Manners { ranges: false, ..GOOD }] {
        let server = Server::new(bytes.clone(), manners);
        assert_eq!(server.scene("parquet").rows(), rows);
    }
}
