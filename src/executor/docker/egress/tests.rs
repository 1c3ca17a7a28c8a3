//! Real sockets and real programs: curl, Python and a JVM, told of the proxy by their environment.

mod limits;
mod requests;
mod scene;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use self::scene::{Scene, Server, ok};

/// What a program prints, that has the environment of the proxy and nothing else of it.
fn run(scene: &Scene, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .envs(scene.egress().environment())
        .output()
        .unwrap_or_else(|e| panic!("{program} is needed here: {e}"));
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

#[test]
fn curl_finds_its_way() {
    let web = Server::http(|_| ok("hello"));
    let scene = Scene::new(&[&format!("api.example:{}", web.port)]).here("api.example").start();
    let (proxy, granted) = (scene.at(), format!("http://api.example:{}/x", web.port));
    let (tunnel, plain) = (["-p", "--proxy"], format!("http://{proxy}"));
    for way in [
        &["--socks5-hostname", &proxy][..],
        &["--socks4a", &proxy],
        &["--proxy", &plain],
        &[tunnel[0], tunnel[1], &plain],
        &[],
    ] {
        let all = [&["-sS", "--max-time", "60"], way, &[granted.as_str()]].concat();
        assert_eq!(run(&scene, "curl", &all), "hello", "{way:?}");
        let closed = [&["-sS", "--max-time", "60"], way, &["http://other.example/x"]].concat();
        let said = run(&scene, "curl", &closed);
        assert!(!said.contains("hello") && !said.is_empty(), "{way:?}: {said}");
    }
    let said = run(&scene, "curl", &["-sS", "--max-time", "60", "http://other.example/x"]);
    assert!(said.contains("--allow-net other.example:80 would grant it"), "{said}");
    assert_eq!(scene.asked(), vec!["api.example"; 5], "a name that is not granted was looked up");
    assert_eq!(web.seen().len(), 5);
    assert!(web.seen().iter().all(|head| head.starts_with("GET /x HTTP/1.1\r\n")));
}

#[test]
fn python_finds_its_way() {
    const READ: &str = "
import sys, urllib.request, urllib.error
for url in sys.argv[1:]:
    try:
        data = b'body' if url.endswith('post') else None
        print(urllib.request.urlopen(url, data, timeout=60).read().decode())
    except urllib.error.HTTPError as e:
        print(e.code, e.read().decode().strip())
    except Exception as e:
        print(e)
";
    let web = Server::http(|head| ok(if head.starts_with("POST") { "taken" } else { "hello" }));
    let scene = Scene::new(&[&format!("localhost:{}", web.port)]).here("localhost").start();
    let at = |host: &str, path: &str| format!("http://{host}:{}/{path}", web.port);
    let urls = [
        at("localhost", ""),
        at("localhost", "post"),
        at("127.0.0.2", ""),
        at("other.example", ""),
        "https://other.example/".to_owned(),
    ];
    let said =
        run(&scene, "python3", &["-c", READ, &urls[0], &urls[1], &urls[2], &urls[3], &urls[4]]);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[..2], ["hello", "taken"], "{said}");
    assert!(lines[2].starts_with("403 ") && lines[2].contains("[loopback-range]"), "{said}");
    assert!(lines[3].starts_with("403 ") && lines[3].contains("[not-granted]"), "{said}");
    assert!(lines[4].contains("403"), "{said}");
    assert_eq!(scene.asked(), ["localhost", "localhost"]);
}

/// As in a container: no name server, and a hosts file that knows `localhost`.
fn java(scene: &Scene, steps: &[String]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    let hosts = format!("-Djdk.net.hosts.file={}", hosts.display());
    let reach = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/egress/Reach.java");
    let jar = "/usr/share/java/postgresql.jar";
    assert!(Path::new(jar).exists(), "{jar} is needed here: libpostgresql-jdbc-java");
    let reach = reach.display().to_string();
    let mut arguments = vec!["-cp", jar, &hosts, &reach];
    arguments.extend(steps.iter().map(String::as_str));
    let said = run(scene, "java", &arguments);
    let lines: Vec<_> = said.lines().filter(|line| !line.starts_with("Picked up ")).collect();
    assert_eq!(lines.len(), steps.len(), "{said}");
    lines.into_iter().map(str::to_owned).collect()
}

#[test]
fn a_jvm_finds_its_way() {
    let web = Server::http(|head| ok(if head.starts_with("POST") { "taken" } else { "hello" }));
    let plain = Server::start(|mut stream| {
        let _ = stream.write_all(b"a greeting");
        String::new()
    });
    // A database that lets nobody in, in the words of PostgreSQL.
    let database = Server::start(|mut stream| {
        let mut startup = [0; 512];
        let _ = stream.read(&mut startup);
        let fields = b"SFATAL\0C28000\0Mnobody is let in\0\0";
        let mut answer = vec![b'E', 0, 0, 0, u8::try_from(fields.len() + 4).unwrap()];
        answer.extend(fields);
        let _ = stream.write_all(&answer);
        String::new()
    });
    let (web, plain, database) = (web.port, plain.port, database.port);
    let grants = [
        format!("api.example:{web}"),
        format!("localhost:{web}"),
        format!("tcp.example:{plain}"),
        format!("localhost:{plain}"),
        format!("db.example:{database}"),
    ];
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let scene = ["api.example", "localhost", "tcp.example", "db.example"]
        .iter()
        .fold(Scene::new(&grants), |scene, name| scene.here(name))
        .start();
    let said = java(
        &scene,
        &[
            format!("url http://api.example:{web}/"),
            format!("url http://api.example:{web}/ a-body-in-chunks"),
            format!("url http://localhost:{web}/"),
            format!("client http://api.example:{web}/"),
            format!("socket tcp.example {plain}"),
            format!("socket localhost {plain}"),
            format!(
                "jdbc jdbc:postgresql://db.example:{database}/x?user=u&password=p&sslmode=disable"
            ),
            format!("url http://other.example:{web}/"),
            "url https://other.example/".to_owned(),
            format!("client http://other.example:{web}/"),
            "client https://other.example/".to_owned(),
            format!("socket other.example {plain}"),
            format!("socket 127.0.0.1 {database}"),
            "jdbc jdbc:postgresql://other.example/x?user=u&password=p".to_owned(),
        ],
    );
    let granted = ["200 hello", "200 taken", "200 hello", "200 hello", "a greeting", "a greeting"];
    assert_eq!(said[..6], granted, "{said:#?}");
    assert!(said[6].contains("nobody is let in"), "{said:#?}");
    for (at, wanted) in [
        (7, "would grant it"),
        (8, "403"),
        (9, "403 lockgate: other.example"),
        (10, "failed: "),
        (11, "failed: java.net.SocketException"),
        (12, "failed: java.net.SocketException"),
        (13, "failed: org.postgresql"),
    ] {
        assert!(said[at].contains(wanted), "{at}: {wanted}: {said:#?}");
    }
    let asked = scene.asked();
    assert!(!asked.contains(&"other.example".to_owned()), "{asked:?}");
    for name in ["api.example", "localhost", "tcp.example", "db.example"] {
        assert!(asked.contains(&name.to_owned()), "{name} in {asked:?}");
    }
    // Refused by us, and not by a name server that is not there.
    scene.assert_denied(&format!("other.example:{plain}"), "not-granted");
    scene.assert_denied("other.example:5432", "not-granted");
    scene.assert_denied("other.example:443", "not-granted");
}
