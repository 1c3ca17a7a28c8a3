//! Images that the engine does not have: pulled from a real registry, with the credentials of Docker's
//! own configuration, or not at all.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/docker.rs"]
mod docker;
#[path = "common/image_registry.rs"]
mod image_registry;

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use common::Folder;
use docker::{Contained, block_on, engine};
use image_registry::{BASIC, ImageRegistry, PASSWORD, Pushed, USER};
use lockgate::executor::{Cancel, Context, Executor};
use lockgate::fault::Fault;
use lockgate::protocol::Json;
use serde_json::{Value, json};

/// How long anything here may take before it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connector whose image may be pulled.
fn pulling(name: &str, image: &str) -> Contained {
    let mut contained = Contained::new(name);
    contained.settings.image = image.to_owned();
    contained.settings.pull = true;
    contained
}

/// Runs `lockgate spec docker:IMAGE` with a configuration of Docker's: its outcome, an error as JSON, and
/// all that it said.
fn spec(folder: &Folder, image: &str, more: &[&str]) -> (Result<(), Value>, String) {
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.path().join("bin").display());
    let mut command = folder.lockgate();
    command.env("DOCKER_HOST", engine()).env("DOCKER_CONFIG", folder.path().join("docker"));
    command.env("HOME", folder.path()).env("PATH", path).env("A_SECRET", "of-the-host");
    command.args(["--verbose", "spec", &format!("docker:{image}"), "--output", "json"]);
    let output = command.args(more).timeout(PATIENCE).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = format!("{}{stderr}", String::from_utf8_lossy(&output.stdout));
    if output.status.success() {
        assert!(said.contains("\"count\""), "{said}");
        return (Ok(()), said);
    }
    let error = stderr.lines().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let error = error.or_else(|| {
        let (_, object) = stderr.split_once("\n{").or_else(|| stderr.split_once('{'))?;
        serde_json::from_str(&format!("{{{object}")).ok()
    });
    (Err(error.unwrap_or_else(|| panic!("no error: {said}"))), said)
}

/// Writes Docker's configuration.
fn configure(folder: &Folder, config: &Value) {
    folder.write("docker/config.json", &config.to_string());
}

/// A credential program that notes what it is asked and what it knows of the host.
fn helper(folder: &Folder, name: &str, answer: &str) {
    let notes = folder.path().join(format!("{name}.notes")).display().to_string();
    let script = format!(
        "#!/bin/sh\n{{ echo \"$1\"; cat; echo; env; }} >>'{notes}'\nprintf '%s' '{answer}'\n"
    );
    let path = folder.write(&format!("bin/docker-credential-{name}"), &script);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}

fn answer(user: &str, password: &str) -> String {
    json!({"ServerURL": "", "Username": user, "Secret": password}).to_string()
}

#[test]
fn an_image_that_is_missing_is_pulled_and_known_by_its_registrys_digest() {
    let registry = ImageRegistry::start();
    let pushed = registry.push("pulled", 16 << 20);
    let contained = pulling("pulled", &pushed.tagged);
    let heard = contained.heard.clone();
    // The progress is told every few seconds: the registry is slow until it has been.
    registry.slow_while(move || !heard.logs().iter().any(|line| line.contains("MiB downloaded")));
    let connector = contained.connector("{}");
    block_on(connector.spec()).expect("a spec");
    assert_eq!(connector.describe().digest.as_deref(), Some(pushed.digest.as_str()));
    let logs = contained.heard.logs();
    let at = |text: &str| {
        let found = logs.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("{text:?} is not in {logs:#?}"))
    };
    let begun = at(&format!("pulling {} from {}", pushed.tagged, registry.place()));
    let progress = at("MiB downloaded");
    let ended = at(&format!("pulled {}, {}", pushed.tagged, pushed.digest));
    assert!(begun < progress && progress < ended, "{logs:#?}");
    contained.nothing_left();

    // What is there is not asked for again: it runs without its registry.
    drop(registry);
    let again = pulling("pulled-again", &pushed.tagged);
    let connector = again.connector("{}");
    block_on(connector.spec()).expect("a spec");
    assert_eq!(connector.describe().digest.as_deref(), Some(pushed.digest.as_str()));
    assert!(!again.heard.logs().iter().any(|line| line.contains("pull")));
}

