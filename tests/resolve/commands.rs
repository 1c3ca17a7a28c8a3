//! The same through the real binary: flags, `lockgate.toml`, the environment, a registry that counts.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::common::{Folder, guest};

/// A registry that counts who comes, and answers each with its document.
struct CountingRegistry {
    url: String,
    asked: Arc<AtomicU32>,
}

impl CountingRegistry {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/registry.json", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let document = document().to_string();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                counted.fetch_add(1, Ordering::SeqCst);
                let head = BufReader::new(stream.try_clone().unwrap()).lines();
                let _ = head.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
                let length = document.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{document}");
                let _ = stream.write_all(head.as_bytes());
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn document() -> Value {
    let spec = json!({
        "documentationUrl": "https://docs.example/source-java",
        "connectionSpecification": {
            "type": "object",
            "required": ["start"],
            "properties": { "start": { "type": "string" } },
        },
        "advanced_auth": { "auth_flow_type": "oauth2.0" },
    });
    json!({
        "sources": [{
            "dockerRepository": "airbyte/source-java",
            "dockerImageTag": "1.4.2",
            "language": "java",
            "tags": ["language:java"],
            "spec": spec,
        }],
        "destinations": [],
    })
}

/// A folder whose registry is a file, whose PATH has nothing in it, and what runs in it.
struct Place {
    folder: Folder,
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        let folder = Folder::new();
        folder.write("registry.json", &document().to_string());
        Self { folder }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[("AIRBYTE_LOCAL_REGISTRY", "registry.json")])
    }

    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let mut command = self.folder.lockgate();
        command.args(arguments).env("PATH", self.folder.path().join("bin"));
        // Nothing of what an earlier test was told.
        command.env("LOCKGATE_CACHE_DIR", self.folder.path().join("cache"));
        command.env_remove("AIRBYTE_LOCAL_REGISTRY").env_remove("AIRBYTE_OFFLINE_MODE");
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A program that answers `spec` and nothing else.
    fn program(&self, name: &str) {
        let spec = r#"{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}"#;
        let path = self.folder.write(name, &format!("#!/bin/sh\necho '{spec}'\n"));
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn component(&self, name: &str, guest_name: &str) {
        let path = self.folder.write(name, "");
        std::fs::copy(guest(guest_name), path).unwrap();
    }
}

impl Said {
    /// It is refused, with a code and all of these words.
    fn refused(&self, code: &str, words: &[&str]) {
        assert_eq!(self.code, 2, "{}", self.err);
        assert!(self.err.starts_with(&format!("error[{code}]: ")), "{}", self.err);
        assert!(self.err.contains("\nhint: "), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word}: {}", self.err);
        }
        assert!(self.out.is_empty(), "{}", self.out);
    }

    fn succeeded(&self, words: &[&str]) {
        assert_eq!(self.code, 0, "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word}: {}", self.err);
        }
    }
}

#[test]
fn two_ways_are_an_error_that_names_both() {
    let place = Place::new();
    let both: &[(&[&str], &[&str])] = &[
        (&["--docker-image", "x:1", "--local-executable", "./x"], &["docker-image", "local-exec"]),
        (&["--docker-image=x:1", "--pip-url=y"], &["docker-image", "pip-url"]),
        (&["--component", "x.wasm", "--no-executor"], &["component", "no-executor"]),
        (&["--use-python", "--docker-image"], &["use-python", "docker-image"]),
        (&["--use-python=false", "--pip-url=y"], &["use-python = false", "pip-url"]),
        (&["--version", "1", "--pip-url", "y"], &["version", "pip-url"]),
        (&["--version=1", "--docker-image=x:1"], &["version", "docker-image", "x:1"]),
        (&["--version=1", "--local-executable"], &["version", "local-executable"]),
        (&["--use-host-network", "--use-python"], &["use-host-network", "use-python"]),
        (&["--install-root=x", "--docker-image"], &["install-root", "docker-image"]),
        (&["--docker-local=x", "--no-executor"], &["docker-local", "no-executor"]),
    ];
    for (flags, words) in both {
        let name = ["spec", "source-x"];
        place.run(&[&name, *flags].concat()).refused("OPTIONS_CONFLICT", words);
        // And the other way round.
        let turned: Vec<&str> = flags.iter().rev().copied().collect();
        if turned.iter().all(|flag| flag.starts_with("--")) {
            place.run(&[&name, turned.as_slice()].concat()).refused("OPTIONS_CONFLICT", words);
        }
    }
    place.run(&["spec", "x.wasm", "--docker-image"]).refused("OPTIONS_CONFLICT", &["x.wasm"]);
    place.run(&["spec", "exec:x", "--version", "1"]).refused("OPTIONS_CONFLICT", &["exec:x"]);
}

