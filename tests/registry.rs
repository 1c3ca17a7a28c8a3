//! The registry's client against real servers, and a connector that is only known.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use common::fixture;
use lockgate::Connector;
use lockgate::connector::Silent;
use lockgate::executor::{Executor as _, RegisteredSpec};
use lockgate::fault::Fault as _;
use lockgate::protocol::Json;
use lockgate::registry::{Registry, RegistryError, RegistrySettings};
use serde_json::Value;

/// More than any test needs on a machine that is busy.
const PATIENT: Duration = Duration::from_secs(60);

fn shipped() -> String {
    std::fs::read_to_string(fixture("registry/registry.json")).expect("the registry file")
}

/// A server that answers each request with what a function makes of it, and remembers it.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answer: impl Fn(&str, TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = asked.clone();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (heard, answer) = (heard.clone(), answer.clone());
                std::thread::spawn(move || {
                    let Ok(mut stream) = stream else { return };
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                        head.push(byte[0]);
                    }
                    let head = String::from_utf8_lossy(&head).to_lowercase();
                    heard.lock().expect("a list").push(head.clone());
                    answer(&head, stream);
                });
            }
        });
        Self { port, asked }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/files/registries/v0/oss_registry.json", self.port)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a list").clone()
    }
}

fn reply(mut stream: TcpStream, status: &str, headers: &str, body: &[u8]) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    // Who asked may have gone, and says so itself.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

fn settings(location: &str, cache: Option<&Path>) -> RegistrySettings {
    RegistrySettings {
        location: location.to_owned(),
        cache: cache.map(Path::to_owned),
        offline: false,
        deadline: PATIENT,
    }
}

fn registry(location: &str, cache: Option<&Path>) -> Registry {
    Registry::new(settings(location, cache))
}

fn offline(location: &str, cache: Option<&Path>) -> Registry {
    Registry::new(RegistrySettings { offline: true, ..settings(location, cache) })
}

/// Makes all that is kept as old as the hills.
fn age(cache: &Path) {
    for entry in std::fs::read_dir(cache.join("registry")).expect("a cache") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().ends_with(".about.json") {
            let text = std::fs::read_to_string(&path).expect("its facts");
            let mut about: Value = serde_json::from_str(&text).expect("JSON");
            about["checked"] = 1.into();
            // Whole or not at all: another process may do the same.
            let draft = cache.join(format!("aged-{}", std::process::id()));
            std::fs::write(&draft, about.to_string()).expect("written");
            std::fs::rename(&draft, &path).expect("put in its place");
        }
    }
}

#[test]
fn a_file_says_what_a_connector_is() {
    let registry = registry(fixture("registry/registry.json").to_str().expect("UTF-8"), None);
    let faker = registry.entry("source-faker").expect("an entry");
    assert!(faker.is_source);
    assert_eq!(faker.image, "airbyte/source-faker");
    assert_eq!(faker.version, "7.2.1");
    assert_eq!(faker.python_package.as_deref(), Some("airbyte-source-faker"));
    assert_eq!(faker.language.as_deref(), Some("python"));
    let postgres = registry.entry("destination-postgres").expect("an entry");
    assert!(!postgres.is_source && postgres.python_package.is_none());
    assert_eq!(postgres.support_level.as_deref(), Some("certified"));
    assert_eq!(
        registry.entry("source-pokeapi").expect("an entry").language.as_deref(),
        Some("manifest-only")
    );
}

#[test]
fn an_unknown_name_is_answered_with_the_likest() {
    let registry = registry(fixture("registry/registry.json").to_str().expect("UTF-8"), None);
    let error = registry.entry("source-fakr").expect_err("a misspelt name");
    assert_eq!(error.code(), "REGISTRY_UNKNOWN");
    let hint = error.hint().expect("a hint");
    assert!(hint.starts_with("did you mean source-faker"), "{hint}");
    let RegistryError::NotRegistered { similar, .. } = error else { panic!("{error}") };
    assert!(similar.len() <= 5);
}

