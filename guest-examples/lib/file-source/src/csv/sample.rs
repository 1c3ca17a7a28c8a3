//! The types of columns, found out from the first rows.

use json_rows::ColumnType;
use lockgate_sdk::Failure;

use super::records::Found;
use super::value::{common, guess};
use crate::config::{StreamConfig, TypeName};
use crate::limits;
use crate::place::Opened;
use crate::state::Position;

/// The columns of the files that were looked at: names in the order in which they were found, and what
/// their values may be taken for, if there were any.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    all: Vec<(String, Option<ColumnType>)>,
}

impl Columns {
    fn place(&mut self, name: &str) -> usize {
        match self.all.iter().position(|(known, _)| known == name) {
            Some(place) => place,
            None => {
                self.all.push((name.to_owned(), None));
                self.all.len() - 1
            }
        }
    }

    fn note(&mut self, place: usize, kind: ColumnType) {
        if let Some((_, known)) = self.all.get_mut(place) {
            *known = Some(known.map_or(kind, |known| common(known, kind)));
        }
    }

    /// Names and types; of a column without a value it is text.
    pub(crate) fn types(&self) -> impl Iterator<Item = (&str, ColumnType)> {
        self.all.iter().map(|(name, kind)| (name.as_str(), kind.unwrap_or(ColumnType::String)))
    }
}

/// Looks at the first rows of a file: at most `rows`, and [`limits::SAMPLE_BYTES`] of text.
pub(crate) fn sample(
    file: &Opened,
    settings: &StreamConfig,
    rows: u32,
    columns: &mut Columns,
) -> Result<(), Failure> {
    let Some((mut records, names)) = super::open(file, settings, Position::default())? else {
        return Ok(());
    };
    let configured = |name: &str| settings.csv.types.iter().find(|kind| kind.column == name);
    let mut places = Vec::with_capacity(names.len());
    for name in &names {
        let place = columns.place(name);
        let known = configured(name).map(|configured| of_name(configured.kind));
        if let Some((_, kind)) = columns.all.get_mut(place)
            && known.is_some()
        {
            *kind = known;
        }
        places.push((place, known.is_some()));
    }
    let nulls = &settings.csv.null_values;
    for _ in 0..rows {
        if records.place().offset > limits::SAMPLE_BYTES
            || !matches!(records.next()?, Found::Record | Found::Last)
        {
            break;
        }
        for (field, (place, known)) in places.iter().enumerate() {
            let value = records.field(field);
            let null = nulls.iter().any(|null| null.as_bytes() == value);
            if !known && !null && field < records.len() {
                columns.note(*place, guess(value));
            }
        }
    }
    Ok(())
}

fn of_name(name: TypeName) -> ColumnType {
    match name {
        TypeName::String => ColumnType::String,
        TypeName::Integer => ColumnType::Integer,
        TypeName::Number => ColumnType::Number,
        TypeName::Boolean => ColumnType::Boolean,
        TypeName::Date => ColumnType::Date,
        TypeName::Timestamp => ColumnType::Timestamp,
        TypeName::TimestampWithTimezone => ColumnType::TimestampWithTimezone,
    }
}
