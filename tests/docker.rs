//! Connectors in containers, on a real engine: operations, confinement, files, sweeping.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/docker.rs"]
mod docker;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Folder, guest};
use docker::{Contained, IMAGE, block_on, docker_ok, engine, open_to_all};
use lockgate::executor::{Context, DockerExecutor, Executor};
use lockgate::fault::Fault;
use lockgate::protocol::Json;
use lockgate::sandbox::Policy;
use lockgate::{
    Destination, Source, SqliteStateStore, WriteOptions, WriteStrategy, get_noop_destination,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

#[test]
fn a_source_answers_and_reads() {
    let contained = Contained::new("answers");
    let connector = contained.connector(r#"{"count":20}"#);
    block_on(async {
        assert!(connector.spec().await.expect("a spec").config_schema.get().contains("count"));
        connector.check().await.expect("a check");
        let streams = connector.discover().await.expect("streams");
        assert_eq!(streams[0].descriptor.name, "items");
        let options = WriteOptions { strategy: WriteStrategy::Append, ..WriteOptions::default() };
        let source = Source::from(connector.clone());
        let result = get_noop_destination().write(&source, &options).await.expect("a sync");
        assert_eq!(result.records_committed(), 20);
    });
    let described = connector.describe();
    assert_eq!(described.executor, "docker");
    // Built here, so its digest is its ID; Podman makes one up for it.
    let format = "{{.Id}} {{.RepoDigests}}";
    let known = docker_ok(&["image", "inspect", "--format", format, IMAGE]);
    let digest = described.digest.expect("a digest");
    assert!(digest.starts_with("sha256:") && known.contains(&digest), "{digest}: {known}");
    let fence = described.fence.expect("a fence");
    assert!(fence.contains("no network") && fence.contains("read-only root"), "{fence}");
    contained.nothing_left();
}

/// source-faker's component into the image.
fn faker_into(contained: &Contained, count: u64, config: &str) -> (Source, Destination) {
    let folder = Folder::new();
    let host = lockgate::Host::new().in_folder(folder.path());
    let source = host.get_source(
        &guest("source-faker").display().to_string(),
        &Default::default(),
        Json::parse(format!(r#"{{"count":{count}}}"#)).expect("a configuration"),
    );
    (source.expect("a source"), Destination::from(contained.connector(config)))
}

#[test]
fn a_component_writes_into_a_container_and_goes_on_where_it_was() {
    let folder = Folder::new();
    let local = folder.path().join("made/local");
    open_to_all(&local);
    let mut contained = Contained::new("writes");
    contained.policy.local = Some(local.clone());
    let (source, destination) = faker_into(&contained, 500, "{}");
    let store = SqliteStateStore::open(&folder.path().join("state.db")).expect("a store");
    let options = WriteOptions {
        connection: Some("c".into()),
        strategy: WriteStrategy::Append,
        state: Some(Arc::new(store)),
        ..WriteOptions::default()
    };
    let result = block_on(destination.write(&source, &options)).expect("a sync");
    let committed = result.records_committed();
    assert!(committed >= 500, "{committed}");
    let rows = std::fs::read_to_string(local.join("rows.jsonl")).expect("rows");
    assert_eq!(rows.lines().count() as u64, committed);
    let again = block_on(destination.write(&source, &options)).expect("a second sync");
    assert!(again.report.resumed);
    contained.nothing_left();
}

#[test]
fn an_image_that_is_not_there_is_not_pulled_unless_that_is_allowed() {
    let mut contained = Contained::new("missing");
    contained.settings.image = "lockgate-test/not-there:1".into();
    let error = contained.check("{}").expect_err("no image");
    assert_eq!(error.code(), "DOCKER_IMAGE_MISSING");
    assert!(error.hint().expect("a hint").contains("docker pull lockgate-test/not-there:1"));
}

#[test]
fn an_engine_that_is_not_there_is_said_to_be() {
    let contained = Contained::new("unreachable");
    for place in ["unix:///does/not/exist.sock", "tcp://127.0.0.1:1", "ssh://somewhere"] {
        let executor: Arc<dyn Executor> = Arc::new(contained.executor().at(place));
        let config = Json::empty_object();
        let connector =
            lockgate::Connector::new("contained", executor, config, contained.heard.clone());
        let error = block_on(connector.try_config()).expect_err("no engine");
        assert_eq!(error.code(), "DOCKER_UNREACHABLE", "{place}");
        assert!(error.hint().expect("a hint").contains("DOCKER_HOST"));
    }
}

/// Lets a check sleep while `look` looks at its container.
fn while_it_sleeps(contained: &Contained, look: impl FnOnce(&serde_json::Value)) {
    block_on(async {
        let connector = contained.connector(r#"{"do":"sleep","password":"hunter2"}"#);
        let checking = tokio::spawn(async move { connector.try_config().await });
        let container = tokio::task::block_in_place(|| contained.running());
        tokio::task::block_in_place(|| look(&container));
        // Dropped in the middle: what it had is removed all the same.
        checking.abort();
        let _ = checking.await;
        tokio::task::block_in_place(|| contained.nothing_left_soon());
    });
}

#[test]
fn a_container_is_confined() {
    let mut contained = Contained::new("confined");
    contained.policy.limits.container_pids = 77;
    contained.policy.limits.container_memory = 128 << 20;
    while_it_sleeps(&contained, |container| {
        let pid = &container["State"]["Pid"];
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
        let status = read("status").expect("its status");
        let line = |name: &str| {
            let found = status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
            found.trim().to_owned()
        };
        assert_eq!(line("CapEff:"), "0000000000000000");
        assert_eq!(line("CapBnd:"), "0000000000000000");
        assert_eq!(line("NoNewPrivs:"), "1");
        assert_eq!(line("Seccomp:"), "2");
        let devices = read("net/dev").expect("its devices");
        let names: Vec<_> = devices.lines().filter_map(|l| l.split_once(':')).collect();
        assert_eq!(names.len(), 1, "{devices}");
        assert_eq!(names[0].0.trim(), "lo");
        let host = &container["HostConfig"];
        assert_eq!(host["PidsLimit"], 77);
        assert_eq!(host["Memory"], 128 << 20);
        assert_eq!(host["MemorySwap"], 128 << 20);
        let id = container["Id"].as_str().expect("an ID");
        let shell = |script: &str| {
            let output = docker::docker(&["exec", "--user", "0", id, "sh", "-c", script]);
            let text = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&text).into_owned()
        };
        assert!(shell(": > /probe").contains("Read-only file system"));
        assert!(shell("echo x > /airbyte/run/config.json").contains("Read-only file system"));
        assert!(
            shell("echo '#!/bin/sh\necho ran' > /tmp/x; chmod 755 /tmp/x; /tmp/x").contains("ran")
        );
        assert!(shell("grep ' /tmp ' /proc/mounts").contains("nosuid"));
        // The kernel's own word for it, where this machine mounts it.
        let limit =
            shell("cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max");
        assert!(limit.contains(&(128 << 20).to_string()), "{limit}");
    });
}

#[test]
fn on_the_hosts_network_it_sees_what_the_host_sees_and_that_is_said() {
    let mut contained = Contained::new("host-network");
    contained.policy.host_network = true;
    let fence = contained.executor().describe().fence.expect("a fence");
    assert!(fence.contains("network of the host: nothing that it reaches is enforced"), "{fence}");
    while_it_sleeps(&contained, |container| {
        assert_eq!(container["HostConfig"]["NetworkMode"], "host");
        let pid = &container["State"]["Pid"];
        let network = |of: &str| {
            std::fs::read_link(format!("/proc/{of}/ns/net")).expect("a network namespace")
        };
        assert_eq!(network(&pid.to_string()), network("self"));
    });
}

#[test]
fn files_are_the_containers_and_nobody_elses() {
    let contained = Contained::new("files");
    while_it_sleeps(&contained, |container| {
        let mounts = container["Mounts"].as_array().expect("mounts");
        let binds: Vec<_> = mounts.iter().filter(|m| m["Type"] == "bind").collect();
        assert_eq!(binds.len(), 1, "{mounts:?}");
        assert_eq!(binds[0]["Destination"], "/airbyte/run/config.json");
        assert_eq!(binds[0]["RW"], false);
        let file = Path::new(binds[0]["Source"].as_str().expect("a path"));
        let facts = std::fs::metadata(file).expect("a file");
        let folder = std::fs::metadata(file.parent().expect("a folder")).expect("a folder");
        assert_eq!(folder.mode() & 0o777, 0o700);
        if folder.uid() == 0 {
            assert_eq!((facts.mode() & 0o777, facts.uid()), (0o400, 1000));
        } else {
            assert_eq!(facts.mode() & 0o777, 0o444);
        }
        // Its user reads it: that is what it sleeps for.
        let id = container["Id"].as_str().expect("an ID");
        assert!(docker_ok(&["exec", id, "cat", "/airbyte/run/config.json"]).contains("hunter2"));
        // And the configuration is nowhere else.
        assert!(!container.to_string().contains("hunter2"));
    });
}

#[test]
fn directories_are_seen_as_they_are_granted() {
    let folder = Folder::new();
    folder.write("in/a", "");
    folder.write("in/lockgate.toml", "token");
    open_to_all(&folder.path().join("in"));
    open_to_all(&folder.path().join("out"));
    let mut contained = Contained::new("directories");
    contained.policy.allow_dir_in(folder.path(), "in::/in:ro").expect("a grant");
    contained.policy.allow_dir_in(folder.path(), "out::/out").expect("a grant");
    while_it_sleeps(&contained, |container| {
        let id = container["Id"].as_str().expect("an ID");
        let shell = |script: &str| docker::docker(&["exec", id, "sh", "-c", script]).status;
        assert!(shell("test -f /in/a").success());
        assert!(!shell(": > /in/b").success());
        assert!(shell(": > /out/b").success());
        assert!(!shell("grep token /in/lockgate.toml").success());
    });
    let settings = contained.settings.clone();
    for guest in ["/", "/proc/x", "/airbyte/run"] {
        let mut policy = Policy::default();
        policy.allow_dir_in(folder.path(), &format!("in::{guest}")).expect("a grant");
        let resolver = Arc::new(lockgate::component::SystemResolver);
        let error = DockerExecutor::new(settings.clone(), policy, resolver).expect_err(guest);
        assert_eq!(error.code(), "DOCKER_GRANT");
    }
}

#[test]
fn what_a_dead_host_left_is_swept_and_a_living_ones_stays() {
    let contained = Contained::new("sweep");
    let mut labels = serde_json::Map::new();
    while_it_sleeps(&contained, |container| {
        labels = container["Config"]["Labels"].as_object().expect("labels").clone();
    });
    let mut dead = std::process::Command::new("true").spawn().expect("a process");
    dead.wait().expect("its end");
    let leave = |changes: &[(&str, &str)]| {
        let mut labels = labels.clone();
        for (name, value) in changes {
            let known = labels.insert(format!("io.lockgate.{name}"), (*value).into());
            assert!(known.is_some(), "{name}");
        }
        let mut arguments = vec!["run".to_owned(), "--detach".into(), "--pull=never".into()];
        for (name, value) in &labels {
            arguments
                .extend(["--label".into(), format!("{name}={}", value.as_str().expect("text"))]);
        }
        arguments.extend(["--network=none", "--entrypoint=sleep", IMAGE, "600"].map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        docker_ok(&arguments)
    };
    let pid = dead.id().to_string();
    let gone = leave(&[("pid", &pid)]);
    let again = leave(&[("start", "1")]);
    let booted = leave(&[("boot", "another")]);
    let lives = leave(&[]);
    let elsewhere = leave(&[("machine", "another"), ("pid", &pid)]);
    let theirs = leave(&[("uid", "4294967294"), ("pid", &pid)]);
    let network = {
        let label = |name: &str| {
            format!(
                "io.lockgate.{name}={}",
                labels[&format!("io.lockgate.{name}")].as_str().expect("text")
            )
        };
        let mut arguments = vec!["network".to_owned(), "create".into(), "--internal".into()];
        for name in ["run", "machine", "boot", "pid-namespace", "uid", "start"] {
            arguments.extend(["--label".to_owned(), label(name)]);
        }
        arguments.extend(["--label".into(), format!("io.lockgate.pid={pid}")]);
        arguments.push(format!("lockgate-test-{pid}"));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        docker_ok(&arguments)
    };
    let removed = block_on(contained.executor().sweep()).expect("a sweep");
    assert!(removed >= 4, "{removed}");
    let there = docker_ok(&["ps", "--all", "--quiet", "--no-trunc"]);
    let networks = docker_ok(&["network", "ls", "--quiet", "--no-trunc"]);
    docker_ok(&["rm", "--force", &lives, &elsewhere, &theirs]);
    for id in [&gone, &again, &booted] {
        assert!(!there.contains(id.as_str()));
    }
    for id in [&lives, &elsewhere, &theirs] {
        assert!(there.contains(id.as_str()));
    }
    assert!(!networks.contains(&network));
}

#[test]
fn the_words_of_a_container_without_network_say_how_it_gets_one() {
    let mut contained = Contained::new("offline");
    contained.policy.limits.check_time = Duration::from_secs(60);
    let error = contained.check(r#"{"do":"connect","host":"127.0.0.1","port":9}"#);
    assert_eq!(error.expect_err("no connection").code(), "CONNECTOR_CONFIG");
    assert!(!engine().is_empty());
    contained.nothing_left();
}

#[test]
fn a_container_is_attached_to_before_it_is_started() {
    let contained = Contained::new("order");
    while_it_sleeps(&contained, |container| {
        let id = container["Id"].as_str().expect("an ID");
        let only = format!("container={id}");
        let until = format!("{}", std::time::UNIX_EPOCH.elapsed().expect("a time").as_secs() + 1);
        let format = "{{.Action}}";
        let events = docker_ok(&[
            "events",
            "--since=0",
            "--until",
            &until,
            "--filter",
            &only,
            "--format",
            format,
        ]);
        let events: Vec<&str> = events.lines().collect();
        let at = |name: &str| events.iter().position(|event| *event == name);
        assert!(at("create").is_some(), "{events:?}");
        assert!(at("create") < at("attach") && at("attach") < at("start"), "{events:?}");
    });
}

/// Passes connections on to the engine, and notes what it is asked.
async fn overhear(listener: UnixListener, heard: Arc<Mutex<Vec<u8>>>) {
    let engine = engine();
    let socket = engine.strip_prefix("unix://").expect("the tests' engine has a socket").to_owned();
    while let Ok((outer, _)) = listener.accept().await {
        let inner = UnixStream::connect(&socket).await.expect("the engine");
        let (mut asked, mut answer) = outer.into_split();
        let (mut answered, mut ask) = inner.into_split();
        let heard = heard.clone();
        tokio::spawn(async move {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(count @ 1..) = asked.read(&mut bytes).await {
                heard.lock().expect("a lock").extend_from_slice(&bytes[..count]);
                if ask.write_all(&bytes[..count]).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move { tokio::io::copy(&mut answered, &mut answer).await });
    }
}

#[test]
fn an_engine_is_asked_in_no_version_that_it_does_not_have() {
    let folder = Folder::new();
    let socket = folder.path().join("engine.sock");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let contained = Contained::new("version");
    block_on(async {
        let listener = UnixListener::bind(&socket).expect("a socket");
        tokio::spawn(overhear(listener, heard.clone()));
        let executor = contained.executor().at(&format!("unix://{}", socket.display()));
        let context = Context::new(contained.heard.clone());
        executor.spec(&context).await.expect("a spec");
        executor.check(&context, &Json::empty_object()).await.expect("a check");
    });
    contained.nothing_left();
    let number = |text: &str| {
        let (major, minor) = text.split_once('.').expect("a version");
        (major.parse::<u32>().expect("a number"), minor.parse::<u32>().expect("a number"))
    };
    let has = number(&docker_ok(&["version", "--format", "{{.Server.APIVersion}}"]));
    let heard = String::from_utf8_lossy(&heard.lock().expect("a lock")).into_owned();
    let paths: Vec<&str> = heard
        .lines()
        .filter_map(|line| line.strip_suffix(" HTTP/1.1")?.split_once(' '))
        .map(|(_, path)| path)
        .collect();
    // It is asked what it has before anything else.
    assert!(paths.first().is_some_and(|path| path.ends_with("/version")), "{paths:?}");
    assert!(paths.iter().filter(|path| path.contains("/containers/create")).count() == 2);
    for path in &paths[1..] {
        if let Some(version) = path.strip_prefix("/v1.").and_then(|rest| rest.split('/').next()) {
            assert!(number(&format!("1.{version}")) <= has, "{path} of an engine with {has:?}");
        }
    }
}
