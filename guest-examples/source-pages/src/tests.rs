//! Against a real server on this machine.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use lockgate_sdk::bindings::types::{State, StreamState};
use lockgate_sdk::testing::{self, SourceRun};
use lockgate_sdk::{FailureKind, StreamDescriptor, SyncMode, source};
use serde_json::json;

use crate::PagesSource;

/// Answers requests in turn with what it was given, and keeps their first lines and headers.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answers: Vec<(u16, &str, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let answers: Vec<(u16, String, String)> =
            answers.into_iter().map(|(code, more, body)| (code, more.to_owned(), body)).collect();
        let seen = heads.clone();
        std::thread::spawn(move || {
            for (code, more, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                while lines.read_line(&mut head).unwrap() > 2 {}
                seen.lock().unwrap().push(head.to_lowercase());
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {code} x\r\ncontent-length: {length}\r\nconnection: close\r\n{more}\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { port, heads }
    }

    fn config(&self, token: Option<&str>) -> String {
        json!({"host": "127.0.0.1", "port": self.port, "tls": false, "token": token}).to_string()
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn page(items: &[u32], next: serde_json::Value) -> (u16, &'static str, String) {
    let items: Vec<_> = items
        .iter()
        .map(|id| json!({"id": id, "updated_at": format!("2024-01-0{id}T00:00:00Z")}))
        .collect();
    (200, "", json!({"items": items, "next": next}).to_string())
}

fn read(server: &Server, mode: SyncMode, since: Option<&str>) -> SourceRun {
    let mut stream = testing::stream("items");
    stream.sync_mode = mode;
    let state = since.map(|since| {
        State::Stream(StreamState {
            descriptor: StreamDescriptor::new("items"),
            state: Some(json!({"updated_at": since}).to_string()),
        })
    });
    let catalog = testing::catalog([stream]);
    testing::read::<PagesSource>(
        &server.config(Some("t0ps3cret")),
        &catalog,
        state.into_iter().collect(),
    )
}

#[test]
fn links_are_followed_and_the_token_goes_with_each() {
    let server = Server::new(vec![page(&[1, 2], "/items?page=2".into()), page(&[3], json!(null))]);
    let run = read(&server, SyncMode::Incremental, None);
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.sink.rows(0).len(), 3);
    let heads = server.heads();
    assert!(heads[0].starts_with("get /items?page=1 http/1.1\r\n"), "{}", heads[0]);
    assert!(heads[1].starts_with("get /items?page=2 http/1.1\r\n"), "{}", heads[1]);
    assert!(heads.iter().all(|head| head.contains("authorization: bearer t0ps3cret\r\n")));
    let states: Vec<String> = run.sink.states().map(|state| format!("{state:?}")).collect();
    assert_eq!(states.len(), 2);
    assert!(states[1].contains("2024-01-03"), "{}", states[1]);
}

#[test]
fn without_links_pages_are_counted_and_a_state_is_asked_from() {
    let bare = |items: &str| (200, "", format!("{{\"items\": [{items}]}}"));
    let server = Server::new(vec![
        bare("{\"id\": 1,\n \"updated_at\": \"2024-05-01\"}"),
        bare("{\"id\": 2}"),
        bare(""),
    ]);
    let run = read(&server, SyncMode::Incremental, Some("2024-01-01T00:00:00Z"));
    assert_eq!(run.result, Ok(()));
    let rows = String::from_utf8(run.sink.data(0)).unwrap();
    assert_eq!(rows, "{\"id\": 1,  \"updated_at\": \"2024-05-01\"}\n{\"id\": 2}\n");
    let heads = server.heads();
    assert!(heads[2].starts_with("get /items?page=3&updated_since=2024-01-01t00%3a00%3a00z "));
}

#[test]
fn a_full_refresh_asks_for_all_and_keeps_no_state() {
    let server = Server::new(vec![page(&[1], json!(null))]);
    let run = read(&server, SyncMode::FullRefresh, Some("2024-01-01T00:00:00Z"));
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.sink.states().count(), 0);
    assert!(!server.heads()[0].contains("updated_since"));
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = Server::new(vec![
        (429, "retry-after: 1\r\n", "slow down".to_owned()),
        (503, "", String::new()),
        page(&[1], json!(null)),
    ]);
    let start = std::time::Instant::now();
    let run = read(&server, SyncMode::FullRefresh, None);
    assert_eq!(run.result, Ok(()));
    assert_eq!(run.sink.rows(0).len(), 1);
    assert!(start.elapsed() >= std::time::Duration::from_secs(1));
    assert_eq!(run.logs.len(), 2, "{:?}", run.logs);
}

#[test]
fn the_token_is_shown_nowhere() {
    let server = Server::new(vec![(401, "", "no such token: t0ps3cret".to_owned())]);
    let failure = read(&server, SyncMode::FullRefresh, None).result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Config);
    assert!(failure.message.contains("401"), "{}", failure.message);
    assert_eq!(failure.detail.as_deref(), Some("the answer begins: no such token: [hidden]"));
}

#[test]
fn a_link_to_another_place_is_refused() {
    for (next, why) in [
        ("http://evil.example/items?page=2", "another host"),
        ("//evil.example/items", "another host"),
        ("/items?page=1", "its own page"),
        ("http://[", "not a URL"),
    ] {
        let server = Server::new(vec![page(&[1], next.into())]);
        let failure = read(&server, SyncMode::FullRefresh, None).result.unwrap_err();
        assert!(failure.message.contains(why), "{next}: {}", failure.message);
    }
}

#[test]
fn what_is_no_page_is_said_without_its_values() {
    for body in ["<html>hunter2", r#"{"items": "hunter2"}"#, r#"{"items": ["hunter2"]}"#, "{}"] {
        let server = Server::new(vec![(200, "", body.to_owned())]);
        let failure = read(&server, SyncMode::FullRefresh, None).result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::System, "{body}");
        assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    }
}

#[test]
fn the_specification_asks_for_the_place_and_hides_the_token() {
    let spec = source::spec::<PagesSource>();
    assert_eq!(spec.needs[0].pattern, "${host}:${port}");
    let schema: serde_json::Value = serde_json::from_str(&spec.config_schema).unwrap();
    assert_eq!(schema["required"], json!(["host"]));
    assert_eq!(schema["properties"]["token"]["airbyte_secret"], true);
    assert_eq!(schema["properties"]["port"]["default"], 443);
}
