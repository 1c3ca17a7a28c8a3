//! What exactly is made of a name and options.

use std::path::{Path, PathBuf};

use lockgate::component::Kind;
use lockgate::connector::resolve::resolve;
use lockgate::connector::{Choice, Method};
use lockgate::executor::{DockerSettings, Interpreter, PythonSettings};
use lockgate::fault::Fault;
use lockgate::protocol::Json;
use lockgate::{ConnectorOptions, DockerImage, LocalExecutable, UsePython};

use crate::world::{Found, World};

fn choose(name: &str, options: &ConnectorOptions, found: Found) -> Result<Choice, String> {
    resolve(name, options, None, &World::new(found))
        .map_err(|error| format!("[{}] {error}", error.code()))
}

fn docker(name: &str, options: &ConnectorOptions, found: Found) -> DockerSettings {
    match choose(name, options, found).unwrap().method {
        Method::Docker(settings) => settings,
        other => panic!("{name}: {other:?}"),
    }
}

fn python(name: &str, options: &ConnectorOptions, found: Found) -> PythonSettings {
    match choose(name, options, found).unwrap().method {
        Method::Python(settings) => settings,
        other => panic!("{name}: {other:?}"),
    }
}

fn image(named: &str) -> ConnectorOptions {
    let docker_image = DockerImage::parse(named).unwrap();
    ConnectorOptions { docker_image, ..Default::default() }
}

fn with_version(version: &str, options: ConnectorOptions) -> ConnectorOptions {
    ConnectorOptions { version: Some(version.into()), ..options }
}

fn on_python(use_python: UsePython) -> ConnectorOptions {
    ConnectorOptions { use_python: Some(use_python), ..Default::default() }
}

#[test]
fn images() {
    let of = |name: &str, options: &ConnectorOptions| docker(name, options, Found::Nowhere).image;
    let plain = ConnectorOptions::default();
    assert_eq!(of("source-x", &image("true")), "airbyte/source-x:latest");
    assert_eq!(of("source-x", &with_version("1.2", image("true"))), "airbyte/source-x:1.2");
    assert_eq!(of("source-x", &with_version("latest", image("true"))), "airbyte/source-x:latest");
    assert_eq!(of("source-x", &image("acme/y")), "acme/y:latest");
    assert_eq!(of("source-x", &image("acme/y:3")), "acme/y:3");
    // The port of a registry is no tag.
    assert_eq!(of("source-x", &image("localhost:5000/y")), "localhost:5000/y:latest");
    assert_eq!(of("s", &with_version("2", image("localhost:5000/y"))), "localhost:5000/y:2");
    assert_eq!(of("source-x", &image("y@sha256:00")), "y@sha256:00");
    assert_eq!(of("docker:acme/y", &plain), "acme/y:latest");
    assert_eq!(of("docker:acme/y", &with_version("2", plain.clone())), "acme/y:2");
    // Not Python means Docker, and an image that is named stays the one.
    let off = on_python(UsePython::False);
    assert_eq!(of("source-x", &off), "airbyte/source-x:latest");
    assert_eq!(of("source-x", &with_version("1", off.clone())), "airbyte/source-x:1");
    let both = ConnectorOptions { use_python: Some(UsePython::False), ..image("my/img:1") };
    assert_eq!(of("source-x", &both), "my/img:1");
    assert_eq!(of("docker:my/img:1", &off), "my/img:1");
    // Nor does it matter what is on PATH.
    assert_eq!(docker("source-x", &off, Found::Program).image, "airbyte/source-x:latest");
    for digest in ["y@sha256:00", "localhost:5000/y@sha256:00", "y:1"] {
        let refused = choose("s", &with_version("2", image(digest)), Found::Nowhere).unwrap_err();
        assert!(refused.contains("version and docker-image exclude each other"), "{refused}");
    }
}

#[test]
fn containers() {
    let settings = docker("source-x", &image("true"), Found::Nowhere);
    let closed = DockerSettings {
        image: "airbyte/source-x:latest".into(),
        writable_root: false,
        pull: true,
    };
    assert_eq!(settings, closed);
    let open = ConnectorOptions {
        use_host_network: true,
        docker_local: Some("data".into()),
        docker_writable_root: true,
        install_if_missing: Some(false),
        ..image("true")
    };
    let wanted = DockerSettings { writable_root: true, pull: false, ..closed };
    assert_eq!(docker("source-x", &open, Found::Nowhere), wanted);
    // The rest is what it is granted.
    let granted = |options: &ConnectorOptions| {
        let policy = options.policy(Path::new("/project"), &Json::empty_object()).unwrap();
        (policy.host_network, policy.local)
    };
    assert_eq!(granted(&image("true")), (false, None));
    assert_eq!(granted(&open), (true, Some("/project/data".into())));
}

