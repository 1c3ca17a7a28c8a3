//! Secrets, through the real binary: connectors that tell theirs in every way and form, and a search
//! for them in everything that was printed and stored.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use common::{Folder, fixture, guest, target};

const ENV: &str = "mkENV/9 \"q\" ü+7m";
const FILE: &str = "mkFILE-8&f?k=2m";
const EXEC: &str = "mkEXEC_5%x~3:mm";
const MARKED: &str = "mkMARKED<1>w4m";
const NAMED: &str = "mkNAMED\\6k'9m";
const URL: &str = "mkURLpw6t2m";
const GRANT: &str = "mkGRANT=4g8m";
const GRANT_REFERENCE: &str = "mkGRANTref3z7m";

/// What a run gives, and where all it may leave is.
struct Scene {
    project: Folder,
    /// Files that hold secrets because somebody put them there.
    vault: Folder,
    temporary: Folder,
    env: String,
}

/// Everything a run said.
struct Said {
    code: i32,
    text: Vec<u8>,
    stdout: String,
}

impl Scene {
    fn new() -> Self {
        let vault = Folder::new();
        vault.write("file", &format!("{FILE}\n"));
        vault.write("exec", &format!("{EXEC}\n"));
        Self { project: Folder::new(), vault, temporary: Folder::new(), env: ENV.to_owned() }
    }

    /// A configuration with a secret of every kind.
    fn config(&self, by: &str, during: &str) -> Value {
        let vault = self.vault.path().display();
        json!({
            "mode": "leak", "by": by, "during": during,
            "members": ["/told/whole", "/told/part", "/told/exec", "/marked", "/told/api_key", "/told/url"],
            "marked": MARKED,
            "told": {
                "whole": "${secret:env:MARK_ENV}",
                "part": format!("before-${{secret:file:{vault}/file}}-after"),
                "exec": format!("${{secret:exec:cat '{vault}/exec'}}"),
                "api_key": NAMED,
                "url": format!("postgres://user:{URL}@db.example/x"),
            },
        })
    }

    fn write_config(&self, name: &str, config: &Value) -> PathBuf {
        self.vault.write(name, &config.to_string())
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let mut command = self.project.lockgate();
        command.env("MARK_ENV", &self.env).env("MARK_REFERENCE", GRANT_REFERENCE);
        command.env("TMPDIR", self.temporary.path()).args(arguments);
        let output = command.output().unwrap();
        let mut text = output.stdout.clone();
        text.extend(&output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        Said { code: output.status.code().unwrap_or(-1), text, stdout }
    }

    /// Runs, and looks for every secret in all that was said and left.
    fn quiet(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        self.search(&said, arguments, &self.secrets());
        said
    }

    fn secrets(&self) -> Vec<String> {
        let all = [FILE, EXEC, MARKED, NAMED, URL, GRANT, GRANT_REFERENCE, &self.env];
        all.map(str::to_owned).to_vec()
    }

    fn search(&self, said: &Said, arguments: &[&str], secrets: &[String]) {
        let mut places = vec![("the output".to_owned(), said.text.clone())];
        for folder in [self.project.path(), self.temporary.path()] {
            files(folder, &mut places);
        }
        search(&places, arguments, secrets);
    }
}

/// Fails where a secret is in one of the places.
fn search(places: &[(String, Vec<u8>)], arguments: &[&str], secrets: &[String]) {
    let forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    let all = aho_corasick::AhoCorasick::new(&forms).unwrap();
    for (place, bytes) in places {
        if let Some(found) = all.find(bytes) {
            let around = found.start().saturating_sub(200)..(found.end() + 100).min(bytes.len());
            let (around, form) = (String::from_utf8_lossy(&bytes[around]), &forms[found.pattern()]);
            panic!("{arguments:?}: {place} holds {form}: …{around}…");
        }
    }
}

fn files(folder: &Path, places: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.display().to_string();
        // Names are stored as well.
        places.push((format!("the name of {name}"), name.clone().into_bytes()));
        if path.is_dir() {
            files(&path, places);
        } else if path.extension().is_none_or(|e| e != "toml") {
            places.push((name, std::fs::read(&path).unwrap_or_default()));
        }
    }
}

