//! The records of a text, one after the other, in memory that is used again.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use lockgate_sdk::Failure;

use crate::config::CsvConfig;
use crate::limits;
use crate::state::Position;
use crate::text::Text;

/// Reads records.
pub(super) struct Records {
    text: Text,
    reader: Reader,
    name: String,
    /// The fields of the record, one behind the other.
    data: Vec<u8>,
    /// Where each field ends in `data`.
    ends: Vec<usize>,
    fields: usize,
    /// Lines before the reader's first.
    lines: u64,
    /// Line ends that were not in the text.
    added: u64,
    rows: u64,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record, whose line is ended.
    Record,
    /// The last record, which nothing ends.
    Last,
    /// The start of a record in a quote that is not closed.
    Open,
    /// Nothing more.
    End,
}

impl Records {
    /// From a place on, where `text` begins.
    pub(super) fn new(text: Text, name: &str, csv: &CsvConfig, place: Position) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.delimiter(csv.delimiter());
        match csv.quote() {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        Self {
            text,
            reader: builder.build(),
            name: name.to_owned(),
            data: vec![0; 4096],
            ends: vec![0; 64],
            fields: 0,
            lines: place.line,
            added: 0,
            rows: place.row,
        }
    }

    /// The place behind the record that was found last.
    pub(super) fn place(&self) -> Position {
        Position { offset: self.text.offset(), row: self.rows, line: self.line() }
    }

    /// Is the text what is in the file?
    pub(super) fn is_plain(&self) -> bool {
        self.text.is_plain()
    }

    /// Counts the record that was found last as a row.
    pub(super) fn count(&mut self) {
        self.rows += 1;
    }

    fn line(&self) -> u64 {
        self.lines + self.reader.line() - 1 - self.added
    }

    /// The number of fields.
    pub(super) fn len(&self) -> usize {
        self.fields
    }

    /// A field; empty where there is none.
    pub(super) fn field(&self, place: usize) -> &[u8] {
        let start = match place.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or_default(),
            None => 0,
        };
        let end = self.ends.get(place).copied().unwrap_or_default();
        self.data.get(start..end).unwrap_or_default()
    }

    /// Skips what is between records: line ends. Afterwards [`Records::place`] is where the next begins.
    pub(super) fn skip(&mut self) -> Result<(), Failure> {
        loop {
            match self.text.fill()?.first() {
                Some(b'\n') => self.lines += 1,
                Some(b'\r') => {}
                _ => return Ok(()),
            }
            self.text.take(1);
        }
    }

    /// Finds the next record.
    ///
    /// # Errors
    /// The text cannot be read; the record is longer or has more fields than may be.
    pub(super) fn next(&mut self) -> Result<Found, Failure> {
        self.skip()?;
        let line = self.line();
        let (mut written, mut fields, mut began) = (0, 0, false);
        loop {
            let input = self.text.fill()?;
            let ended = input.is_empty();
            if ended && !began {
                return Ok(Found::End);
            }
            // At the end a line end of ours tells whether a quote is open.
            let input = if ended { b"\n" } else { input };
            let (result, taken, more, ends) = self.reader.read_record(
                input,
                self.data.get_mut(written..).unwrap_or_default(),
                self.ends.get_mut(fields..).unwrap_or_default(),
            );
            if !ended {
                self.text.take(taken);
            }
            began |= taken > 0;
            written += more;
            fields += ends;
            self.fields = fields;
            match result {
                ReadRecordResult::Record if ended => {
                    self.added += 1;
                    return Ok(Found::Last);
                }
                ReadRecordResult::Record => return Ok(Found::Record),
                ReadRecordResult::InputEmpty if ended && taken > 0 => {
                    self.added += 1;
                    return Ok(Found::Open);
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.grow_data(line)?,
                ReadRecordResult::OutputEndsFull => self.grow_ends(line)?,
                ReadRecordResult::End => return Ok(Found::End),
            }
        }
    }

    #[cold]
    fn grow_data(&mut self, line: u64) -> Result<(), Failure> {
        if self.data.len() >= limits::ROW_BYTES {
            return Err(Failure::config(format!(
                "{}, line {}: the row that begins here is longer than {} bytes: is a quote not closed?",
                self.name,
                line + 1,
                limits::ROW_BYTES
            )));
        }
        self.data.resize(self.data.len() * 2, 0);
        Ok(())
    }

    #[cold]
    fn grow_ends(&mut self, line: u64) -> Result<(), Failure> {
        if self.ends.len() >= limits::COLUMNS {
            return Err(Failure::config(format!(
                "{}, line {}: the row has more than {} columns",
                self.name,
                line + 1,
                limits::COLUMNS
            )));
        }
        self.ends.resize(self.ends.len() * 2, 0);
        Ok(())
    }
}
