//! The tables of `docs/connectors.md`, cell by cell.

use std::collections::BTreeSet;

use lockgate::connector::resolve::resolve;
use lockgate::connector::{Method, ResolveError};
use lockgate::fault::{ExitClass, Fault};
use lockgate::{ConnectorOptions, DockerImage, LocalExecutable, UsePython};

use crate::world::{Found, World};

type Set = fn(&mut ConnectorOptions);

/// Every option, as the table has it, with a value. Two of one option are no pair.
const OPTIONS: &[(&str, Set)] = &[
    ("version", |o| o.version = Some("1.2.3".into())),
    ("use-python", |o| o.use_python = Some(UsePython::Version("3.11".into()))),
    ("use-python = false", |o| o.use_python = Some(UsePython::False)),
    ("pip-url", |o| o.pip_url = Some("my-package==1".into())),
    ("local-executable", |o| o.local_executable = Some(LocalExecutable::Named("bin/x".into()))),
    ("docker-image", |o| o.docker_image = Some(DockerImage::Named("localhost:5000/x".into()))),
    ("docker-image with a tag", |o| o.docker_image = Some(DockerImage::Named("acme/x:1".into()))),
    ("component", |o| o.component = Some("x.wasm".into())),
    ("no-executor", |o| o.no_executor = true),
    ("use-host-network", |o| o.use_host_network = true),
    ("docker-local", |o| o.docker_local = Some("local".into())),
    ("docker-writable-root", |o| o.docker_writable_root = true),
    ("install-if-missing", |o| o.install_if_missing = Some(false)),
    ("install-root", |o| o.install_root = Some("envs".into())),
    ("registry", |o| o.registry = Some("registry.json".into())),
    ("offline", |o| o.offline = true),
];

/// Names that say by their form how they are run.
const NAMES: &[&str] = &[
    "x.wasm",
    "exec:./x",
    "docker:acme/x",
    "docker:acme/x:1",
    "pip:my-package==1",
    "destination-dev-null",
];

/// What a bare name may be found as, in the order of looking.
const FOUND: &[Found] = &[Found::Component, Found::Program, Found::Package, Found::Image];

fn option(label: &str) -> &str {
    label.split(' ').next().unwrap()
}

fn options(labels: &[&str]) -> ConnectorOptions {
    let mut options = ConnectorOptions::default();
    for label in labels {
        OPTIONS.iter().find(|(known, _)| known == label).unwrap().1(&mut options);
    }
    options
}

fn letter(method: &Method) -> char {
    match method {
        Method::Component(_) => 'C',
        Method::Process(_) => 'E',
        Method::Python(_) => 'P',
        Method::Docker(_) => 'D',
        Method::Registered { .. } => 'R',
        Method::Noop => 'N',
    }
}

/// What a name and options come to, whatever the name is found as; and every refusal on the way.
fn outcome(name: &str, labels: &[&str]) -> (String, Vec<(Found, ResolveError)>) {
    let options = options(labels);
    let (mut ways, mut refusals) = (String::new(), Vec::new());
    for found in FOUND {
        match resolve(name, &options, None, &World::new(*found)) {
            Ok(choice) => {
                let letter = letter(&choice.method);
                if !ways.contains(letter) {
                    ways.push(letter);
                }
            }
            Err(error) => refusals.push((*found, error)),
        }
    }
    if ways.is_empty() {
        ways.push('✗');
    }
    (ways, refusals)
}

/// A table of the page, below a heading: rows of cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/connectors.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split(&format!("# {heading}\n")).nth(1).unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>()
    };
    rows.map(cells).collect()
}

fn printed(rows: &[Vec<String>]) -> String {
    rows.iter().map(|cells| format!("| {} |\n", cells.join(" | "))).collect()
}

fn numbered() -> impl Iterator<Item = (usize, &'static str)> {
    OPTIONS.iter().enumerate().map(|(i, (label, _))| (i + 1, *label))
}

/// The rows as they should be, given what each cell comes to.
fn wanted(
    first: &str,
    rows: impl Iterator<Item = (String, Vec<String>)>,
    columns: &[String],
) -> Vec<Vec<String>> {
    let head = [&[first.to_owned()], columns].concat();
    let line = vec!["---".to_owned(); head.len()];
    let rows = rows.map(|(label, cells)| [vec![label], cells].concat());
    [head, line].into_iter().chain(rows).collect()
}

fn is_as_wanted(heading: &str, wanted: &[Vec<String>]) {
    let page = table(heading);
    assert!(
        page == wanted,
        "docs/connectors.md has another table below {heading:?}; the code says\n{}",
        printed(wanted)
    );
}

#[test]
fn every_two_options() {
    let columns: Vec<String> =
        ["alone".to_owned()].into_iter().chain(numbered().map(|(n, _)| n.to_string())).collect();
    let rows = numbered().map(|(number, row)| {
        let cells = numbered().map(|(_, column)| {
            // The same in both orders, so one half of the table says it.
            let said = numbered().position(|(_, c)| c == column).unwrap() + 1 < number;
            if !said || option(row) == option(column) {
                return String::new();
            }
            let (cell, _) = outcome("source-x", &[row, column]);
            assert_eq!(cell, outcome("source-x", &[column, row]).0);
            cell
        });
        let cells = [outcome("source-x", &[row]).0].into_iter().chain(cells);
        (format!("{number} {row}"), cells.collect())
    });
    is_as_wanted("Every option, and every two", &wanted("option", rows, &columns));
}