/// The forms that are looked for: made here, and not as the host makes them.
fn forms(secret: &str) -> Vec<String> {
    let bytes = |prefix: &str, keep: bool| {
        secret.bytes().fold(String::new(), |mut out, b| {
            match keep && (b.is_ascii_alphanumeric() || b"-_.~".contains(&b)) {
                true => out.push(char::from(b)),
                false => write!(out, "{prefix}{b:02x}").unwrap(),
            }
            out
        })
    };
    let quoted = json!(secret).to_string();
    let percent = bytes("%", true);
    let mut forms = vec![
        secret.to_owned(),
        quoted[1..quoted.len() - 1].to_owned(),
        bytes("", false),
        bytes("", false).to_uppercase(),
        bytes("%", false),
        percent.replace("%20", "+"),
        percent,
    ];
    for before in ["", "a", "ab"] {
        // The digits in the middle depend on the secret alone.
        let whole = STANDARD.encode(format!("{before}{secret}"));
        let middle = &whole[4..whole.len() - 4];
        forms.push(middle.to_owned());
        forms.push(middle.replace('+', "-").replace('/', "_"));
    }
    forms
}

fn grants(prefix: &str) -> Vec<String> {
    let grant = format!("--{prefix}env");
    let reference = "MARK_R=${secret:env:MARK_REFERENCE}".to_owned();
    vec![grant.clone(), format!("MARK_G={GRANT}"), grant, reference]
}

const FORMATS: [&[&str]; 3] = [&[], &["--output", "json"], &["--verbose"]];
const WAYS: [&str; 7] =
    ["log", "print", "failure", "config-failure", "trap", "file", "update-config"];

fn words<'a>(parts: &[&'a [&'a str]], more: &'a [String]) -> Vec<&'a str> {
    parts.concat().into_iter().chain(more.iter().map(String::as_str)).collect()
}

#[test]
fn nothing_is_told_by_check_and_discover() {
    let scene = Scene::new();
    let source = guest("misbehaving-source");
    let source = source.to_str().unwrap();
    let grants = grants("");
    for operation in ["check", "discover"] {
        let more: &[&str] = if operation == "discover" { &["name", "schema"] } else { &[] };
        for by in WAYS.iter().chain(more) {
            let config = scene.write_config("c.json", &scene.config(by, operation));
            for format in FORMATS {
                let arguments = [operation, source, "--config", config.to_str().unwrap()];
                let said = scene.quiet(&words(&[&arguments, format], &grants));
                let text = String::from_utf8_lossy(&said.text);
                let expected = match *by {
                    "failure" | "trap" => 1,
                    // A configuration that does not do is a failed check.
                    "config-failure" => 1,
                    "name" => 3,
                    _ => 0,
                };
                assert_eq!(said.code, expected, "{operation} {by} {text}");
                assert!(by == &"name" || by == &"update-config" || text.contains("***"), "{text}");
            }
        }
    }
}

#[test]
fn nothing_is_told_by_a_sync() {
    let source = guest("misbehaving-source");
    let destination = guest("misbehaving-destination");
    for side in ["source", "destination"] {
        let operation = if side == "source" { "read" } else { "write" };
        for by in WAYS.iter().chain(&["state"]).filter(|by| **by != "state" || side == "source") {
            let scene = Scene::new();
            let leaks = scene.write_config("leaks.json", &scene.config(by, operation));
            let other = r#"{"mode":"well-behaved"}"#;
            let configs = match side {
                "source" => [leaks.to_str().unwrap(), other],
                _ => [other, leaks.to_str().unwrap()],
            };
            let arguments = [
                "sync",
                "--connection",
                "c",
                "--source",
                source.to_str().unwrap(),
                "--source-config",
                configs[0],
                "--destination",
                destination.to_str().unwrap(),
                "--destination-config",
                configs[1],
            ];
            let grants = grants(&format!("{side}-"));
            for format in FORMATS {
                let said = scene.quiet(&words(&[&arguments, format], &grants));
                let fails = matches!(*by, "failure" | "config-failure" | "trap");
                let text = String::from_utf8_lossy(&said.text);
                assert_eq!(said.code, i32::from(fails), "{side} {by} {text}");
            }
            for arguments in [&["state", "show", "c"][..], &["state", "show", "--output", "json"]] {
                scene.quiet(arguments);
            }
            assert!(!scene.project.path().join("forged").exists());
        }
    }
}