#[test]
fn a_side_of_a_sync_and_a_key_of_the_project() {
    let place = Place::new();
    let flags = [
        "sync",
        "--source=source-x",
        "--source-docker-image=x:1",
        "--source-use-python=3.11",
        "--destination=destination-dev-null",
    ];
    place.run(&flags).refused("OPTIONS_CONFLICT", &["docker-image", "use-python"]);
    let project = |keys: &str| {
        format!(
            "[sources.a]\nconnector = \"source-x\"\n{keys}\n[destinations.b]\n\
             connector = \"destination-dev-null\"\n[connections.c]\nsource = \"a\"\ndestination = \"b\"\n"
        )
    };
    place.folder.write("lockgate.toml", &project("docker-image = true\nno-executor = true"));
    place.run(&["sync"]).refused("OPTIONS_CONFLICT", &["docker-image", "no-executor"]);
    place.folder.write("lockgate.toml", &project("use-python = 3.11"));
    let said = place.run(&["sync"]);
    assert_eq!(said.code, 2);
    for word in ["error[CONFIG_MALFORMED]", "line 3", "in quotes"] {
        assert!(said.err.contains(word), "{}", said.err);
    }
    // A connection's connectors are set in the project.
    for flag in ["--source-version=1", "--destination-docker-image", "--source-offline"] {
        let said = place.run(&["sync", "c", flag]);
        assert_eq!(said.code, 2);
        assert!(
            said.err.contains("'[NAME]' cannot be used with")
                && said.err.contains(flag.split('=').next().unwrap()),
            "{}",
            said.err
        );
    }
}

#[test]
fn a_program_that_is_not_there_fails_at_once() {
    let place = Place::new();
    place.folder.write("plain", "no program");
    for (flags, words) in [
        (
            &["x", "--local-executable", "./gone"][..],
            &["local-executable: ", "gone is not there"][..],
        ),
        (&["x", "--local-executable=./plain"], &["plain is not executable"]),
        (&["x", "--local-executable"], &["no program named \"x\" is on PATH"]),
        (&["exec:./gone"], &["gone is not there"]),
    ] {
        place.run(&[&["check"], flags].concat()).refused("CONNECTOR_START", words);
    }
}

#[test]
fn the_nearest_is_taken() {
    let place = Place::new();
    let spec = |flags: &[&str]| place.run(&[&["spec", "source-java", "--verbose"], flags].concat());
    // The registry's, at last.
    place.run(&["spec", "source-java", "--version=1", "--install-root=x"]).refused(
        "OPTIONS_CONFLICT",
        &["install-root and the image airbyte/source-java of the registry exclude each other"],
    );
    place.program("bin/source-java");
    spec(&[]).succeeded(&["connector source-java runs as process, ", "a program on PATH"]);
    spec(&["--version=1"]).refused("OPTIONS_CONFLICT", &["version and the program "]);
    place.component(".lockgate/components/source-java.wasm", "source-faker");
    spec(&[]).succeeded(&["runs as component, ", ".lockgate/components has a component"]);
    place.component("components/source-java.wasm", "source-faker");
    spec(&[]).succeeded(&["runs as component, ", "/components has a component of that name"]);
    // Folders of a project, also from below it.
    place.component("mine/source-java.wasm", "source-faker");
    place.folder.write("lockgate.toml", "[components]\ndirectories = [\"mine\"]\n");
    spec(&[]).succeeded(&["runs as component, ", "/mine has a component of that name"]);
    // What an option says goes before all of it.
    spec(&["--local-executable"]).succeeded(&["runs as process, ", "local-executable says so"]);
}

