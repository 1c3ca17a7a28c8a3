//! The same through the real binary: flags, `lockgate.toml`, the environment, a registry that counts.

use serde_json::{Value, json};

use crate::place::{CountingRegistry, Place, document};

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