#[test]
fn a_state_with_secrets_is_gone_on_from_also_when_they_are_replaced() {
    let mut scene = Scene::new();
    let source = guest("misbehaving-source");
    let mut config = scene.config("state", "read");
    config["rows"] = json!(7);
    let file = scene.write_config("c.json", &config);
    let arguments = [
        "sync",
        "--connection",
        "c",
        "--source",
        source.to_str().unwrap(),
        "--source-config",
        file.to_str().unwrap(),
        "--destination",
        "destination-dev-null",
        "--output",
        "json",
    ];
    let grants = grants("source-");
    let arguments = words(&[&arguments], &grants);
    let first: Value = serde_json::from_str(&scene.quiet(&arguments).stdout).unwrap();
    assert_eq!(first["records_committed"], 7);
    let shown = scene.quiet(&["state", "show", "c"]).stdout;
    assert!(shown.contains("${sealed:plain:config.told.whole"), "{shown}");
    // The source itself says so when its state is not what it was.
    let second: Value = serde_json::from_str(&scene.quiet(&arguments).stdout).unwrap();
    assert_eq!((&second["status"], &second["resumed"]), (&json!("succeeded"), &json!(true)));
    assert_eq!(second["records_committed"], 0);
    scene.env = ENV.replace('9', "4");
    let third: Value = serde_json::from_str(&scene.quiet(&arguments).stdout).unwrap();
    assert_eq!(third["status"], "succeeded");
    assert_eq!(third["connection"], first["connection"]);
    // A secret that is gone is no text to go on from.
    config["told"]["whole"] = json!("short");
    scene.write_config("c.json", &config);
    let fourth = scene.quiet(&arguments);
    assert_eq!(fourth.code, 1);
    let text = String::from_utf8_lossy(&fourth.text).into_owned();
    assert!(text.contains("SECRET_SEALED") && text.contains("config.told.whole"), "{text}");
}

#[test]
fn rows_arrive_as_they_are_and_are_not_told_on_the_way() {
    let scene = Scene::new();
    let source = guest("misbehaving-source");
    let config = scene.write_config("c.json", &scene.config("rows", "read"));
    let source =
        ["sync", "--source", source.to_str().unwrap(), "--source-config", config.to_str().unwrap()];
    // A destination that logs what it is given: it was not given these secrets, and hides them.
    let logging = r#"{"test_destination":{"test_destination_type":"LOGGING","logging_config":{}}}"#;
    let to =
        ["--destination", "destination-dev-null", "--destination-config", logging, "--verbose"];
    let said = scene.quiet(&[&source[..], &to[..]].concat());
    assert!(String::from_utf8_lossy(&said.text).contains("***"));
    let jsonl = guest("destination-jsonl");
    let out = scene.vault.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let grant = format!("{}::/out", out.display());
    let to = [
        "--destination",
        jsonl.to_str().unwrap(),
        "--destination-config",
        r#"{"path":"/out"}"#,
        "--destination-allow-dir",
        &grant,
    ];
    assert_eq!(scene.quiet(&[&source[..], &to[..]].concat()).code, 0);
    let rows = scene.vault.rows("out/rows.jsonl");
    assert!(rows[0].to_string().contains(FILE));
}