#[test]
fn an_unknown_name_says_where_was_looked() {
    let place = Place::new();
    place.run(&["spec", "source-jav"]).refused(
        "CONNECTOR_UNKNOWN",
        &[
            "no source-jav.wasm in ",
            "/components",
            "no program",
            "registry has no connector named source-jav",
        ],
    );
    let off = [("AIRBYTE_LOCAL_REGISTRY", "0")];
    place
        .run_with(&["spec", "source-java"], &off)
        .refused("CONNECTOR_UNKNOWN", &["turns the registry off"]);
    place
        .run_with(&["spec", "source-java", "--no-executor"], &off)
        .refused("REGISTRY_OFF", &["no-executor"]);
    // Nobody listens at port 1 of this machine.
    let closed = [("AIRBYTE_LOCAL_REGISTRY", "http://127.0.0.1:1/r.json")];
    let said = place.run_with(&["spec", "source-java"], &closed);
    assert_ne!(said.code, 0);
    for word in ["error[REGISTRY_UNREACHABLE]", "offline", "docker-image"] {
        assert!(said.err.contains(word), "{word}: {}", said.err);
    }
}

#[test]
fn the_registry_is_asked_only_when_needed() {
    let place = Place::new();
    let registry = CountingRegistry::start();
    let url = registry.url.as_str();
    place.program("bin/source-here");
    place.component("components/source-near.wasm", "source-faker");
    let unasked: &[&[&str]] = &[
        &["spec", "source-here"],
        &["spec", "source-near"],
        &["spec", "destination-dev-null"],
        &["spec", "source-java", "--local-executable=source-here"],
        &["spec", "source-java", "--component=components/source-near.wasm"],
        &["check", "destination-dev-null"],
        // Refused before anything is asked.
        &["spec", "source-java", "--docker-image", "--use-python"],
    ];
    for arguments in unasked {
        let named = [*arguments, &["--registry", url]].concat();
        place.run_with(&named, &[]);
        place.run_with(arguments, &[("AIRBYTE_LOCAL_REGISTRY", url)]);
        assert_eq!(registry.asked(), 0, "{arguments:?}");
    }
    for offline in [&["--offline"][..], &[]] {
        let arguments = [&["spec", "source-java", "--registry", url], offline].concat();
        let variables: &[_] =
            if offline.is_empty() { &[("AIRBYTE_OFFLINE_MODE", "1")] } else { &[] };
        let said = place.run_with(&arguments, variables);
        said.refused("CONNECTOR_UNKNOWN", &["offline"]);
        assert_eq!(registry.asked(), 0);
    }
    // Now it is needed.
    let needed = ["spec", "source-java", "--install-root=x", "--registry", url];
    place.run_with(&needed, &[]).refused("OPTIONS_CONFLICT", &["image airbyte/source-java"]);
    assert_eq!(registry.asked(), 1);
}