#[test]
fn packages() {
    let of = |name: &str, options: &ConnectorOptions, found| {
        python(name, options, found).requirement.join(" ")
    };
    let yes = on_python(UsePython::True);
    let pinned = with_version("1.2.3", yes.clone());
    assert_eq!(of("source-x", &yes, Found::Package), "registered-source-x");
    assert_eq!(of("source-x", &pinned, Found::Package), "registered-source-x==1.2.3");
    assert_eq!(of("source-x", &pinned, Found::Nowhere), "airbyte-source-x==1.2.3");
    assert_eq!(of("source-x", &pinned, Found::Off), "airbyte-source-x==1.2.3");
    let latest = with_version("latest", yes.clone());
    assert_eq!(of("source-x", &latest, Found::Package), "registered-source-x");
    // A program on PATH is not what was asked for.
    assert_eq!(of("source-x", &yes, Found::Program), "airbyte-source-x");
    let bare = with_version("1.2.3", ConnectorOptions::default());
    assert_eq!(of("source-x", &bare, Found::Package), "registered-source-x==1.2.3");
    let words = ConnectorOptions {
        pip_url: Some("'my-x @ https://h.example/x.zip' --no-deps".into()),
        ..Default::default()
    };
    let settings = python("source-x", &words, Found::Silent);
    assert_eq!(settings.requirement, ["my-x @ https://h.example/x.zip", "--no-deps"]);
    let refused = choose("source-x", &yes, Found::Image).unwrap_err();
    assert!(refused.starts_with("[PYTHON_NOT_PUBLISHED]") && refused.contains("java"), "{refused}");
    let refused = choose("source-x", &yes, Found::Silent).unwrap_err();
    assert!(refused.contains("source-x cannot be looked up"), "{refused}");
}

#[test]
fn environments() {
    let settings = python("pip:airbyte-source-x==1", &ConnectorOptions::default(), Found::Silent);
    let wanted = PythonSettings {
        name: "source-x".into(),
        requirement: vec!["airbyte-source-x==1".into()],
        interpreter: Interpreter::Any,
        root: "/project/.lockgate/python".into(),
        install: true,
    };
    assert_eq!(settings, wanted);
    let options = ConnectorOptions {
        use_python: Some(UsePython::Path("bin/python".into())),
        install_root: Some("envs".into()),
        install_if_missing: Some(false),
        ..Default::default()
    };
    let settings = python("pip:airbyte-source-x==1", &options, Found::Silent);
    let wanted = PythonSettings {
        interpreter: Interpreter::Path("/project/bin/python".into()),
        root: "/project/envs".into(),
        install: false,
        ..wanted
    };
    assert_eq!(settings, wanted);
    let version = on_python(UsePython::Version("3.11".into()));
    let settings = python("source-x", &version, Found::Package);
    assert_eq!(settings.interpreter, Interpreter::Version("3.11".into()));
    for nameless in ["pip:.", "pip:--no-deps", "pip:https://h.example/"] {
        let refused = choose(nameless, &ConnectorOptions::default(), Found::Nowhere).unwrap_err();
        assert!(refused.starts_with("[CONNECTOR_REFERENCE]"), "{nameless}: {refused}");
    }
}

