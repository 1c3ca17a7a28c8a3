//! Who the server is and who we are: certificates and passwords, against a server of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::common::fixture;
use crate::scene::{Scene, Written};
use crate::server::Postgres;

/// A server that is stopped and removed with it.
struct Server {
    folder: tempfile::TempDir,
    postgres: Postgres,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // The server's user gets there.
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), mode).expect("a mode");
        let output = Self::script(folder.path(), "start").output().expect("the script runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let text = String::from_utf8(output.stdout).expect("text");
        let url = text.trim().strip_prefix("LOCKGATE_TEST_POSTGRES=").expect("where it is");
        Self { postgres: Postgres::at(url), folder }
    }

    fn script(folder: &std::path::Path, what: &str) -> Command {
        let mut command = Command::new(fixture("../scripts/postgres"));
        command.arg(what).env("CARGO_TARGET_DIR", folder).env_remove("LOCKGATE_TEST_POSTGRES");
        command
    }

    /// Puts a file beside the server's data, readable by it alone.
    fn put(&self, name: &str, text: &str) {
        let program = format!("base64 -d > {name}");
        let encoded = format!("encode(convert_to($${text}$$, 'UTF8'), 'base64')");
        self.postgres
            .lines(&format!("COPY (SELECT replace({encoded}, E'\\n', '')) TO PROGRAM '{program}'"));
    }

    /// Shows this certificate from now on.
    fn show(&self, certificate: &str, key: &str) {
        self.put("test.crt", certificate);
        self.put("test.key", key);
        for setting in ["ssl_cert_file = 'test.crt'", "ssl_key_file = 'test.key'", "ssl = on"] {
            self.postgres.lines(&format!("ALTER SYSTEM SET {setting}"));
        }
        self.reload();
    }

    /// Reads its settings again, and has read them when this returns.
    fn reload(&self) {
        let loaded = "SELECT extract(epoch FROM pg_conf_load_time())";
        let before = self.postgres.lines(loaded);
        self.postgres.lines("SELECT pg_sleep(0.01); SELECT pg_reload_conf()");
        while self.postgres.lines(loaded) == before {
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = Self::script(self.folder.path(), "stop").output();
        if !std::thread::panicking() {
            assert!(stopped.expect("the script runs").status.success());
        }
    }
}

/// A certificate authority, and a server's certificate and key under it.
struct Authority {
    root: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a certificate").pem();
        Self { root, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, name: &str, key: &KeyPair) -> String {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.signed_by(key, &self.issuer).expect("a certificate").pem()
    }
}

/// A key as many servers have one; `rcgen` makes none.
fn rsa_key() -> KeyPair {
    let output = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .expect("openssl comes with PostgreSQL");
    let text = String::from_utf8(output.stdout).expect("PEM");
    KeyPair::from_pem_and_sign_algo(&text, &rcgen::PKCS_RSA_SHA256).expect("a key")
}

fn check(scene: &Scene) -> Written {
    Written::of(&scene.command(&["check"]).output().expect("lockgate runs"))
}

