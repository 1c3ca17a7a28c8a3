//! From one system to another by the connectors that come with Lockgate: PostgreSQL to PostgreSQL, to
//! objects of Parquet in a bucket, and CSV to PostgreSQL, beside dlt and sling where they do the same.
//!
//! The million rows of [`sql`](crate::sql), and what arrived is compared by value with what was there,
//! each time. Whole commands are measured; of dlt the load alone, without imports.

#![expect(clippy::print_stderr, reason = "a benchmark prints")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use url::Url;

use crate::measure::{Table, guest, median, target};
use crate::sql::{
    COLUMNS, Rows, by_dlt, by_sling, compare, folder, ours, peer, psql, said, sling, timed,
};

/// The table that is read.
const SOURCE: &str = "bench_source";
/// The database that is written to: streams keep their namespaces, so one would write over itself.
const TARGET: &str = "bench_target";

/// A text that tables share that have the same rows, whatever their order and their types.
const DIGEST: &str = "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(concat_ws('|', id, name, email, \
    extract(epoch from created_at)::bigint, score::numeric(12, 2), active, note), 0)::numeric), 0) FROM ";

struct Server {
    url: Url,
    /// The same, of the other database.
    target: Url,
}

impl Server {
    fn new(url: &str) -> Self {
        let url = Url::parse(url).expect("an address");
        let mut target = url.clone();
        target.set_path(TARGET);
        Self { url, target }
    }

    fn run(url: &Url, sql: &str) {
        timed(&mut psql(url.as_str(), sql));
    }

    fn digest(url: &Url, table: &str) -> String {
        let query = format!("{DIGEST}{table}");
        let output = Command::new("psql")
            .args(["-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url.as_str(), "-c", &query])
            .output()
            .expect("psql");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The table that is read, and the database that is written to.
    fn prepare(&self, rows: &Rows) {
        Self::run(&self.url, &format!("DROP DATABASE IF EXISTS {TARGET}"));
        Self::run(&self.url, &format!("CREATE DATABASE {TARGET}"));
        let make = format!(
            "DROP SCHEMA IF EXISTS {SOURCE} CASCADE; CREATE SCHEMA {SOURCE}; \
             CREATE TABLE {SOURCE}.rows ({COLUMNS}, PRIMARY KEY (id))"
        );
        Self::run(&self.url, &make);
        let csv = rows.csv.display();
        Self::run(
            &self.url,
            &format!("\\copy {SOURCE}.rows FROM '{csv}' WITH (FORMAT csv, HEADER)"),
        );
        Self::run(&self.url, &format!("VACUUM ANALYZE {SOURCE}.rows"));
    }

    fn place(url: &Url) -> String {
        format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432))
    }

    fn config(url: &Url, more: &Value) -> String {
        let mut config = json!({
            "host": url.host_str(),
            "port": url.port().unwrap_or(5432),
            "database": url.path().trim_start_matches('/'),
            "username": url.username(),
            "password": url.password().unwrap_or_default(),
            "sslmode": "disable",
        });
        for (name, value) in more.as_object().expect("an object") {
            config[name] = value.clone();
        }
        config.to_string()
    }
}

/// One side of a sync: the connector, its configuration, and its grants.
struct Side {
    connector: &'static str,
    config: String,
    grants: Vec<String>,
}

impl Side {
    fn source_postgres(server: &Server) -> Self {
        Self {
            connector: "source-postgres",
            config: Server::config(&server.url, &json!({"schemas": [SOURCE], "tables": ["rows"]})),
            grants: vec!["--source-allow-net".into(), Server::place(&server.url)],
        }
    }

    fn source_file(rows: &Rows) -> Self {
        let name = rows.csv.file_name().expect("a name").to_string_lossy();
        let config = json!({"path": "/in", "streams": [
            {"name": "rows", "format": "csv", "files": [name], "primary_key": ["id"]},
        ]});
        Self {
            connector: "source-file",
            config: config.to_string(),
            grants: vec!["--source-allow-dir".into(), format!("{}::/in:ro", folder().display())],
        }
    }

    fn destination_postgres(server: &Server) -> Self {
        Self {
            connector: "destination-postgres",
            config: Server::config(&server.target, &json!({"schema": "public"})),
            grants: vec!["--destination-allow-net".into(), Server::place(&server.target)],
        }
    }