#[test]
fn nothing_is_told_by_a_process() {
    let program = format!("exec:{}", fixture("connectors/leaking.py").display());
    let grants_of = grants;
    for (operation, ways) in [
        ("check", &["argv", "stderr", "noise", "log", "trace", "status", "control"][..]),
        ("discover", &["name", "schema", "trace", "stderr"]),
        ("read", &["stderr", "noise", "log", "trace", "garbled", "control", "state"]),
    ] {
        for (i, by) in ways.iter().enumerate() {
            let scene = Scene::new();
            let file = scene.write_config("c.json", &scene.config(by, operation));
            let file = file.to_str().unwrap();
            let to = ["--destination", "destination-dev-null"];
            let (start, prefix) = match operation {
                "read" => (["sync", "--source", &program, "--source-config", file], "source-"),
                _ => ([operation, &program, "--config", file, "--quiet"], ""),
            };
            let grants = grants_of(prefix);
            for format in [FORMATS[i % 2], FORMATS[2]] {
                let mut arguments = words(&[&start, format], &grants);
                if operation == "read" {
                    arguments.extend(to);
                } else {
                    arguments.retain(|word| *word != "--quiet");
                }
                let said = scene.quiet(&arguments);
                let text = String::from_utf8_lossy(&said.text).into_owned();
                assert!(!text.contains("came back changed") && !text.contains("seen "), "{text}");
                assert!(
                    said.code != 0
                        || !matches!(*by, "stderr" | "trace" | "garbled" | "status" | "name"),
                    "{by}: {text}"
                );
            }
            if operation == "read" {
                scene.quiet(&["state", "show"]);
            }
        }
    }
    // The cache of compiled components is no place for them either.
    let mut places = Vec::new();
    files(&target().join("test-cache"), &mut places);
    search(&places, &["the cache"], &Scene::new().secrets());
    // Nothing is given to `spec` but the environment.
    let scene = Scene::new();
    let grants = grants("");
    let said = scene.quiet(&words(&[&["spec", &program]], &grants));
    assert!(said.stdout.contains("***"));
}

#[test]
fn nothing_is_told_by_exec() {
    let source = guest("misbehaving-source");
    let destination = guest("misbehaving-destination");
    let catalog = json!({ "streams": [{ "stream": { "name": "rows", "json_schema": {} },
        "sync_mode": "incremental", "destination_sync_mode": "append" }] });
    for (program, operation) in
        [(&source, "check"), (&source, "discover"), (&source, "read"), (&destination, "write")]
    {
        for by in WAYS.iter().chain(&["state", "schema", "name"]) {
            let scene = Scene::new();
            let config = scene.write_config("c.json", &scene.config(by, operation));
            let catalog = scene.vault.write("catalog.json", &catalog.to_string());
            let mut arguments = vec![
                "exec",
                program.to_str().unwrap(),
                operation,
                "--config",
                config.to_str().unwrap(),
            ];
            if matches!(operation, "read" | "write") {
                arguments.extend(["--catalog", catalog.to_str().unwrap()]);
            }
            let grants = grants("");
            let arguments = words(&[&arguments], &grants);
            if *by == "update-config" {
                // The platform has to store what changed, and wrote the plain ones itself.
                let said = scene.run(&arguments);
                let referred = [FILE, EXEC, ENV, GRANT, GRANT_REFERENCE].map(str::to_owned);
                scene.search(&said, &arguments, &referred);
                assert!(said.stdout.contains("${secret:env:MARK_ENV}"), "{}", said.stdout);
                assert!(said.stdout.contains("$${secret:exec:touch forged}"), "{}", said.stdout);
            } else {
                scene.quiet(&arguments);
            }
        }
    }
}