#[test]
fn an_image_is_pulled_by_its_digest() {
    let registry = ImageRegistry::start();
    let pushed = registry.push("by-digest", 1 << 10);
    let image = format!("{}@{}", pushed.image, pushed.digest);
    let contained = pulling("by-digest", &image);
    let connector = contained.connector("{}");
    block_on(connector.spec()).expect("a spec");
    assert_eq!(connector.describe().digest.as_deref(), Some(pushed.digest.as_str()));
    // Neither its tag nor another one came with it.
    assert!(!pushed.is_there());
    contained.nothing_left();
}

#[test]
fn nothing_is_asked_of_a_registry_where_pulling_is_not_allowed() {
    let registry = ImageRegistry::private();
    let pushed = registry.push("not-allowed", 1 << 10);
    let folder = Folder::new();
    configure(&folder, &json!({"credHelpers": {registry.place(): "asked"}}));
    helper(&folder, "asked", &answer(USER, PASSWORD));
    let (result, _) = spec(&folder, &pushed.tagged, &["--install-if-missing=false"]);
    let error = result.expect_err("no image");
    assert_eq!(error["code"], "DOCKER_IMAGE_MISSING", "{error}");
    let hint = error["hint"].as_str().expect("a hint");
    assert!(hint.contains(&format!("docker pull {}", pushed.tagged)), "{hint}");
    assert!(hint.contains("--install-if-missing"), "{hint}");
    assert_eq!(registry.heard(), "");
    assert_eq!(folder.read("asked.notes"), "");
    assert!(!pushed.is_there());
    // It is there to be had.
    assert_eq!(spec(&folder, &pushed.tagged, &[]).0, Ok(()));
    assert!(folder.read("asked.notes").contains(&registry.place()));
}

#[test]
fn a_tag_that_the_registry_does_not_have_is_said_to_be_none() {
    let registry = ImageRegistry::start();
    let pushed = registry.push("tags", 1 << 10);
    for image in [format!("{}:2", pushed.image), format!("{}/lockgate-test/no:1", registry.place())]
    {
        let contained = pulling("no-tag", &image);
        let error = contained.check("{}").expect_err("no image");
        assert_eq!(error.code(), "DOCKER_PULL", "{error}");
        assert!(error.to_string().contains(&image), "{error}");
        let hint = error.hint().expect("a hint");
        assert!(hint.contains("name and the tag"), "{hint}");
        contained.nothing_left();
    }
}

/// It is refused for its credentials, and none of them is told.
fn refused(folder: &Folder, registry: &ImageRegistry, pushed: &Pushed) {
    let (result, said) = spec(folder, &pushed.tagged, &[]);
    let error = result.expect_err("no credentials");
    assert_eq!(error["code"], "DOCKER_CREDENTIALS", "{error}");
    let hint = error["hint"].as_str().expect("a hint");
    assert_eq!(hint, format!("docker login {}", registry.place()));
    assert!(!said.contains(PASSWORD) && !said.contains(BASIC), "{said}");
    assert!(!pushed.is_there());
}

#[test]
fn a_private_registry_is_given_the_credentials_of_dockers_configuration() {
    let registry = ImageRegistry::private();
    let place = registry.place();
    let folder = Folder::new();

    let pushed = registry.push("private", 1 << 10);
    refused(&folder, &registry, &pushed);
    assert!(registry.heard().contains("GET /v2/"), "{}", registry.heard());
    assert!(!registry.heard().contains("Authorization:"), "{}", registry.heard());

    configure(&folder, &json!({"auths": {&place: {"username": USER, "password": "wr0ng-0ne"}}}));
    let (result, said) = spec(&folder, &pushed.tagged, &[]);
    assert_eq!(result.expect_err("wrong ones")["code"], "DOCKER_CREDENTIALS");
    assert!(!said.contains("wr0ng-0ne"), "{said}");
    assert!(registry.heard().contains("Authorization: Basic "), "{}", registry.heard());
    refused(&folder, &registry, &pushed);

    configure(&folder, &json!({"auths": {format!("http://{place}/v2/"): {"auth": BASIC}}}));
    let (result, said) = spec(&folder, &pushed.tagged, &[]);
    assert_eq!(result, Ok(()), "{said}");
    assert!(!said.contains(PASSWORD) && !said.contains(BASIC), "{said}");
    let right = format!("Authorization: Basic {BASIC}");
    assert!(registry.heard().contains(&right), "{}", registry.heard());
    assert!(pushed.is_there());
}