    fn destination_s3(bucket: &Bucket) -> Self {
        let config = json!({
            "endpoint": bucket.endpoint, "region": "us-east-1", "bucket": bucket.name,
            "access_key_id": "bench", "secret_access_key": "bench", "format": "parquet",
        });
        let url = Url::parse(&bucket.endpoint).expect("an address");
        Self {
            connector: "destination-s3",
            config: config.to_string(),
            grants: vec!["--destination-allow-net".into(), Server::place(&url)],
        }
    }
}

fn sync(source: &Side, destination: &Side) -> f64 {
    let mut command = ours(&["sync", "--quiet", "--no-record", "--state", "none"]);
    command.args(["--strategy", "append"]);
    command.arg("--source").arg(guest(source.connector));
    command.args(["--source-config", &source.config]).args(&source.grants);
    command.arg("--destination").arg(guest(destination.connector));
    command.args(["--destination-config", &destination.config]).args(&destination.grants);
    timed(&mut command)
}

/// A bucket of the server that answers as S3 does.
struct Bucket {
    endpoint: String,
    name: String,
}

impl Bucket {
    fn new(endpoint: &str) -> Self {
        let name = format!("bench-{}", std::process::id());
        Self { endpoint: endpoint.trim_end_matches('/').to_owned(), name }
    }

    /// Empties it, and makes it where it is not there.
    fn make(&self, python: &Path) {
        self.python(python, "make", &[]);
    }

    /// Whether the objects below a prefix have the rows of a file.
    fn holds(&self, python: &Path, prefix: &str, rows: &Rows) {
        self.python(python, "compare", &[prefix, &rows.csv.display().to_string()]);
    }

    fn python(&self, python: &Path, what: &str, more: &[&str]) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/s3_rows.py");
        let mut command = Command::new(python);
        timed(command.arg(program).args([what, &self.endpoint, &self.name]).args(more));
    }
}

/// The table of a peer has the rows that the source has.
fn holds(server: &Server, table: &str, expected: &str) {
    assert_eq!(Server::digest(&server.target, table), expected, "{table}");
}

fn postgres_to_postgres(
    table: &mut Table,
    server: &Server,
    rounds: usize,
    peers: bool,
    rows: &Rows,
) {
    let what = "PostgreSQL into PostgreSQL";
    let expected = Server::digest(&server.url, &format!("{SOURCE}.rows"));
    let (source, destination) = (Side::source_postgres(server), Side::destination_postgres(server));
    let once = || {
        Server::run(&server.target, &format!("DROP SCHEMA IF EXISTS {SOURCE} CASCADE"));
        let seconds = sync(&source, &destination);
        holds(server, &format!("{SOURCE}.rows"), &expected);
        seconds
    };
    once();
    let ours = (rows.count, median((0..rounds).map(|_| once()).collect()));
    if let (true, Some(folder)) = (peers, peer("sling")) {
        let theirs = (0..rounds).map(|_| {
            let seconds = timed(
                sling(&folder)
                    .args(["--src-conn", &format!("{}?sslmode=disable", server.url)])
                    .args(["--src-stream", &format!("{SOURCE}.rows")])
                    .args(["--tgt-conn", &format!("{}?sslmode=disable", server.target)])
                    .args(["--tgt-object", "public.by_sling"]),
            );
            holds(server, "public.by_sling", &expected);
            seconds
        });
        compare(table, what, ours, "sling", (rows.count, median(theirs.collect())), "ahead");
    }
    if let (true, Some(folder)) = (peers, peer("dlt")) {
        let theirs = (0..rounds).map(|_| {
            let seconds = table_by_dlt(&folder, server, server.target.as_str(), &[]);
            holds(server, "by_dlt.rows", &expected);
            seconds
        });
        compare(table, what, ours, "dlt", (rows.count, median(theirs.collect())), "ahead");
    }
}

/// The seconds that dlt takes to copy the table.
fn table_by_dlt(folder: &Path, server: &Server, target_url: &str, more: &[&str]) -> f64 {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/dlt_table.py");
    let pipelines = target().join("bench/dlt-table");
    let _ = std::fs::remove_dir_all(&pipelines);
    said(
        Command::new(folder.join("bin/python"))
            .arg(program)
            .args([server.url.as_str(), SOURCE, target_url])
            .arg(&pipelines)
            .args(more)
            .env("RUNTIME__DLTHUB_TELEMETRY", "false")
            .current_dir(crate::sql::folder()),
    )
}