#[test]
fn a_secret_that_cannot_be_had_is_named_and_nothing_else() {
    let scene = Scene::new();
    scene.vault.write("c", "");
    let source = guest("misbehaving-source");
    let check = |reference: &str, more: &[&str]| {
        let config =
            json!({ "mode": "well-behaved", "auth": { "password": format!("x{reference}") } });
        let config = scene.write_config("c.json", &config);
        let start = ["check", source.to_str().unwrap(), "--config", config.to_str().unwrap()];
        let said = scene.quiet(&[&start[..], more].concat());
        (said.code, String::from_utf8_lossy(&said.text).into_owned())
    };
    let says =
        format!("${{secret:exec:sh -c \"cat {}/exec >&2; exit 9\"}}", scene.vault.path().display());
    for (reference, code) in [
        ("${secret:env:MARK_NOBODY}", "SECRET_UNAVAILABLE"),
        ("${secret:file:nowhere}", "SECRET_UNAVAILABLE"),
        ("${secret:file:.}", "SECRET_UNAVAILABLE"),
        ("${secret:exec:nowhere}", "SECRET_UNAVAILABLE"),
        ("${secret:exec:true}", "SECRET_UNAVAILABLE"),
        (&says, "SECRET_UNAVAILABLE"),
        ("${secret:vault:x}", "SECRET_REFERENCE"),
        ("${secret:env:x", "SECRET_REFERENCE"),
    ] {
        let (exit, text) = check(reference, &[]);
        assert_eq!(exit, 2, "{reference}: {text}");
        assert!(
            text.contains(&format!("error[{code}]")) && text.contains("auth.password"),
            "{text}"
        );
    }
    let (exit, text) = check("${secret:exec:sleep 20}", &["--limit", "secret-time=300ms"]);
    assert!(exit == 2 && text.contains("longer than 0.3 s"), "{text}");
    // Without its escape a text is what it says.
    assert_eq!(check("$${secret:env:MARK_NOBODY}", &[]).0, 0);
}

#[test]
fn values_are_checked_as_they_are_used_and_stay_hidden() {
    let scene = Scene::new();
    let source = guest("misbehaving-source");
    let config = json!({
        "mode": "well-behaved", "short": "${secret:env:MARK_ENV}", "pwd": "abc",
        "marked": { "${secret:env:MARK_ENV}": 1 },
    });
    let config = scene.write_config("c.json", &config);
    let said =
        scene.quiet(&["check", source.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&said.text).into_owned();
    assert!(said.code == 2 && text.contains("short (a string)"), "{text}");
    // Too short to be hidden, and named.
    assert!(text.contains("the secret pwd has fewer than 6 characters"), "{text}");
    assert!(!text.contains("abc"), "{text}");
}

#[test]
fn the_project_file_refers_to_secrets() {
    let scene = Scene::new();
    let source = guest("misbehaving-source");
    scene.vault.write("beside", FILE);
    std::fs::create_dir(scene.project.path().join("below")).unwrap();
    // Paths begin beside the file, wherever the command is run.
    std::os::unix::fs::symlink(scene.vault.path(), scene.project.path().join("keys")).unwrap();
    scene.project.write(
        "lockgate.toml",
        &format!(
            r#"
            [sources.s]
            connector = "{}"
            config = {{ mode = "leak", by = "log", members = ["/password", "/marked"], password = "${{secret:file:keys/beside}}", marked = "${{secret:exec:cat keys/exec}}" }}
            env = ["MARK_R=x${{secret:env:MARK_REFERENCE}}"]
            [destinations.d]
            connector = "destination-dev-null"
            [connections.c]
            source = "s"
            destination = "d"
            "#,
            source.display()
        ),
    );
    let mut command = scene.project.lockgate();
    command.current_dir(scene.project.path().join("below"));
    command.env("MARK_REFERENCE", GRANT_REFERENCE).args(["sync", "--verbose"]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("before***after"), "{text}");
    assert!(text.contains("allowed: secret password (secret file:keys/beside)"), "{text}");
    std::fs::remove_file(scene.project.path().join("keys")).unwrap();
    let mut places = vec![("the output".to_owned(), text.into_bytes())];
    files(scene.project.path(), &mut places);
    search(&places, &["sync"], &scene.secrets());
}

/// A source whose stream is in a namespace that is the value of a variable.
const NAMESPACED: &str = r#"#!/bin/sh
stream='"name":"rows","namespace":"public"'
case $1 in
spec) echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}' ;;
check) echo '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}' ;;
discover) echo "{\"type\":\"CATALOG\",\"catalog\":{\"streams\":[{$stream,\"json_schema\":{},\"supported_sync_modes\":[\"full_refresh\"]}]}}" ;;
read)
  echo '{"type":"RECORD","record":{"stream":"rows","namespace":"public","data":{"a":1},"emitted_at":1}}'
  echo "{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{$stream},\"stream_state\":{\"told\":\"$TOLD\"}}}}"
  echo "{\"type\":\"TRACE\",\"trace\":{\"type\":\"STREAM_STATUS\",\"emitted_at\":1,\"stream_status\":{\"stream_descriptor\":{$stream},\"status\":\"COMPLETE\"}}}" ;;
