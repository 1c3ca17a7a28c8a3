//! CSV: rows of text with a delimiter.

mod encoder;
mod header;
mod records;
mod sample;
mod value;

use lockgate_sdk::{Failure, StreamOutput, log};

use self::encoder::Encoder;
use self::records::{Found, Records};
pub(crate) use self::sample::{Columns, sample};
use crate::config::StreamConfig;
use crate::place::Opened;
use crate::progress::{End, Progress, Start};
use crate::shape::Shape;
use crate::state::Position;
use crate::text::Text;

/// Opens a file, reads its header, and goes to a place in it. None: it is empty.
fn open(
    file: &Opened,
    settings: &StreamConfig,
    place: Position,
) -> Result<Option<(Records, Vec<String>)>, Failure> {
    let csv = &settings.csv;
    let text = Text::open(file, settings.compression, 0)?;
    let mut records = Records::new(text, &file.name, csv, Position::default());
    let Some(names) = header::read(&mut records, csv, &file.name)? else { return Ok(None) };
    if place.offset > 0 || !csv.header {
        let text = Text::open(file, settings.compression, place.offset)?;
        records = Records::new(text, &file.name, csv, place);
    }
    Ok(Some((records, names)))
}

/// Reads the rows of a file from a place on.
pub(crate) fn read(
    file: &Opened,
    settings: &StreamConfig,
    shape: &Shape,
    start: Start,
    progress: &mut Progress,
    out: &mut StreamOutput<'_>,
) -> Result<End, Failure> {
    let begin = crate::text::begin(file, settings.compression, start)?;
    let Some((mut records, names)) = open(file, settings, begin)? else {
        return Ok(End { place: begin, last: None });
    };
    let mut encoder = Encoder::new(file, shape, &names, &settings.csv.null_values);
    let mut before = records.place().offset;
    loop {
        records.skip()?;
        let place = records.place();
        match records.next()? {
            Found::Record => {
                records.count();
                encoder.write(&records, place.line + 1, out)?;
            }
            Found::Last => {
                let row = encoder.last(&records, place.line + 1);
                records.count();
                let row = match row {
                    // Who writes the file may not have come to the row's end.
                    Err(failure) if progress.incremental => {
                        return Ok(held(file, place, &failure.message));
                    }
                    row => row?,
                };
                row.write(out)?;
                progress.note(records.place().offset - before);
                return Ok(End { place: records.place(), last: Some(place) });
            }
            Found::Open => {
                let what = format!(
                    "{}, line {}: a quote in the row that begins here is not closed",
                    file.name,
                    place.line + 1
                );
                if progress.incremental {
                    return Ok(held(file, place, &what));
                }
                return Err(Failure::config(what));
            }
            Found::End => {
                progress.note(records.place().offset - before);
                return Ok(End { place: records.place(), last: None });
            }
        }
        let offset = records.place().offset;
        progress.note(offset - before);
        before = offset;
        if progress.is_due() {
            progress.within(file, records.place(), records.is_plain(), out)?;
        }
    }
}

/// Leaves the last row of a file for a later read.
fn held(file: &Opened, place: Position, why: &str) -> End {
    log::warn(format_args!(
        "the last row of {} is not whole, and is left for the next sync: {why}",
        file.name
    ));
    End { place, last: None }
}
