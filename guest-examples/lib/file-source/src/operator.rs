//! What an operator writes.

/// Makes the configuration of a component, `Config` and `StreamConfig`: the given members, which say
/// where files are, and those that all have. `Config::settings` gives the
/// [`Config`](crate::Config) of this library, without the given members.
#[macro_export]
macro_rules! configuration {
    (
        $(#[$about:meta])*
        config { $($(#[$member_about:meta])* $member:ident: $member_type:ty,)* }
        stream { $($(#[$place_about:meta])* $place:ident: $place_type:ty,)* }
    ) => {
        #[derive(Clone, Debug, ::serde::Deserialize, ::schemars::JsonSchema)]
        $(#[$about])*
        #[serde(deny_unknown_fields)]
        pub struct Config {
            $($(#[$member_about])* $member: $member_type,)*
            /// The streams.
            #[schemars(title = "Streams", length(min = 1))]
            streams: Vec<StreamConfig>,
            /// What becomes of a CSV value that is not of its column's type.
            #[serde(default)]
            #[schemars(title = "Values of another type")]
            on_mismatch: $crate::OnFault,
            /// What becomes of a CSV row with more or fewer columns than its header.
            #[serde(default)]
            #[schemars(title = "Ragged rows")]
            ragged: $crate::OnFault,
            /// Add the columns `_file` (the file's name) and `_row` (the row's number in it, from 1 on).
            #[serde(default)]
            #[schemars(title = "Columns about the file")]
            add_file_columns: bool,
            /// Rows of a file that are looked at to find out the types of its columns.
            #[serde(default = "::file_source::default_sample_rows")]
            #[schemars(title = "Rows of the sample", range(min = 1, max = 1_000_000))]
            sample_rows: u32,
            /// MiB that are read between two checkpoints.
            #[serde(default = "::file_source::default_checkpoint_mib")]
            #[schemars(title = "MiB per checkpoint", range(min = 1, max = 65536))]
            checkpoint_mib: u32,
        }

        /// One stream: files of one kind.
        #[derive(Clone, Debug, ::serde::Deserialize, ::schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct StreamConfig {
            /// The stream's name.
            #[schemars(title = "Name", length(min = 1), example = &"orders")]
            name: String,
            /// What the files are.
            #[schemars(title = "Format")]
            format: $crate::Format,
            $($(#[$place_about])* $place: $place_type,)*
            /// How the files are compressed; `auto` looks at their first bytes. Parquet has its own.
            #[serde(default)]
            #[schemars(title = "Compression")]
            compression: $crate::Compression,
            /// How CSV is written.
            #[serde(default)]
            #[schemars(title = "CSV")]
            csv: $crate::CsvConfig,
            /// The columns that make the primary key.
            #[serde(default)]
            #[schemars(title = "Primary key", extend("examples" = [["id"]]))]
            primary_key: Vec<String>,
        }

        impl Config {
            /// What all components have of it; `place` puts into each stream where its files are.
            fn settings(
                &self,
                place: impl Fn(&StreamConfig, &mut $crate::StreamConfig),
            ) -> $crate::Config {
                let stream = |given: &StreamConfig| {
                    let mut stream = $crate::StreamConfig {
                        name: given.name.clone(),
                        format: given.format,
                        files: Vec::new(),
                        urls: Vec::new(),
                        compression: given.compression,
                        csv: given.csv.clone(),
                        primary_key: given.primary_key.clone(),
                    };
                    place(given, &mut stream);
                    stream
                };
                $crate::Config {
                    path: None,
                    hosts: Vec::new(),
                    servers: None,
                    streams: self.streams.iter().map(stream).collect(),
                    on_mismatch: self.on_mismatch,
                    ragged: self.ragged,
                    add_file_columns: self.add_file_columns,
                    sample_rows: self.sample_rows,
                    checkpoint_mib: self.checkpoint_mib,
                }
            }
        }
    };
}