#[test]
fn a_file_that_is_none_says_so() {
    let error = registry("/nowhere/registry.json", None).entry("x").expect_err("no file");
    assert_eq!(error.code(), "REGISTRY_UNREACHABLE");
    assert!(error.to_string().contains("/nowhere/registry.json"), "{error}");
    for (location, word) in
        [("ftp://a/", "http"), ("https://u:hunter2@a/", "password"), ("", "no address")]
    {
        let error = registry(location, None).entry("x").expect_err("no place");
        assert_eq!(error.code(), "REGISTRY_LOCATION");
        let text = error.to_string();
        assert!(text.contains(word) && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_document_is_asked_for_once_an_hour_and_then_whether_it_still_holds() {
    let server = Server::new(|head, stream| match head.contains("if-none-match: \"v1\"") {
        true => reply(stream, "304 Not Modified", "", b""),
        false => reply(stream, "200 OK", "ETag: \"v1\"\r\n", shipped().as_bytes()),
    });
    let cache = tempfile::tempdir().expect("a folder");
    let version = || {
        let registry = registry(&server.url(), Some(cache.path()));
        registry.entry("source-faker").expect("an entry").version
    };
    for _ in 0..3 {
        assert_eq!(version(), "7.2.1");
    }
    assert_eq!(server.asked().len(), 1, "it is fresh");
    age(cache.path());
    assert_eq!(version(), "7.2.1");
    let asked = server.asked();
    assert!(asked.len() == 2 && asked[1].contains("if-none-match"), "{asked:?}");
    assert_eq!(version(), "7.2.1");
    assert_eq!(server.asked().len(), 2, "it is fresh again");
    let folder = std::fs::metadata(cache.path().join("registry")).expect("a folder");
    assert_eq!(folder.mode() & 0o777, 0o700);
}

#[test]
fn a_document_is_read_once_in_the_life_of_a_client() {
    let server = Server::new(|_, stream| reply(stream, "200 OK", "", shipped().as_bytes()));
    let registry = registry(&server.url(), None);
    for name in ["source-faker", "source-file"] {
        registry.clone().entry(name).expect("an entry");
    }
    assert_eq!(server.asked().len(), 1);
    let warnings = registry.take_warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("in the clear"), "{warnings:?}");
}

#[test]
fn a_server_that_fails_leaves_the_copy() {
    let fails = Arc::new(Mutex::new("200 OK"));
    let status = fails.clone();
    let server = Server::new(move |_, stream| {
        let status = *status.lock().expect("a status");
        let text = if status == "200 OK" { shipped() } else { "{\"nothing\": 1}".into() };
        // What is no registry comes with a good status too.
        reply(stream, if status == "nonsense" { "200 OK" } else { status }, "", text.as_bytes());
    });
    let cache = tempfile::tempdir().expect("a folder");
    registry(&server.url(), Some(cache.path())).entry("source-faker").expect("an entry");
    for (status, code) in [("500 Broken", "status 500"), ("nonsense", "malformed")] {
        *fails.lock().expect("a status") = status;
        age(cache.path());
        let held = registry(&server.url(), Some(cache.path()));
        assert_eq!(held.entry("source-faker").expect("the copy").version, "7.2.1");
        let warnings = held.take_warnings().join("\n");
        assert!(warnings.contains(code) && warnings.contains("copy"), "{warnings}");
        registry(&server.url(), None).entry("source-faker").expect_err("there is no copy");
    }
}

#[test]
fn failures_have_codes() {
    let code = |server: &Server| {
        registry(&server.url(), None).entry("source-faker").expect_err("a failure")
    };
    let broken = Server::new(|_, stream| reply(stream, "500 Broken", "", b""));
    let error = code(&broken);
    assert_eq!(error.code(), "REGISTRY_STATUS");
    assert!(error.to_string().contains("500"), "{error}");

    let text = r#"{"sources":[{"dockerRepository":7}],"destinations":[]}"#;
    let malformed = Server::new(move |_, stream| reply(stream, "200 OK", "", text.as_bytes()));
    let error = code(&malformed);
    assert_eq!(error.code(), "REGISTRY_MALFORMED");
    let said = error.to_string();
    assert!(said.contains("sources[0].dockerRepository") && said.contains("127.0.0.1"), "{said}");

    let large = Server::new(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        let piece = vec![b' '; 1 << 20];
        while stream.write_all(&piece).is_ok() {}
    });
    assert_eq!(code(&large).code(), "REGISTRY_TOO_LARGE");

    let nobody =
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let error = registry(&format!("http://{nobody}/r.json"), None).entry("x").expect_err("nobody");
    assert_eq!(error.code(), "REGISTRY_UNREACHABLE");
}

#[test]
fn a_server_that_never_answers_is_left() {
    let silent = Server::new(|_, stream| {
        std::thread::sleep(PATIENT);
        drop(stream);
    });
    let slow = Server::new(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    for server in [silent, slow] {
        let deadline = Duration::from_millis(500);
        let registry =
            Registry::new(RegistrySettings { deadline, ..settings(&server.url(), None) });
        let since = Instant::now();
        let error = registry.entry("source-faker").expect_err("no answer");
        assert_eq!(error.code(), "REGISTRY_UNREACHABLE");
        assert!(error.to_string().contains("within 0.5 s"), "{error}");
        assert!(since.elapsed() < PATIENT / 2, "{:?}", since.elapsed());
    }
}

#[test]
fn redirects_are_followed_some_times() {
    let server = Server::new(|head, stream| match head.starts_with("get /there") {
        true => reply(stream, "200 OK", "", shipped().as_bytes()),
        false => reply(stream, "302 Found", "Location: /there\r\n", b""),
    });
    registry(&server.url(), None).entry("source-faker").expect("it is there");
    let circle = Server::new(|_, stream| reply(stream, "302 Found", "Location: /x\r\n", b""));
    let error = registry(&circle.url(), None).entry("x").expect_err("a circle");
    assert_eq!(error.code(), "REGISTRY_UNREACHABLE");
    assert!(circle.asked().len() < 10);
    let file = Server::new(|_, stream| {
        reply(stream, "302 Found", "Location: file:///etc/passwd\r\n", b"");
    });
    let error = registry(&file.url(), None).entry("x").expect_err("a file");
    assert!(error.to_string().contains("no server"), "{error}");
}

#[test]
fn offline_is_what_is_kept_and_nothing_else() {
    let server = Server::new(|_, stream| reply(stream, "200 OK", "", shipped().as_bytes()));
    let cache = tempfile::tempdir().expect("a folder");
    let error = offline(&server.url(), Some(cache.path())).entry("source-faker");
    assert_eq!(error.expect_err("nothing is kept").code(), "REGISTRY_OFFLINE");
    assert_eq!(server.asked().len(), 0);
    registry(&server.url(), Some(cache.path())).entry("source-faker").expect("an entry");
    age(cache.path());
    let kept = offline(&server.url(), Some(cache.path()));
    assert_eq!(kept.entry("source-faker").expect("the copy").version, "7.2.1");
    let error = kept.spec("source-faker", Some("1.0.0")).expect_err("it is not kept");
    assert_eq!(error.code(), "REGISTRY_OFFLINE");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn another_version_has_a_document_of_its_own_that_is_kept_for_ever() {
    let server = Server::new(|head, stream| {
        let spec = br#"{"name":"x","spec":{"connectionSpecification":{"title":"old"},"new":1.50}}"#;
        match head.split(' ').nth(1).expect("a path") {
            "/files/registries/v0/oss_registry.json" => {
                reply(stream, "200 OK", "", shipped().as_bytes());
            }
            "/files/metadata/airbyte/source-faker/1.0.0/oss.json" => {
                reply(stream, "200 OK", "", spec);
            }
            "/files/metadata/airbyte/source-faker/2.0.0/cloud.json" => {
                reply(stream, "200 OK", "", b"{}");
            }
            _ => reply(stream, "404 Not Found", "", b""),
        }
    });
    let cache = tempfile::tempdir().expect("a folder");
    let spec = |version: Option<&str>| {
        registry(&server.url(), Some(cache.path())).spec("source-faker", version)
    };
    let held = spec(None).expect("the registry's");
    for same in ["latest", "7.2.1"] {
        assert_eq!(spec(Some(same)).expect("the registry's").get(), held.get());
    }
    assert_eq!(server.asked().len(), 1);
    let old = r#"{"connectionSpecification":{"title":"old"},"new":1.50}"#;
    assert_eq!(spec(Some("1.0.0")).expect("its own").get(), old);
    let asked = server.asked();
    assert!(asked[1].contains("/1.0.0/cloud.json") && asked[2].contains("/1.0.0/oss.json"));
    age(cache.path());
    let kept = offline(&server.url(), Some(cache.path()));
    assert_eq!(kept.spec("source-faker", Some("1.0.0")).expect("the copy").get(), old);
    assert_eq!(spec(Some("2.0.0")).expect_err("no spec in it").code(), "REGISTRY_MALFORMED");
    assert_eq!(spec(Some("3.0.0")).expect_err("no document").code(), "REGISTRY_NO_SPEC");
    let before = server.asked().len();
    for bad in ["../../x", "a/b", "", "1%2e", ".."] {
        assert_eq!(spec(Some(bad)).expect_err("no version").code(), "REGISTRY_NO_SPEC", "{bad}");
    }
    let paths: Vec<_> = server.asked().split_off(before);
    assert!(paths.iter().all(|path| path.contains("/registries/")), "{paths:?}");
}

/// In a process of its own: asks the server named in the environment until a time, again and again.
#[test]
fn asks_for_another_process() {
    #[expect(clippy::disallowed_methods, reason = "how this process is told what to do")]
    let Ok(job) = std::env::var("LOCKGATE_TEST_REGISTRY") else {
        return;
    };
    let (url, cache) = job.split_once(' ').expect("a URL and a folder");
    let end = SystemTime::now() + Duration::from_secs(2);
    while SystemTime::now() < end {
        let registry = registry(url, Some(Path::new(cache)));
        assert_eq!(registry.entry("source-faker").expect("an entry").version, "7.2.1");
        assert!(registry.take_warnings().iter().all(|w| w.contains("in the clear")));
        age(Path::new(cache));
    }
}

#[test]
fn two_processes_keep_documents_at_once() {
    // Each answer is another text, so that a mixture would be seen.
    let count = Mutex::new(0_usize);
    let server = Server::new(move |_, stream| {
        let mut count = count.lock().expect("a count");
        *count += 1;
        let text = format!("{}{}", shipped(), " ".repeat(*count));
        reply(stream, "200 OK", &format!("ETag: \"{count}\"\r\n"), text.as_bytes());
    });
    let cache = tempfile::tempdir().expect("a folder");
    let start = || -> Child {
        Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "asks_for_another_process", "--nocapture"])
            .env("LOCKGATE_TEST_REGISTRY", format!("{} {}", server.url(), cache.path().display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts")
    };
    for child in [start(), start()] {
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
    assert!(server.asked().len() > 2);
    let left = std::fs::read_dir(cache.path().join("registry")).expect("a folder").count();
    assert_eq!(left, 2, "no draft stays");
}

fn known(name: &str, version: Option<&str>, config: &str) -> Connector {
    let registry = registry(fixture("registry/registry.json").to_str().expect("UTF-8"), None);
    let executor = RegisteredSpec::new(registry, name.to_owned(), version.map(str::to_owned));
    let config = Json::object(config).expect("a configuration");
    Connector::new(name, Arc::new(executor), config, Arc::new(Silent))
}

#[tokio::test]
async fn the_specification_is_the_registrys_member_for_member() {
    let document: Value = serde_json::from_str(&shipped()).expect("JSON");
    let mut count = 0;
    for list in ["sources", "destinations"] {
        for entry in document[list].as_array().expect("a list") {
            let name = entry["dockerRepository"].as_str().expect("a name");
            let name = name.strip_prefix("airbyte/").expect("Airbyte's");
            let spec = known(name, None, "{}").spec().await.expect("a specification");
            assert_eq!(spec.to_airbyte(), entry["spec"], "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 8);
}

#[tokio::test]
async fn a_configuration_is_checked_and_nothing_runs() {
    let bad = known("destination-postgres", None, r#"{"host":7,"password":"hunter2"}"#);
    let error = bad.check().await.expect_err("it does not fit");
    assert_eq!(error.code(), "CONFIG_INVALID");
    let said = error.to_string();
    assert!(said.contains("host (a number)") && !said.contains("hunter2"), "{said}");

    let good = known("source-faker", Some("7.2.1"), r#"{"count": 5}"#);
    assert_eq!(good.describe().executor, "none");
    assert_eq!(good.describe().reference, "source-faker:7.2.1");
    good.ready().await.expect("it fits");
    for error in [good.check().await.expect_err("no"), good.discover().await.expect_err("no")] {
        assert_eq!(error.code(), "CONNECTOR_NO_EXECUTOR");
        assert!(error.hint().expect("a hint").contains("docker-image"));
    }
    let error = good.discover().await.expect_err("no").to_string();
    assert!(error.contains("there is no discover"), "{error}");
    let destination = lockgate::get_noop_destination();
    let written =
        destination.write(&lockgate::Source::from(good), &lockgate::WriteOptions::default()).await;
    let failure = written.expect_err("it cannot be read");
    assert_eq!(failure.error.code(), "CONNECTOR_NO_EXECUTOR");
}

#[tokio::test]
async fn an_unknown_connector_is_the_registrys_fault_to_say() {
    let error = known("source-fakr", None, "{}").check().await.expect_err("unknown");
    assert_eq!(error.code(), "REGISTRY_UNKNOWN");
    assert!(error.hint().expect("a hint").contains("source-faker"));
    assert!(RegisteredSpec::new(registry("x", None), "a".into(), None).policy().is_none());
}
