//! What the rows of a stream are made of.

use std::collections::HashMap;

use json_rows::ColumnType;

use crate::config::OnFault;

/// The column with the file's name.
pub(crate) const FILE: &str = "_file";
/// The column with the row's number in its file.
pub(crate) const ROW: &str = "_row";

/// The columns that are read, and what becomes of what does not fit.
#[derive(Debug)]
pub(crate) struct Shape {
    /// In the order of the schema, without those about the file.
    pub(crate) columns: Vec<(String, ColumnType)>,
    places: HashMap<String, usize>,
    /// Add [`FILE`].
    pub(crate) file: bool,
    /// Add [`ROW`].
    pub(crate) row: bool,
    pub(crate) on_mismatch: OnFault,
    pub(crate) ragged: OnFault,
}

impl Shape {
    /// Of columns.
    pub(crate) fn new(
        columns: Vec<(String, ColumnType)>,
        file: bool,
        row: bool,
        on_mismatch: OnFault,
        ragged: OnFault,
    ) -> Self {
        let places = columns.iter().enumerate().map(|(place, (name, _))| (name.clone(), place));
        Self { places: places.collect(), columns, file, row, on_mismatch, ragged }
    }

    /// The place of a column, if it is read.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// What is added to each row of a file.
    pub(crate) fn file_members(&self, file: &str) -> FileMembers {
        let mut text = Vec::new();
        if self.file {
            text.extend_from_slice(b"\"_file\":");
            json_rows::escape::push_string(file.as_bytes(), &mut text);
        }
        FileMembers { text, row: self.row }
    }
}

/// The members about the file that are added to rows.
#[derive(Debug)]
pub(crate) struct FileMembers {
    text: Vec<u8>,
    row: bool,
}

impl FileMembers {
    /// None of them.
    pub(crate) fn none() -> Self {
        Self { text: Vec::new(), row: false }
    }

    /// Is there none?
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.row
    }

    /// Adds them to an object that is open; `first`: nothing is in it yet.
    pub(crate) fn push(&self, row: u64, mut first: bool, out: &mut Vec<u8>) {
        if !self.text.is_empty() {
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(&self.text);
        }
        if self.row {
            if !first {
                out.push(b',');
            }
            out.extend_from_slice(b"\"_row\":");
            push_number(row, out);
        }
    }
}

/// Appends what displays as a number of JSON.
pub(crate) fn push_number<T: serde::Serialize>(number: T, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail, and a number can be written.
    let _ = serde_json::to_writer(out, &number);
}
