//! The destinations of the matrix.

use std::path::PathBuf;

use lockgate::protocol::Json;
use lockgate::{ConnectorOptions, Destination, Host};

use crate::common::{Folder, guest};
use crate::schema::{Schema, server};

/// Gives the rows of a stream.
type Reader = Box<dyn Fn(&str) -> Vec<String> + Send + Sync>;

/// A destination, and how its tables are read.
pub(crate) struct Target {
    pub(crate) destination: Destination,
    /// It can merge by key.
    pub(crate) merges: bool,
    /// Its rows have the order in which they were sent.
    pub(crate) ordered: bool,
    read: Reader,
}

impl Target {
    /// Files of JSON lines.
    pub(crate) fn jsonl(folder: &Folder) -> Self {
        let out: PathBuf = folder.path().join("out");
        std::fs::create_dir_all(&out).expect("a folder");
        let options = ConnectorOptions {
            allow_dir: vec![format!("{}::/out", out.display())],
            ..ConnectorOptions::default()
        };
        let config = Json::object(r#"{"path":"/out"}"#).expect("JSON");
        let name = guest("destination-jsonl").display().to_string();
        let destination = Host::new().get_destination(&name, &options, config);
        let read = move |stream: &str| {
            let text = std::fs::read_to_string(out.join(format!("{stream}.jsonl")));
            text.unwrap_or_default().lines().map(str::to_owned).collect()
        };
        let destination = destination.expect("a destination");
        Self { destination, merges: false, ordered: true, read: Box::new(read) }
    }

    /// Tables of a schema of its own, with typed columns.
    pub(crate) fn postgres(_: &Folder) -> Self {
        let schema = Aside(Some(aside(Schema::new)));
        let url: postgres::Config = server().parse().expect("a URL");
        let postgres::config::Host::Tcp(host) = &url.get_hosts()[0] else { panic!("no host") };
        let port = url.get_ports()[0];
        let password = String::from_utf8_lossy(url.get_password().unwrap_or_default());
        let config = serde_json::json!({
            "host": host, "port": port, "database": url.get_dbname(), "username": url.get_user(),
            "password": password, "schema": schema.get().name, "sslmode": "disable",
        });
        let options = ConnectorOptions {
            allow_net: vec![format!("{host}:{port}")],
            ..ConnectorOptions::default()
        };
        let config = Json::object(config.to_string()).expect("JSON");
        let name = guest("destination-postgres").display().to_string();
        let destination = Host::new().get_destination(&name, &options, config);
        let read = move |stream: &str| {
            let columns = if stream == "keyed" { "id, v" } else { "n" };
            aside(|| {
                let mut client = schema.get().client();
                let there = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&stream]);
                if !there.expect("an answer").get::<_, bool>(0) {
                    return Vec::new();
                }
                let sql =
                    format!("SELECT row_to_json(r)::text FROM (SELECT {columns} FROM {stream}) r");
                let rows = client.query(&sql, &[]).expect("rows");
                rows.iter().map(|row| row.get(0)).collect()
            })
        };
        let destination = destination.expect("a destination");
        Self { destination, merges: true, ordered: false, read: Box::new(read) }
    }

    /// The rows of a stream, as they were sent; in their order, if they have one.
    pub(crate) fn rows(&self, stream: &str) -> Vec<String> {
        (self.read)(stream)
    }
}

/// Does what blocks, on a thread without an async runtime.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().expect("it does not panic"))
}

/// A schema that is dropped where that may block.
struct Aside(Option<Schema>);

impl Aside {
    fn get(&self) -> &Schema {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        aside(|| drop(self.0.take()));
    }
}
