//! What a way of running opens to nobody: passwords in names, the project's state, other connectors.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::place::Place;

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