esac
"#;

#[test]
fn a_plain_variable_may_be_the_name_of_a_schema() {
    let folder = Folder::new();
    let draft = folder.write("draft", NAMESPACED);
    let source = folder.path().join("source");
    // By another program: nobody else has it open for writing when it starts.
    let mut install = std::process::Command::new("install");
    let install = install.args(["-m", "755"]).arg(draft).arg(&source).status();
    assert!(install.unwrap().success());
    let source = format!("exec:{}", source.display());
    for (variables, code) in [
        (["SCHEMA=public", "TOLD=nothing"], 0),
        // Another secret stays one.
        (["SCHEMA=public", "TOLD=${secret:env:HIDDEN}"], 0),
        (["API_TOKEN=public", "TOLD=nothing"], 3),
        (["SCHEMA=${secret:env:NAMED}", "TOLD=nothing"], 3),
    ] {
        let mut command = folder.lockgate();
        command.env("HIDDEN", URL).env("NAMED", "public");
        command.args(["sync", "--connection", "c", "--source", &source]);
        command.args(["--destination", "destination-dev-null", "--full-refresh"]);
        let output = command.args(variables.map(|v| format!("--source-env={v}"))).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{variables:?} {text}");
        assert_eq!(text.contains("SECRET_IN_NAME"), code == 3, "{variables:?} {text}");
        let states = folder.lockgate().args(["state", "show", "c"]).output().unwrap().stdout;
        let states = String::from_utf8(states).unwrap();
        assert!(
            states.contains(r#""namespace": "public""#)
                || states.contains(r#""namespace":"public""#),
            "{states}"
        );
        assert!(!states.contains(URL), "{states}");
    }
}

#[test]
fn a_program_can_give_the_values_itself() {
    use lockgate::executor::GivenSecrets;
    use lockgate::protocol::Json;
    let given = |values: &[(&str, &str)]| {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
        std::sync::Arc::new(GivenSecrets::new(values.collect()))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let check = |host: lockgate::Host| {
        let config = Json::parse(
            r#"{"mode":"leak","by":"failure","during":"check","members":["/p"],"p":"${secret:exec:touch ran}"}"#,
        );
        let source = guest("misbehaving-source");
        let source = host
            .get_source(source.to_str().unwrap(), &Default::default(), config.unwrap())
            .unwrap();
        let said = runtime.block_on(source.check()).unwrap_err();
        assert!(!format!("{said:?} {source:?}").contains("hunter2"));
        said.to_string()
    };
    let folder = Folder::new();
    let host = || lockgate::Host::new().in_folder(folder.path());
    let said = check(host().with_secrets(given(&[("exec:touch ran", "hunter2")])));
    assert!(said.contains("before***after"), "{said}");
    assert!(check(host().with_secrets(given(&[]))).contains("it was not given"));
    assert!(!folder.path().join("ran").exists());
}