/// The status that `check` told, and its message.
fn checked(scene: &Scene) -> (String, String) {
    let written = check(scene);
    let status = written.messages.iter().find(|message| message["type"] == "CONNECTION_STATUS");
    let status = &status.unwrap_or_else(|| panic!("a status: {written:?}"))["connectionStatus"];
    let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

#[track_caller]
fn good(scene: &mut Scene, config: Value) {
    scene.config = config;
    assert_eq!(checked(scene).0, "SUCCEEDED", "{}: {}", scene.config, checked(scene).1);
}

#[track_caller]
fn bad(scene: &mut Scene, config: Value, reason: &str) {
    scene.config = config;
    let (status, message) = checked(scene);
    assert_eq!(status, "FAILED", "{}", scene.config);
    assert!(message.contains(reason), "{message}");
}

#[test]
fn a_server_is_known_by_its_certificate_and_we_by_our_password() {
    let server = Server::start();
    let mut scene = Scene::on(Postgres::at(server.postgres.url()));
    without_tls(&mut scene);
    certificates(&server, &mut scene);
    // Where nobody has made anything.
    passwords(&server, &mut Scene::on(Postgres::at(server.postgres.url())));
}

fn without_tls(scene: &mut Scene) {
    good(scene, json!({"sslmode": "disable"}));
    good(scene, json!({"sslmode": "prefer"}));
    bad(scene, json!({"sslmode": "require"}), "has no TLS");
    bad(scene, json!({"sslmode": "verify-full"}), "root_certificate");
    let garbage = json!({"sslmode": "verify-full", "root_certificate": "no PEM"});
    bad(scene, garbage, "root_certificate");
}

fn certificates(server: &Server, scene: &mut Scene) {
    let keys = [
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key"),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key"),
        rsa_key(),
    ];
    let other = Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    for key in keys {
        let authority = Authority::new(&rcgen::PKCS_ECDSA_P384_SHA384);
        let certificate = authority.issue(&server.postgres.host, &key);
        server.show(&certificate, &key.serialize_pem());
        for mode in ["prefer", "require"] {
            good(scene, json!({"sslmode": mode}));
        }
        for mode in ["require", "verify-ca", "verify-full"] {
            good(scene, json!({"sslmode": mode, "root_certificate": authority.root}));
            let wrong = json!({"sslmode": mode, "root_certificate": other.root});
            bad(scene, wrong, "not trusted");
        }
        // Its own certificate does as well, and several are a list.
        let both = format!("{}{certificate}", other.root);
        good(scene, json!({"sslmode": "verify-full", "root_certificate": both}));
    }
    // The right authority and the wrong name.
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    server.show(&other.issue("db.example.com", &key), &key.serialize_pem());
    good(scene, json!({"sslmode": "verify-ca", "root_certificate": other.root}));
    let full = json!({"sslmode": "verify-full", "root_certificate": other.root});
    bad(scene, full, "not trusted");
    // Each algorithm that TLS 1.3 may choose, with rows and not only a greeting.
    server.show(&other.issue(&server.postgres.host, &key), &key.serialize_pem());
    scene.config = json!({"sslmode": "verify-full", "root_certificate": other.root});
    let items = crate::scene::stream("items", &json!({"text": {"type": "string"}}));
    scene.write_rows(&items, &[json!({"text": "x".repeat(3 << 20)})]);
    assert_eq!(scene.texts_of("length(text)", "items"), [(3 << 20).to_string()]);
    // The server may have no TLS 1.3, and nothing falls back.
    server.postgres.lines("ALTER SYSTEM SET ssl_max_protocol_version = 'TLSv1.2'");
    server.reload();
    bad(scene, json!({"sslmode": "prefer"}), "TLS 1.3");
    server.postgres.lines("ALTER SYSTEM RESET ssl_max_protocol_version");
    server.reload();
}

fn passwords(server: &Server, scene: &mut Scene) {
    for (role, encryption, method) in [
        ("by_scram", "scram-sha-256", "scram-sha-256"),
        ("by_md5", "md5", "md5"),
        ("by_clear", "md5", "password"),
    ] {
        server.postgres.lines(&format!(
            "SET password_encryption = '{encryption}'; CREATE ROLE {role} LOGIN PASSWORD 'hunter2 ü'"
        ));
        let line = format!("host all {role} all {method}");
        // It takes what COPY writes, or COPY may find nobody there.
        let program = format!("cat >/dev/null && sed -i \"1i {line}\" pg_hba.conf");
        server.postgres.lines(&format!("COPY (SELECT 1) TO PROGRAM $${program}$$"));
        let database = &scene.database;
        server.postgres.lines(&format!("GRANT ALL ON DATABASE {database} TO {role}"));
    }
    server.reload();
    let right = |role: &str, more: Value| {
        let mut config = json!({"username": role, "password": "hunter2 ü", "schema": "fresh"});
        for (name, value) in more.as_object().expect("members") {
            config[name] = value.clone();
        }
        config
    };
    good(scene, right("by_scram", json!({})));
    let wrong = json!({"username": "by_scram", "password": "hunter3"});
    bad(scene, wrong, "password authentication failed");
    assert!(!format!("{:?}", check(scene)).contains("hunter3"));
    bad(scene, json!({"database": "nowhere"}), "does not exist");
    for role in ["by_md5", "by_clear"] {
        bad(scene, right(role, json!({})), "not encrypted");
        good(scene, right(role, json!({"allow_unsafe_password": true})));
        good(scene, right(role, json!({"sslmode": "require"})));
    }
    // Nobody may write there.
    let schema = json!({"username": "by_scram", "password": "hunter2 ü", "schema": "public"});
    bad(scene, schema, "permission denied");
    // A check leaves nothing.
    assert_eq!(scene.lines("SELECT to_regnamespace('fresh') IS NULL"), ["t"]);
}
