//! Reads files of CSV, JSON lines and Parquet over HTTP, from inside the sandbox: from the hosts that are
//! granted. `source-file` reads them in a directory.
//!
//! `README.md` beside this crate says what is asked of servers.

use lockgate_sdk::{Catalog, Failure, Output, SavedState, Source, Spec, Stream, export_source};

/// Hosts of a configuration that are said to be needed.
const HOSTS: usize = 8;

file_source::configuration! {
    /// The servers, and what streams their files make.
    #[schemars(title = "Files over HTTP")]
    config {
        /// The hosts of all URLs, each as `HOST:PORT`: what is to be granted.
        #[schemars(title = "Hosts", length(min = 1), extend("examples" = [["data.example:443"]]))]
        hosts: Vec<String>,
    }
    stream {
        /// The files' URLs. What is behind a `?` is shown nowhere.
        #[schemars(
            title = "URLs", length(min = 1), extend("examples" = [["https://data.example/orders.csv"]])
        )]
        urls: Vec<String>,
    }
}

impl Config {
    fn files(&self) -> Result<file_source::Config, Failure> {
        if self.hosts.is_empty() {
            return Err(Failure::config(
                "`hosts` has no member: name those of the URLs, as HOST:PORT",
            ));
        }
        let settings = self.settings(|given, stream| stream.urls.clone_from(&given.urls));
        let servers = Some(file_source::http_servers());
        Ok(file_source::Config { hosts: self.hosts.clone(), servers, ..settings })
    }
}

/// The connector.
#[derive(Debug)]
pub struct HttpFiles;

impl Source for HttpFiles {
    type Config = Config;

    fn spec() -> Spec {
        let spec = Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        (0..HOSTS).fold(spec, |spec, host| {
            spec.need("network", format!("${{hosts.{host}}}"), "reads the files on it")
        })
    }

    fn check(config: Config) -> Result<(), Failure> {
        file_source::check(&config.files()?)
    }

    fn discover(config: Config) -> Result<Vec<Stream>, Failure> {
        file_source::discover(&config.files()?)
    }

    fn read(
        config: Config,
        catalog: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        file_source::read(&config.files()?, catalog, state, output)
    }
}

export_source!(HttpFiles);
