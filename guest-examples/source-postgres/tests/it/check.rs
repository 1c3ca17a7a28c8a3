//! What fails is named, and how it is mended.

use lockgate_sdk::{FailureKind, source};
use serde_json::{Value, json};
use source_postgres::Postgres;

use crate::scene::Scene;

#[test]
fn what_can_be_read_is_approved() {
    let mut scene = Scene::new("CREATE TABLE t (id integer)");
    for tables in [Value::Null, json!(["t"]), json!([format!("{}.t", scene.schema)])] {
        scene.config = json!({ "tables": tables });
        assert_eq!(source::check::<Postgres>(&scene.config()), Ok(()));
    }
}

#[test]
fn what_fails_is_named() {
    let mut scene = Scene::new("CREATE TABLE t (id integer)");
    let role = format!("{}_role", scene.schema);
    scene.lines(&format!("CREATE ROLE {role} LOGIN PASSWORD 'right'"));
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = listener.local_addr().expect("an address").port();
    drop(listener);
    use FailureKind::{Config, Transient};
    for (config, kind, said) in [
        (
            json!({"host": "no-such-host.invalid"}),
            Transient,
            &["no-such-host.invalid", "--allow-net"][..],
        ),
        (json!({"port": free}), Transient, &["cannot connect", &free.to_string()]),
        (json!({"username": role, "password": "wrong"}), Config, &["28P01", &role]),
        (json!({"database": "no_such_database"}), Config, &["no_such_database", "3D000"]),
        (json!({"schemas": ["no_such_schema"]}), Config, &["no_such_schema", "`schemas`"]),
        (json!({"username": role, "password": "right"}), Config, &["GRANT USAGE ON SCHEMA", &role]),
        (json!({"tables": ["t", "no_such_table"]}), Config, &["no_such_table", "`tables`"]),
        (json!({"sslmode": "require"}), Config, &["sslmode", "TLS"]),
        (json!({"sslmode": "verify-full"}), Config, &["root_certificate"]),
        (json!({"schemas": []}), Config, &["`schemas`"]),
        (json!({"tables": []}), Config, &["`tables`"]),
        (json!({"tables": [""]}), Config, &["`tables`"]),
        (json!({"fetch_size": 0}), Config, &["`fetch_size`"]),
        (json!({"chunk_pages": 0}), Config, &["`chunk_pages`"]),
        (json!({"host": "a\0b"}), Config, &["`host`"]),
        (json!({"nonsense": 1}), Config, &["nonsense"]),
    ] {
        scene.config = config.clone();
        let failure = scene.refusal();
        assert_eq!(failure.kind, kind, "{config}: {failure:?}");
        for word in said {
            assert!(failure.message.contains(word), "{config}: {}", failure.message);
        }
        assert!(!format!("{failure:?}").contains("wrong"), "{failure:?}");
    }
    scene.config = json!({});
    scene.run("CREATE SCHEMA IF NOT EXISTS x; DROP SCHEMA x; DROP TABLE t");
    let failure = scene.refusal();
    assert!(failure.message.contains("GRANT SELECT"), "{}", failure.message);
    scene.lines(&format!("DROP ROLE {role}"));
}

#[test]
fn the_specification_asks_for_the_server_only() {
    let spec = source::spec::<Postgres>();
    assert_eq!(spec.name, "source-postgres");
    assert_eq!(spec.needs.len(), 1);
    assert_eq!(spec.needs[0].pattern, "${host}:${port}");
    let schema: Value = serde_json::from_str(&spec.config_schema).expect("JSON");
    assert_eq!(schema["properties"]["password"]["airbyte_secret"], true);
    assert_eq!(schema["required"], json!(["host", "database", "username"]));
}