#[test]
fn a_specification_without_running_anything() {
    let place = Place::new();
    // A program of that name is not what was asked for.
    place.program("bin/source-java");
    let said = place.run(&["spec", "source-java", "--no-executor", "--verbose"]);
    said.succeeded(&["runs as none, source-java of the registry: no-executor says so"]);
    let printed: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(printed, document()["sources"][0]["spec"]);
    // A configuration can be held against it, and no more.
    let check =
        |config: &str| place.run(&["check", "source-java", "--no-executor", "--config", config]);
    let said = check("{}");
    assert!(said.code == 2 && said.err.contains("CONFIG_INVALID"), "{}", said.err);
    let said = check(r#"{"start": "2020"}"#);
    assert!(said.code == 2 && !said.err.contains("CONFIG_INVALID"), "{}", said.err);
}

#[test]
fn what_was_chosen_is_in_reports() {
    let place = Place::new();
    let said = place.run(&["check", "destination-dev-null", "--output=json"]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        report["chosen"],
        json!({ "method": "noop", "target": "built in", "why": "it is built in" })
    );
    place.component("components/source-java.wasm", "source-faker");
    let config = r#"--source-config={"count": 5}"#;
    let sync = ["sync", "--source=source-java", config, "--destination=destination-dev-null"];
    let said = place.run(&[&sync[..], &["--output=json"]].concat());
    said.succeeded(&[]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["source"]["chosen"]["method"], "component");
    let why = report["source"]["chosen"]["why"].as_str().unwrap();
    assert!(why.ends_with("/components has a component of that name"), "{why}");
    assert_eq!(report["destination"]["chosen"]["method"], "noop");
    let said = place.run(&[&sync[..], &["--verbose"]].concat());
    said.succeeded(&[
        "source source-java runs as component, ",
        "destination destination-dev-null runs as noop, built in: it is built in",
    ]);
    // Both of them components: it runs in a worker, and says so too.
    place.component("components/destination-x.wasm", "destination-dev-null");
    let sync =
        ["sync", "--source=source-java", config, "--destination=destination-x", "--output=json"];
    let report: Value = serde_json::from_str(&place.run(&sync).out).unwrap();
    assert_eq!(report["isolation"], "worker");
    assert_eq!(report["destination"]["chosen"]["method"], "component");
}

/// A source that logs the variable it was given, and a destination that logs rows: what one was given
/// is hidden in what the other says, although each was made by itself.
#[test]
fn connectors_made_one_by_one_know_each_others_secrets() {
    let place = Place::new();
    place.folder.write("password", "correct-horse-battery");
    let program = |name: &str, said: &str| {
        let text = format!(
            "#!/bin/sh\necho '{{\"type\":\"SPEC\",\"spec\":{{\"connectionSpecification\":{{\"type\":\"object\",\"title\":\"{said}\"}}}}}}'\n"
        );
        let path = place.folder.write(name, &text);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        format!("exec:{}", path.display())
    };
    let options = lockgate::ConnectorOptions {
        env: vec![format!("TOKEN=${{secret:file:{}/password}}", place.folder.path().display())],
        ..Default::default()
    };
    let empty = lockgate::protocol::Json::empty_object;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let knows = lockgate::get_source(&program("source", "plain"), &options, empty()).unwrap();
    runtime.block_on(knows.connector().ready()).unwrap();
    let tells = program("destination", "correct-horse-battery");
    let tells = lockgate::get_destination(&tells, &Default::default(), empty()).unwrap();
    let spec = runtime.block_on(tells.spec()).unwrap();
    let shown = spec.config_schema.get().to_owned();
    assert!(!shown.contains("correct-horse-battery"), "{shown}");
}

/// What is mounted in a container is all there: nothing hides the project's own state in it.
#[test]
fn a_container_is_not_given_the_projects_state() {
    let place = Place::new();
    place.folder.write("data/rows", "");
    // Nothing of a project is there yet: a container could write it.
    let said =
        place.run(&["check", "source-x", "--docker-image=x:1", "--no-record", "--docker-local=."]);
    assert!(said.err.contains("error[GRANT_DIRECTORY]"), "{}", said.err);
    place.folder.write("lockgate.toml", "");
    let check = |flag: &str, value: &str| {
        place.run(&["check", "source-x", "--docker-image=x:1", "--no-record", flag, value])
    };
    let folder = place.folder.path().display().to_string();
    for (flag, value) in [
        ("--docker-local", "."),
        ("--allow-dir", ".::/data:ro"),
        ("--allow-dir", &format!("{folder}::/data")),
        ("--docker-local", "/"),
        ("--docker-local", "/proc"),
    ] {
        let said = check(flag, value);
        assert_eq!(said.code, 3, "{flag} {value}: {}", said.err);
        assert!(said.err.contains("error[GRANT_DIRECTORY]"), "{}", said.err);
    }
    for (flag, value) in [("--docker-local", "data"), ("--allow-dir", "data::/data")] {
        let said = check(flag, value);
        assert!(!said.err.contains("error[GRANT_DIRECTORY]"), "{}", said.err);
    }
}

#[test]
fn the_password_of_an_address_is_neither_said_nor_kept() {
    let place = Place::new();
    place.folder.write("c.json", "{}");
    let address = "https://user:hunter2@127.0.0.1:1/simple";
    let named = format!("pip:--index-url {address} source-x");
    let url = format!("pip:source-x @ {address}/x.zip");
    let option = format!("{address}/source-x");
    let off = "--install-if-missing=false";
    let project = format!(
        "[sources.a]\nconnector = {}\ninstall-if-missing = false\n[destinations.b]\n\
         connector = \"destination-dev-null\"\n[connections.c]\nsource = \"a\"\ndestination = \"b\"\n",
        Value::from(named.as_str()),
    );
    place.folder.write("lockgate.toml", &project);
    let calls: &[&[&str]] = &[
        &["check", &named, "--config", "c.json", off, "--verbose"],
        &["check", &url, "--config", "c.json", off, "--output", "json"],
        &["discover", &named, "--config", "c.json", off],
        &["spec", "source-x", "--pip-url", &option, off, "--verbose"],
        &["spec", address],
        &["spec", &format!("docker:{address}")],
        &["sync", "--source", &named, "--destination", "destination-dev-null", off],
        &["sync", "c"],
        &["sync", "c", "--isolation", "worker"],
        &["policy", "show", "c"],
        &["runs", "list"],
        &["connectors", "remove", &named],
    ];
    for call in calls {
        let said = place.run(call);
        assert!(
            !said.out.contains("hunter2") && !said.err.contains("hunter2"),
            "{call:?}: {}{}",
            said.out,
            said.err
        );
    }
    let mut records = 0;
    let mut folders = vec![place.folder.path().join(".lockgate")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            records += u32::from(path.ends_with("run.json"));
            let bytes = std::fs::read(&path).unwrap();
            let holds = bytes.windows(7).any(|window| window == b"hunter2");
            assert!(!holds, "{}", path.display());
        }
    }
    assert!(records > 3, "{records}");
}

