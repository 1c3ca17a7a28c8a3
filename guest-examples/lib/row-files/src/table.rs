//! What the files of a stream look like.

use std::collections::HashMap;

use json_rows::fields::Fields;
use json_rows::{Changes, ColumnType};
use lockgate_sdk::{ConfiguredStream, DestinationSyncMode, Failure, Rows, log};

use crate::format::{Format, Options};
use crate::row::write_meta;

/// When the source read the row.
pub(crate) const EXTRACTED_AT: &str = "_airbyte_extracted_at";
/// The stream's generation.
pub(crate) const GENERATION_ID: &str = "_airbyte_generation_id";
/// What was changed on the row's way.
pub(crate) const META: &str = "_airbyte_meta";
/// Members that the schema does not declare.
pub(crate) const ADDITIONAL: &str = "_airbyte_additional_properties";

/// Columns behind the declared ones, in their order.
pub(crate) const METADATA: [&str; 4] = [ADDITIONAL, EXTRACTED_AT, GENERATION_ID, META];

/// What was not kept, where there is no `_airbyte_meta` to note it in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lost {
    /// Values that were left out or cut.
    values: u64,
    /// Members that the schema does not declare.
    members: u64,
}

/// What the files of a stream look like, and what is needed to write them.
#[derive(Debug)]
pub struct Table {
    pub(crate) options: Options,
    pub(crate) columns: Vec<(String, ColumnType)>,
    pub(crate) fields: Fields,
    pub(crate) changes: Changes,
    pub(crate) generation: u64,
    pub(crate) sync: u64,
    /// `_airbyte_meta` of a row in which nothing was changed.
    usual_meta: Vec<u8>,
    stream: String,
    lost: Lost,
}

/// Do the rows of a stream replace those that are there? `kept_in` is where they are, as in "files".
///
/// # Errors
/// `config`, with the stream: rows are to be changed one by one.
pub fn replaces(stream: &ConfiguredStream, kept_in: &str) -> Result<bool, Failure> {
    match stream.destination_sync_mode {
        DestinationSyncMode::Overwrite => Ok(true),
        // A refresh that drops what earlier generations left.
        DestinationSyncMode::Append => Ok(stream.minimum_generation_id != 0),
        DestinationSyncMode::AppendDedup
        | DestinationSyncMode::Update
        | DestinationSyncMode::SoftDelete => Err(Failure::config(format!(
            "the stream `{}` is to be written in a mode that changes rows, and {kept_in} support append \
             and overwrite only",
            stream.descriptor
        ))
        .in_stream(&stream.descriptor)),
    }
}

impl Table {
    /// Of a stream, with the columns of its schema.
    ///
    /// # Errors
    /// `config`, with the stream: its schema cannot be read, it has no columns, or one that is this
    /// connector's.
    pub fn new(stream: &ConfiguredStream, options: Options) -> Result<Self, Failure> {
        let descriptor = &stream.descriptor;
        let columns = json_rows::of_schema(&stream.json_schema).map_err(|error| {
            Failure::config(format!("the schema of the stream `{descriptor}` cannot be read"))
                .with_detail(error)
                .in_stream(descriptor)
        })?;
        if options.format != Format::Jsonl {
            check(&columns, options).map_err(|reason| {
                Failure::config(format!("the stream `{descriptor}` {reason}")).in_stream(descriptor)
            })?;
        }
        let mut usual_meta = Vec::new();
        write_meta(&Changes::default(), stream.sync_id, &mut usual_meta);
        Ok(Self {
            fields: Fields::new(columns.iter().map(|(name, _)| name.clone())),
            columns,
            options,
            changes: Changes::default(),
            generation: stream.generation_id,
            sync: stream.sync_id,
            usual_meta,
            stream: descriptor.to_string(),
            lost: Lost::default(),
        })
    }

    /// How its files are written.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Tells the operator what was not kept.
    pub fn warn_of_losses(&self) {
        let Lost { values, members } = self.lost;
        if values > 0 || members > 0 {
            log::warn(format_args!(
                "the stream `{}` has {values} values that a column cannot hold whole and {members} \
                 members that its schema does not declare; with `metadata` they are noted and kept",
                self.stream
            ));
        }
    }

    /// Looks at a row, and at what was changed in it before.
    pub(crate) fn find(
        &mut self,
        rows: &Rows,
        place: u32,
        row: &[u8],
        has_meta: bool,
    ) -> Result<(), Failure> {
        self.fields.find(row).map_err(|_| {
            Failure::system(format!(
                "row {place} of a batch of `{}` is no JSON object",
                self.stream
            ))
        })?;
        self.changes.clear();
        if has_meta && let Some(meta) = rows.meta(place) {
            self.changes.take_over(meta, |_| true).map_err(|_| {
                Failure::system(format!(
                    "the `meta` of row {place} of a batch of `{}` is not a JSON object with `changes`",
                    self.stream
                ))
            })?;
        }
        Ok(())
    }

    /// `_airbyte_meta` of the row that was looked at.
    pub(crate) fn meta<'a>(&'a self, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        if self.changes.is_empty() {
            return &self.usual_meta;
        }
        scratch.clear();
        write_meta(&self.changes, self.sync, scratch);
        scratch
    }

    /// Counts what this row loses for want of columns to keep it in.
    pub(crate) fn count_losses(&mut self) {
        self.lost.values += self.changes.iter().count() as u64;
        self.lost.members += self.fields.others().len() as u64;
    }
}

fn check(columns: &[(String, ColumnType)], options: Options) -> Result<(), String> {
    if columns.is_empty() && !options.metadata {
        return Err("declares no columns: set `metadata` to true, or `format` to jsonl".to_owned());
    }
    let mut seen = HashMap::new();
    for (name, _) in columns {
        if options.metadata && METADATA.contains(&&**name) {
            return Err(format!(
                "has a column {name}, which is this connector's: set `metadata` to false, or leave \
                 the column out of the catalog"
            ));
        }
        // Most who read such a file by SQL do not tell `A` from `a`.
        if let Some(other) = seen.insert(name.to_lowercase(), name) {
            log::warn(format_args!(
                "the columns {other} and {name} differ in letter case only, which few readers tell"
            ));
        }
    }
    Ok(())
}