#[test]
fn every_name_and_option() {
    let columns: Vec<String> =
        ["alone".to_owned()].into_iter().chain(numbered().map(|(n, _)| n.to_string())).collect();
    let rows = NAMES.iter().map(|name| {
        let cells = numbered().map(|(_, column)| outcome(name, &[column]).0);
        let cells = [outcome(name, &[]).0].into_iter().chain(cells);
        ((*name).to_owned(), cells.collect())
    });
    is_as_wanted("Names that say how they are run", &wanted("name", rows, &columns));
}

/// Whether an option alone is taken where a name is found so.
fn alone(name: &str, label: &str, found: Found) -> bool {
    resolve(name, &options(&[label]), None, &World::new(found)).is_ok()
}

#[test]
fn every_refusal_names_both() {
    let mut said = BTreeSet::new();
    let mut text = String::new();
    let mut tell = |what: String, error: &ResolveError| {
        assert_eq!(error.exit(), ExitClass::Usage, "{what}: {error}");
        assert!(error.hint().is_some(), "{what}: {error}");
        let line = format!("{what}: [{}] {error}\n", error.code());
        if said.insert(line.clone()) {
            text.push_str(&line);
        }
    };
    for (_, label) in numbered() {
        for (_, error) in outcome("source-x", &[label]).1 {
            assert!(error.to_string().contains(option(label)), "{label}: {error}");
            tell(label.to_owned(), &error);
        }
    }
    for (number, row) in numbered() {
        for (_, column) in numbered().take(number - 1) {
            if option(row) == option(column) {
                continue;
            }
            let (cell, refusals) = outcome("source-x", &[column, row]);
            for (found, error) in refusals {
                let both = alone("source-x", row, found) && alone("source-x", column, found);
                // Where one alone is refused for what the name is found as, it still is.
                if both || cell == "✗" {
                    let message = error.to_string();
                    assert_eq!(error.code(), "OPTIONS_CONFLICT", "{row}, {column}: {error}");
                    assert!(message.contains(option(row)), "{row}, {column}: {message}");
                    assert!(message.contains(option(column)), "{row}, {column}: {message}");
                    tell(format!("{column}, {row}"), &error);
                }
            }
        }
    }
    for name in NAMES {
        for (_, label) in numbered() {
            for (_, error) in outcome(name, &[label]).1 {
                let message = error.to_string();
                // What the registry has as an image only is no package.
                if error.code() != "PYTHON_NOT_PUBLISHED" {
                    assert_eq!(error.code(), "OPTIONS_CONFLICT", "{name}, {label}: {error}");
                }
                assert!(message.contains(option(label)), "{name}, {label}: {message}");
                let named = name.split(':').next().unwrap();
                assert!(message.contains(named), "{name}, {label}: {message}");
                tell(format!("{name}, {label}"), &error);
            }
        }
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("../snapshots");
    settings.bind(|| insta::assert_snapshot!("options_in_conflict", text));
}

#[test]
fn the_registry_is_asked_only_when_needed() {
    for (_, label) in numbered() {
        for found in FOUND {
            let world = World::new(*found);
            let _ = resolve("source-x", &options(&[label]), None, &world);
            let says = [
                "use-python = false",
                "pip-url",
                "local-executable",
                "docker-image",
                "docker-image with a tag",
                "component",
                "no-executor",
            ];
            let nearer = matches!(found, Found::Component | Found::Program);
            let needed = match label {
                // The package's name is in the registry.
                "use-python" => 1,
                _ => u32::from(!says.contains(&label) && !nearer),
            };
            assert_eq!(world.asked.get(), needed, "{label}, {found:?}");
        }
    }
    for name in NAMES {
        let world = World::new(Found::Nowhere);
        resolve(name, &ConnectorOptions::default(), None, &world).unwrap();
        assert_eq!(world.asked.get(), 0, "{name}");
    }
}

/// Every field of the options is in the tables, or says what is granted.
#[test]
fn no_option_is_forgotten() {
    let all = format!("{:?}", ConnectorOptions::default());
    let fields: Vec<&str> = all
        .trim_start_matches("ConnectorOptions {")
        .split(',')
        .filter_map(|field| Some(field.split_once(':')?.0.trim()))
        .collect();
    let grants = [
        "allow_dir",
        "env",
        "allow_net",
        "allow_any_network",
        "tls_root",
        "sandbox",
        "limit",
        "allow_missing_needs",
        "max_memory",
        "timeout",
    ];
    for field in fields {
        let known = OPTIONS.iter().any(|(label, _)| option(label) == field.replace('_', "-"));
        assert!(known != grants.contains(&field), "{field} is in no table");
    }
}