#[test]
fn a_private_registry_is_given_what_a_credential_program_answers() {
    let registry = ImageRegistry::private();
    let place = registry.place();
    let folder = Folder::new();
    let pushed = registry.push("helper", 1 << 10);

    helper(&folder, "wrong", &answer(USER, "wr0ng-0ne"));
    helper(&folder, "right", &answer(USER, PASSWORD));
    // The entry of a registry goes before the program for all.
    configure(&folder, &json!({"credsStore": "right", "credHelpers": {&place: "wrong"}}));
    refused(&folder, &registry, &pushed);
    assert_eq!(folder.read("right.notes"), "");

    for config in [
        json!({"credsStore": "right"}),
        json!({"credsStore": "wrong", "credHelpers": {&place: "right"}}),
    ] {
        pushed.remove();
        configure(&folder, &config);
        let (result, said) = spec(&folder, &pushed.tagged, &[]);
        assert_eq!(result, Ok(()), "{said}");
        assert!(!said.contains(PASSWORD) && !said.contains(BASIC), "{said}");
    }
    let notes = folder.read("right.notes");
    assert!(notes.starts_with(&format!("get\n{place}\n")), "{notes}");
    assert!(!notes.contains("of-the-host"), "{notes}");

    pushed.remove();
    helper(&folder, "broken", PASSWORD);
    for (program, reason) in [("broken", "did not answer in JSON"), ("missing", "cannot be run")] {
        configure(&folder, &json!({"credHelpers": {&place: program}}));
        let (result, said) = spec(&folder, &pushed.tagged, &[]);
        let error = result.expect_err("no credentials");
        assert_eq!(error["code"], "DOCKER_CREDENTIALS", "{error}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(&place) && message.contains(reason), "{message}");
        assert!(error["hint"].as_str().expect("a hint").contains("config.json"), "{error}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
}

#[test]
fn a_registry_is_not_sent_the_credentials_of_another() {
    let registry = ImageRegistry::private();
    let place = registry.place();
    let folder = Folder::new();
    let pushed = registry.push("others", 1 << 10);
    helper(&folder, "other", &answer(USER, PASSWORD));
    let right = json!({"auth": BASIC});
    configure(
        &folder,
        &json!({
            "auths": {
                "127.0.0.1:1": right, "127.0.0.1": right, "https://index.docker.io/v1/": right,
                format!("{place}.example"): right, format!("https://registry.example/{place}"): right,
            },
            "credHelpers": {"registry.example": "other", format!("{place}1"): "other"},
        }),
    );
    refused(&folder, &registry, &pushed);
    let heard = registry.heard();
    assert!(heard.contains("GET /v2/") && !heard.contains("Authorization:"), "{heard}");
    assert_eq!(folder.read("other.notes"), "");
}

#[test]
fn a_registry_that_never_answers_ends_at_the_time_for_a_pull() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = listener.local_addr().expect("an address").to_string();
    // It reads, and says nothing. The engine hangs up when nobody wants the image any more.
    let silent = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(bytes.len()),
        }
    });
    let image = format!("{place}/lockgate-test/silent:1");
    let mut contained = pulling("silent", &image);
    contained.policy.limits.pull_time = Duration::from_secs(2);
    let start = Instant::now();
    let error = contained.check("{}").expect_err("no image");
    assert_eq!(error.code(), "DOCKER_PULL", "{error}");
    assert!(error.to_string().contains("longer than 2 s"), "{error}");
    assert!(error.hint().expect("a hint").contains("pull-time"));
    assert!(start.elapsed() >= Duration::from_secs(2) && start.elapsed() < PATIENCE / 2);
    assert!(silent.join().expect("a thread").expect("the engine hung up") > 0);
    contained.nothing_left();
}

#[test]
fn a_stop_ends_a_pull() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = listener.local_addr().expect("an address");
    let contained = pulling("stopped", &format!("{place}/lockgate-test/stopped:1"));
    let (stop, cancel) = Cancel::new();
    let context = Context { cancel, ..Context::new(contained.heard.clone()) };
    let accepting = std::thread::spawn(move || {
        let connection = listener.accept().expect("a connection");
        stop.cancel();
        connection
    });
    let executor = contained.executor();
    let config = Json::empty_object();
    let error = block_on(executor.check(&context, &config)).expect_err("a stop");
    assert!(error.is_cancelled(), "{error}");
    drop(accepting.join().expect("a thread"));
    contained.nothing_left();
}
