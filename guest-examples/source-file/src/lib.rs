//! Reads files of CSV, JSON lines and Parquet in a granted directory, from inside the sandbox. It reaches
//! nothing else: `source-file-http` reads from servers.
//!
//! `README.md` beside this crate says what becomes of types, of what does not fit them, and of files that
//! change.

use lockgate_sdk::{Catalog, Failure, Output, SavedState, Source, Spec, Stream, export_source};

file_source::configuration! {
    /// The directory, and what streams its files make.
    #[schemars(title = "Files")]
    config {
        /// The granted directory that the files are in, as an absolute path in the sandbox.
        #[schemars(title = "Directory", regex(pattern = "^/"), example = &"/in")]
        path: String,
    }
    stream {
        /// Names of files below the directory, with `*`, `?`, `**`, `[a-z]` and `{a,b}`.
        #[schemars(title = "Files", length(min = 1), extend("examples" = [["orders/*.csv.gz"]]))]
        files: Vec<String>,
    }
}

impl Config {
    fn files(&self) -> file_source::Config {
        let settings = self.settings(|given, stream| stream.files.clone_from(&given.files));
        file_source::Config { path: Some(self.path.clone()), ..settings }
    }
}

/// The connector.
#[derive(Debug)]
pub struct Files;

impl Source for Files {
    type Config = Config;

    fn spec() -> Spec {
        Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).need(
            "directory-read",
            "${path}",
            "reads the files in it",
        )
    }

    fn check(config: Config) -> Result<(), Failure> {
        file_source::check(&config.files())
    }

    fn discover(config: Config) -> Result<Vec<Stream>, Failure> {
        file_source::discover(&config.files())
    }

    fn read(
        config: Config,
        catalog: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        file_source::read(&config.files(), catalog, state, output)
    }
}

export_source!(Files);