fn csv_to_postgres(table: &mut Table, server: &Server, rounds: usize, peers: bool, rows: &Rows) {
    let what = "CSV into PostgreSQL";
    let expected = Server::digest(&server.url, &format!("{SOURCE}.rows"));
    let (source, destination) = (Side::source_file(rows), Side::destination_postgres(server));
    let once = || {
        Server::run(&server.target, "DROP TABLE IF EXISTS public.rows");
        let seconds = sync(&source, &destination);
        holds(server, "public.rows", &expected);
        seconds
    };
    once();
    let ours = (rows.count, median((0..rounds).map(|_| once()).collect()));
    if let (true, Some(folder)) = (peers, peer("sling")) {
        let url = format!("{}?sslmode=disable", server.target);
        let theirs = (0..rounds).map(|_| {
            let seconds = by_sling(&folder, rows, &url, "public.csv_by_sling");
            holds(server, "public.csv_by_sling", &expected);
            seconds
        });
        compare(table, what, ours, "sling", (rows.count, median(theirs.collect())), "ahead");
    }
    if let (true, Some(folder)) = (peers, peer("dlt")) {
        let theirs = (0..rounds).map(|_| {
            let seconds = by_dlt(&folder, rows, "postgres", server.target.as_str());
            holds(server, "bench_dlt.bench_dlt", &expected);
            seconds
        });
        compare(table, what, ours, "dlt", (rows.count, median(theirs.collect())), "ahead");
    }
}

fn postgres_to_s3(
    table: &mut Table,
    server: &Server,
    bucket: &Bucket,
    readers: &Path,
    (rounds, peers): (usize, bool),
    rows: &Rows,
) {
    let what = "PostgreSQL into Parquet on S3";
    let (source, destination) = (Side::source_postgres(server), Side::destination_s3(bucket));
    let once = || {
        bucket.make(readers);
        let seconds = sync(&source, &destination);
        bucket.holds(readers, &format!("{SOURCE}.rows/"), rows);
        seconds
    };
    once();
    let ours = (rows.count, median((0..rounds).map(|_| once()).collect()));
    if let (true, Some(folder)) = (peers, peer("sling")) {
        let connection = json!({
            "type": "s3", "bucket": bucket.name, "endpoint": bucket.endpoint,
            "region": "us-east-1", "access_key_id": "bench", "secret_access_key": "bench",
        });
        let theirs = (0..rounds).map(|_| {
            bucket.make(readers);
            let object = format!("s3://{}/sling/*.parquet", bucket.name);
            let seconds = timed(
                sling(&folder)
                    .args(["--src-conn", &format!("{}?sslmode=disable", server.url)])
                    .args(["--src-stream", &format!("{SOURCE}.rows")])
                    .args(["--tgt-conn", "BENCH_S3", "--tgt-object", &object])
                    .args(["--tgt-options", "{format: parquet}"])
                    .env("BENCH_S3", connection.to_string()),
            );
            bucket.holds(readers, "sling/", rows);
            seconds
        });
        compare(table, what, ours, "sling", (rows.count, median(theirs.collect())), "ahead");
    }
    if let (true, Some(folder)) = (peers, peer("dlt")) {
        let target_url = format!("s3://{}", bucket.name);
        let theirs = (0..rounds).map(|_| {
            bucket.make(readers);
            let seconds = table_by_dlt(&folder, server, &target_url, &[&bucket.endpoint]);
            bucket.holds(readers, "by_dlt/rows/", rows);
            seconds
        });
        compare(table, what, ours, "dlt", (rows.count, median(theirs.collect())), "ahead");
    }
}

pub(crate) fn run(table: &mut Table, quick: bool, peers: bool) {
    #[expect(clippy::disallowed_methods, reason = "where the servers of the measurements are")]
    let [database, objects] =
        ["LOCKGATE_TEST_POSTGRES", "LOCKGATE_TEST_S3"].map(|name| std::env::var(name).ok());
    let needed = "run scripts/with-test-services make bench to compare";
    let Some(url) = database else {
        return table.add("between systems", "-".into(), needed.into(), "-".into(), "ahead");
    };
    let rounds = if quick { 1 } else { 3 };
    let rows = Rows::make(if quick { 200_000 } else { 1_000_000 }, "rows");
    let server = Server::new(&url);
    server.prepare(&rows);
    postgres_to_postgres(table, &server, rounds, peers, &rows);
    csv_to_postgres(table, &server, rounds, peers, &rows);
    let readers: Option<PathBuf> = peer("readers").map(|folder| folder.join("bin/python"));
    match (objects, readers) {
        (Some(endpoint), Some(readers)) => {
            let bucket = Bucket::new(&endpoint);
            postgres_to_s3(table, &server, &bucket, &readers, (rounds, peers), &rows);
        }
        _ => {
            eprintln!("S3 is not measured: run scripts/setup-test-connectors readers, and {needed}")
        }
    }
    Server::run(&server.url, &format!("DROP SCHEMA {SOURCE} CASCADE"));
    Server::run(&server.url, &format!("DROP DATABASE {TARGET}"));
}