#[test]
fn programs() {
    let local = |program: &str| {
        let local_executable = LocalExecutable::parse(program).unwrap();
        ConnectorOptions { local_executable, ..Default::default() }
    };
    let of = |name: &str, options: &ConnectorOptions| {
        choose(name, options, Found::Nowhere).map(|choice| match choice.method {
            Method::Process(path) => path,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(of("known", &local("true")).unwrap(), Path::new("/usr/bin/known"));
    assert_eq!(of("source-x", &local("known")).unwrap(), Path::new("/usr/bin/known"));
    assert_eq!(of("source-x", &local("./bin/x")).unwrap(), Path::new("/project/./bin/x"));
    assert_eq!(of("exec:/opt/x", &ConnectorOptions::default()).unwrap(), Path::new("/opt/x"));
    // What is not there is said at once.
    for absent in ["true", "unknown", "./missing", "/opt/missing"] {
        let refused = of("source-x", &local(absent)).unwrap_err();
        assert!(refused.starts_with("[CONNECTOR_START] local-executable: "), "{refused}");
    }
    let refused = of("exec:unknown", &ConnectorOptions::default()).unwrap_err();
    assert_eq!(refused, "[CONNECTOR_START] exec:unknown: no program named \"unknown\" is on PATH");
}

#[test]
fn the_order_of_looking() {
    let plain = ConnectorOptions::default();
    let of = |found| choose("source-x", &plain, found).unwrap();
    let component = of(Found::Component);
    assert_eq!(component.method, Method::Component("/project/components/source-x.wasm".into()));
    assert_eq!(component.why, "/project/components has a component of that name");
    assert_eq!(of(Found::Program).method, Method::Process(PathBuf::from("/usr/bin/source-x")));
    assert_eq!(of(Found::Package).method.target(), "registered-source-x");
    let image = of(Found::Image);
    assert_eq!(image.method.target(), "airbyte/source-x:7.0.0");
    assert!(image.why.contains("(java)"), "{}", image.why);
    // What is built in needs no network, and nothing takes its name away.
    for found in [Found::Component, Found::Program, Found::Image, Found::Silent, Found::Off] {
        let world = World::new(found);
        let noop = resolve("destination-dev-null", &plain, None, &world).unwrap();
        assert_eq!((noop.method, world.asked.get()), (Method::Noop, 0), "{found:?}");
    }
    assert_eq!(
        docker("destination-dev-null", &image_of_its_own(), Found::Off).image,
        "airbyte/destination-dev-null:latest"
    );
}

fn image_of_its_own() -> ConnectorOptions {
    image("true")
}

#[test]
fn names_that_nothing_has() {
    let plain = ConnectorOptions::default();
    let of = |name: &str, found| choose(name, &plain, found).unwrap_err();
    assert_eq!(
        of("source-x", Found::Nowhere),
        "[CONNECTOR_UNKNOWN] nothing that can be run is named source-x: no source-x.wasm in \
         /project/components; no program of that name on PATH; the registry has no connector named \
         source-x"
    );
    assert!(of("source-x", Found::Off).ends_with("; the registry is turned off"));
    let silent = of("source-x", Found::Silent);
    assert!(silent.contains("source-x cannot be looked up: "), "{silent}");
    assert!(silent.contains("(before that: no source-x.wasm in"), "{silent}");
    for bad in ["../x", "./x", "a b", ".x", "ä"] {
        let refused = of(bad, Found::Package);
        assert!(refused.starts_with("[CONNECTOR_REFERENCE]"), "{bad}: {refused}");
    }
    // A name that an option explains may be any text; one that becomes a part of others may not.
    let named = choose("My shop", &image("acme/x"), Found::Nowhere).unwrap();
    assert_eq!(named.method.target(), "acme/x:latest");
    assert!(choose("My shop", &image("true"), Found::Nowhere).is_err());
    assert!(choose("../x", &on_python(UsePython::True), Found::Nowhere).is_err());
    let registered = ConnectorOptions { no_executor: true, ..Default::default() };
    assert!(choose("../x", &registered, Found::Nowhere).is_err());
}

#[test]
fn no_executor() {
    let options = ConnectorOptions { no_executor: true, ..Default::default() };
    let of = |options: &ConnectorOptions| choose("source-x", options, Found::Nowhere).unwrap();
    let registered = |version: Option<&str>| Method::Registered {
        name: "source-x".into(),
        version: version.map(str::to_owned),
    };
    assert_eq!(of(&options).method, registered(None));
    assert_eq!(of(&with_version("1.2", options.clone())).method, registered(Some("1.2")));
    assert_eq!(of(&with_version("latest", options.clone())).method, registered(None));
    let refused = choose("source-x", &options, Found::Off).unwrap_err();
    assert!(refused.starts_with("[REGISTRY_OFF] no-executor needs the registry"), "{refused}");
}

#[test]
fn a_source_is_no_destination() {
    let plain = ConnectorOptions::default();
    for found in [Found::Package, Found::Image] {
        let wanted = Some(Kind::Destination);
        let refused = resolve("source-x", &plain, wanted, &World::new(found)).unwrap_err();
        assert_eq!(refused.code(), "CONNECTOR_KIND");
        resolve("source-x", &plain, Some(Kind::Source), &World::new(found)).unwrap();
    }
}

#[test]
fn versions_and_images_are_one_word() {
    for version in ["", "1 --index-url http://h.example", "1;x", "latest/../x", "-1"] {
        let options = with_version(version, on_python(UsePython::True));
        let refused = choose("source-x", &options, Found::Nowhere).unwrap_err();
        assert!(refused.starts_with("[CONFIG_SETTING] version: "), "{refused}");
    }
    let options = ConnectorOptions {
        docker_image: Some(DockerImage::Named("--privileged".into())),
        ..Default::default()
    };
    assert!(choose("source-x", &options, Found::Nowhere).is_err());
    assert!(choose("docker:--privileged", &ConnectorOptions::default(), Found::Nowhere).is_err());
}
