//! The destinations of the matrix.

use std::path::PathBuf;

use lockgate::protocol::Json;
use lockgate::{ConnectorOptions, Destination, Host};

use crate::common::{Folder, guest};

/// Gives the rows of a stream.
type Reader = Box<dyn Fn(&str) -> Vec<String> + Send + Sync>;

/// A destination, and how its tables are read.
pub(crate) struct Target {
    pub(crate) destination: Destination,
    /// It can merge by key.
    pub(crate) merges: bool,
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
        Self { destination, merges: false, read: Box::new(read) }
    }

    /// The rows of a stream, as they were sent, in their order.
    pub(crate) fn rows(&self, stream: &str) -> Vec<String> {
        (self.read)(stream)
    }
}
