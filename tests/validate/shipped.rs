//! The connectors that come with Lockgate keep every rule that can be tried on them: sources and
//! destinations of `connectors.toml`, and the examples in three languages.

use super::common::{Folder, fixture, guest, target};
use super::peers::{executable, installed};
use super::server::Postgres;
use super::{codes, report};
use serde_json::json;

/// A port that nobody answers: components in Python import sockets whether they use them or not.
const NOWHERE: &str = "192.0.2.1:9";

/// No rule is broken, and only those were not tried.
fn keeps_all(folder: &Folder, arguments: &[&str], untried: &[&str]) {
    let (report, code) = report(folder, arguments);
    let connector = arguments[0];
    assert_eq!(codes(&report, "failed"), [""; 0], "{connector}: {report:#}");
    assert_eq!(codes(&report, "skipped"), untried, "{connector}: {report:#}");
    assert_eq!(code, 0, "{connector}");
}

fn component(name: &str) -> String {
    guest(name).to_str().unwrap().to_owned()
}

/// A destination that writes to a granted directory, whose files are read back.
fn writes_files(name: &str, config: &serde_json::Value, more: &[&str], untried: &[&str]) {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let (component, config) = (component(name), config.to_string());
    let mut arguments = vec![&*component, "--config", &config, "--allow-dir", "out::/out"];
    arguments.extend(["--read-back", "files:out"]);
    arguments.extend(more);
    keeps_all(&folder, &arguments, untried);
}

#[test]
fn destination_file_of_json_lines() {
    writes_files(
        "destination-file",
        &json!({"path": "/out"}),
        &[],
        &["WRITE_STATE_WHOLE", "WRITE_DEDUP"],
    );
}

#[test]
fn destination_file_of_parquet() {
    let config = json!({"path": "/out", "format": "parquet"});
    writes_files("destination-file", &config, &[], &["WRITE_STATE_WHOLE", "WRITE_DEDUP"]);
}

#[test]
fn the_destinations_of_authors() {
    for (name, more) in [
        ("destination-append", &[][..]),
        ("destination-append-python", &["--allow-net", NOWHERE]),
        ("destination-append-javascript", &[]),
    ] {
        let untried = [
            "WRITE_STATE_WHOLE",
            "WRITE_OVERWRITE",
            "WRITE_DEDUP",
            "WRITE_INTERRUPTED",
            "REFRESH_RESUME",
        ];
        writes_files(name, &json!({"path": "/out"}), more, &untried);
    }
}

/// Its objects are read back by the manifests, with AWS's own client.
#[test]
fn destination_s3() {
    #[expect(clippy::disallowed_methods, reason = "where the services of the tests are")]
    let endpoint = std::env::var("LOCKGATE_TEST_S3").unwrap();
    let bucket = format!("validated-{}", std::process::id());
    ureq::put(format!("{endpoint}/{bucket}")).send_empty().unwrap();
    let folder = Folder::new();
    let config = json!({
        "endpoint": endpoint, "region": "us-east-1", "bucket": bucket,
        "access_key_id": "id-of-tests", "secret_access_key": "t0ps3cret",
    });
    let config = folder.write("config.json", &config.to_string());
    let component = component("destination-s3");
    let net = endpoint.trim_start_matches("http://");
    let config = config.to_str().unwrap();
    let script = fixture("validate/s3_source.py");
    let python = installed("moto", "python");
    let client = target().join("test-connectors/moto");
    let text = format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", python.display(), script.display());
    let reader = format!("exec:{}", executable(&folder, "source-s3", &text).display());
    let readable =
        [&*client, script.parent().unwrap()].map(|folder| format!("{}:ro", folder.display()));
    let mut arguments = vec![&*component, "--config", config, "--allow-net", net];
    arguments.extend(["--read-back", &reader, "--read-back-config", config]);
    arguments.extend(["--read-back-allow-net", net]);
    for folder in &readable {
        arguments.extend(["--read-back-allow-dir", folder]);
    }
    keeps_all(&folder, &arguments, &["WRITE_STATE_WHOLE", "WRITE_DEDUP"]);
}

#[test]
fn destination_postgres() {
    let server = Postgres::of_tests();
    let schema = server.schema();
    let folder = Folder::new();
    let config = json!({
        "host": server.host, "port": server.port, "database": server.database,
        "username": server.user, "password": server.password, "schema": schema,
        "sslmode": "disable",
    });
    let config = folder.write("config.json", &config.to_string());
    let net = format!("{}:{}", server.host, server.port);
    let read_back = format!("postgres:{}", server.url());
    let arguments = [
        &*component("destination-postgres"),
        "--config",
        config.to_str().unwrap(),
        "--allow-net",
        &net,
        "--read-back",
        &read_back,
    ];
    keeps_all(&folder, &arguments, &["WRITE_STATE_WHOLE", "WRITE_UNLISTED"]);
}

#[test]
fn source_postgres() {
    let server = Postgres::of_tests();
    let schema = server.schema();
    server.lines(&format!(
        "create schema \"{schema}\";
         create table \"{schema}\".orders (id bigint primary key, at timestamptz not null, note text);
         insert into \"{schema}\".orders select n, '2024-01-01T00:00:00Z'::timestamptz + n * interval '1 minute',
             case when n % 3 = 0 then null else 'note ' || n end from generate_series(1, 500) n;"
    ));
    let folder = Folder::new();
    let config = json!({
        "host": server.host, "port": server.port, "database": server.database,
        "username": server.user, "password": server.password, "schemas": [schema],
        "sslmode": "disable", "fetch_size": 100,
    });
    let config = folder.write("config.json", &config.to_string());
    let catalog = json!({"streams": [{
        "stream": {
            "name": "orders", "namespace": schema,
            "json_schema": {"type": "object", "properties": {
                "id": {"type": "integer"}, "at": {"type": "string"}, "note": {"type": ["null", "string"]},
            }},
            "supported_sync_modes": ["full_refresh", "incremental"],
        },
        "sync_mode": "incremental", "destination_sync_mode": "append", "cursor_field": ["at"],
        "primary_key": [["id"]],
    }]});
    let catalog = folder.write("catalog.json", &catalog.to_string());
    let future = json!([{"type": "STREAM", "stream": {
        "stream_descriptor": {"name": "orders", "namespace": schema},
        "stream_state": {
            "kind": "cursor", "field": "at", "value": "2999-01-01 00:00:00+00", "count": 1,
        },
    }}]);
    let future = folder.write("future.json", &future.to_string());
    let net = format!("{}:{}", server.host, server.port);
    let arguments = [
        &*component("source-postgres"),
        "--config",
        config.to_str().unwrap(),
        "--catalog",
        catalog.to_str().unwrap(),
        "--future-state",
        future.to_str().unwrap(),
        "--allow-net",
        &net,
    ];
    keeps_all(&folder, &arguments, &["READ_COUNTS"]);
    server.lines(&format!("drop schema \"{schema}\" cascade"));
}