/// No command line of an installation holds the password of an address; uv has it all the same.
#[test]
fn an_installation_tells_no_password_to_whoever_lists_processes() {
    let place = Place::new();
    // Says where it was told the password, and fails.
    let uv = r#"#!/bin/sh
case "$1 $*" in
--version*) echo 'uv 0.13.9'; exit 0 ;;
venv*) exit 0 ;;
esac
case "$*" in *hunter2*) echo 'seen on the command line' ;; esac
case "$UV_DEFAULT_INDEX" in *hunter2*) echo 'seen in the variable' ;; esac
for word in "$@"; do
    if [ "$last" = -r ]; then
        while read -r line; do case "$line" in *hunter2*) echo 'seen in the file' ;; esac; done < "$word"
    fi
    last=$word
done
exit 1
"#;
    let path = place.folder.write("bin/uv", uv);
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    let address = "https://user:hunter2@127.0.0.1:1/simple";
    let named = format!("pip:'source-x @ {address}/x.zip' --index-url {address}");
    let said = place.run(&["connectors", "install", &named]);
    assert_eq!(said.code, 1, "{}", said.err);
    for wanted in ["error[PYTHON_INSTALL]", "seen in the variable", "seen in the file"] {
        assert!(said.err.contains(wanted), "{}", said.err);
    }
    assert!(!said.err.contains("command line") && !said.err.contains("hunter2"), "{}", said.err);
}

/// Who writes where components are looked up by name would become other connectors.
#[test]
fn a_folder_of_components_is_granted_to_nobody_for_writing() {
    let place = Place::new();
    place.program("bin/source-x");
    place.component("components/source-y.wasm", "destination-jsonl");
    place.folder.write("out/x", "");
    // A process sees a directory under its own path only.
    for (name, guest) in [("exec:bin/source-x", ""), ("components/source-y.wasm", "::/data")] {
        for folder in [".", "components"] {
            let grant = &format!("{folder}{guest}");
            let said = place.run(&["spec", name, "--allow-dir", grant]);
            assert_eq!(said.code, 3, "{name} {grant}: {}", said.err);
            assert!(said.err.contains("becomes other connectors"), "{}", said.err);
        }
        for (folder, mode) in [("out", ""), ("components", ":ro")] {
            let grant = &format!("{folder}{guest}{mode}");
            let said = place.run(&["spec", name, "--allow-dir", grant]);
            assert!(!said.err.contains("becomes other connectors"), "{}", said.err);
        }
    }
}
