//! JSON lines: an object a line. A row is looked at and passed on as it is.

mod sample;

use json_rows::scan::{self, Kind, Nest};
use lockgate_sdk::{Failure, StreamOutput, log};

pub(crate) use self::sample::{Members, sample};
use crate::config::StreamConfig;
use crate::place::Opened;
use crate::progress::{End, Progress, Start};
use crate::shape::{FILE, FileMembers, ROW, Shape};
use crate::state::Position;
use crate::text::Text;

/// Lines of a text, and where they are.
struct Lines {
    text: Text,
    place: Position,
    /// Bytes of the line that was found last.
    taken: usize,
}

impl Lines {
    fn new(text: Text, place: Position) -> Self {
        let place = Position { offset: text.offset(), ..place };
        Self { text, place, taken: 0 }
    }

    /// The next line that is not empty, and whether it has an end. Afterwards [`Lines::pass`] takes it.
    fn next(&mut self) -> Result<Option<(&[u8], bool)>, Failure> {
        loop {
            let Some(line) = self.text.line(self.place.line + 1)? else { return Ok(None) };
            let (taken, ended) = (line.taken, line.ended);
            if !line.bytes.iter().all(u8::is_ascii_whitespace) {
                break;
            }
            self.text.take(taken);
            self.place.offset = self.text.offset();
            self.place.line += u64::from(ended);
        }
        let line = self.text.line(self.place.line + 1)?;
        Ok(line.map(|line| {
            self.taken = line.taken;
            (line.bytes.trim_ascii(), line.ended)
        }))
    }

    /// Goes behind the line that was found last.
    fn pass(&mut self, ended: bool) {
        self.text.take(self.taken);
        self.place.offset = self.text.offset();
        self.place.line += u64::from(ended);
        self.place.row += 1;
    }
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
    let text = Text::open(file, settings.compression, begin.offset)?;
    let mut lines = Lines::new(text, begin);
    let about = shape.file_members(&file.name);
    let mut nest = Nest::default();
    let mut before = lines.place.offset;
    loop {
        let place = lines.place;
        let Some((row, ended)) = lines.next()? else {
            progress.note(lines.place.offset - before);
            return Ok(End { place: lines.place, last: None });
        };
        if let Err(fault) = look(row, &mut nest, &about) {
            // Empty lines may have been passed.
            let place = Position { line: lines.place.line, ..place };
            let failure = fault.failure(&file.name, place.line + 1);
            if !ended && progress.incremental {
                log::warn(format_args!(
                    "the last row of {} is not whole, and is left for the next sync: {}",
                    file.name, failure.message
                ));
                return Ok(End { place: lines.place, last: None });
            }
            return Err(failure);
        }
        let number = place.row + 1;
        out.write_with(|batch| append(row, &about, number, batch))?;
        let start = lines.place;
        lines.pass(ended);
        let offset = lines.place.offset;
        progress.note(offset - before);
        before = offset;
        if !ended {
            return Ok(End { place: lines.place, last: Some(start) });
        }
        if progress.is_due() {
            progress.within(file, lines.place, lines.text.is_plain(), out)?;
        }
    }
}

/// Appends a row as it is, with the members about the file at its end.
#[inline]
fn append(row: &[u8], about: &FileMembers, number: u64, batch: &mut Vec<u8>) {
    if about.is_empty() {
        batch.extend_from_slice(row);
        return;
    }
    let open = row.strip_suffix(b"}").unwrap_or(row).trim_ascii_end();
    batch.extend_from_slice(open);
    about.push(number, open.len() == 1, batch);
    batch.push(b'}');
}

/// Why a line is no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    NoText,
    NoObject,
    Unfit,
    Taken(&'static str),
}

impl Fault {
    #[cold]
    fn failure(self, file: &str, line: u64) -> Failure {
        let what = match self {
            Self::NoText => "it is not UTF-8: convert the file to it".to_owned(),
            Self::NoObject => "it is not a JSON object in one line".to_owned(),
            Self::Unfit => format!(
                "it has a value that is nested deeper than {} levels, or a number beyond all that is stored",
                scan::DEEPEST
            ),
            Self::Taken(name) => {
                format!("it has a member {name} of its own: turn `add_file_columns` off")
            }
        };
        Failure::config(format!("{file}, line {line}: {what}"))
    }
}

/// Is it a row? Every byte is looked at, and nothing is built.
#[inline]
fn look(row: &[u8], nest: &mut Nest, about: &FileMembers) -> Result<(), Fault> {
    if std::str::from_utf8(row).is_err() {
        return Err(Fault::NoText);
    }
    let (mut unfit, mut taken) = (false, None);
    scan::members(row, nest, |key, value| {
        unfit |= value.kind == Kind::Unfit;
        if !about.is_empty() && key.end - key.start <= FILE.len() + 2 {
            let name = key.inside(row);
            taken = taken
                .or((name == FILE.as_bytes()).then_some(FILE))
                .or((name == ROW.as_bytes()).then_some(ROW));
        }
    })
    .map_err(|_| Fault::NoObject)?;
    match (unfit, taken) {
        (true, _) => Err(Fault::Unfit),
        (_, Some(name)) => Err(Fault::Taken(name)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::OnFault;

    fn about(file: bool) -> FileMembers {
        Shape::new(Vec::new(), file, file, OnFault::Fail, OnFault::Fail)
            .file_members("a \"b\".jsonl")
    }

    #[test]
    fn members_about_the_file_come_last() {
        for (row, json) in [
            ("{}", r#"{"_file":"a \"b\".jsonl","_row":7}"#),
            ("{ }", r#"{"_file":"a \"b\".jsonl","_row":7}"#),
            (r#"{"a":1 }"#, r#"{"a":1,"_file":"a \"b\".jsonl","_row":7}"#),
        ] {
            let mut out = Vec::new();
            append(row.as_bytes(), &about(true), 7, &mut out);
            assert_eq!(String::from_utf8(out).expect("a text"), json);
        }
        let look = |row: &str| look(row.as_bytes(), &mut Nest::default(), &about(true));
        assert_eq!(look(r#"{"_row":1}"#), Err(Fault::Taken(ROW)));
        assert_eq!(look(r#"{"_rows":1}"#), Ok(()));
    }

    #[test]
    fn what_is_no_row_is_told() {
        let look = |row: &[u8]| look(row, &mut Nest::default(), &about(false));
        assert_eq!(look(b"{\"a\":\"\xff\"}"), Err(Fault::NoText));
        for row in [&b"[]"[..], b"1", b"{\"a\":1", b"{\"a\":1}{}", b"{'a':1}"] {
            assert_eq!(look(row), Err(Fault::NoObject));
        }
        let deep = |levels: usize| {
            format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels)).into_bytes()
        };
        assert_eq!(look(&deep(500)), Ok(()));
        assert_eq!(look(&deep(501)), Err(Fault::Unfit));
        assert_eq!(look(&deep(1_000_000)), Err(Fault::Unfit));
    }

    proptest! {
        /// What is passed on is what another reader of JSON takes for an object.
        #[test]
        fn a_row_is_an_object(row in r#"[{]?("a"|"b")?:?([0-9]{0,2}|"[a-z\\"]{0,3}"|\[1?,?\]|null)[}]?"#) {
            let mine = look(row.as_bytes(), &mut Nest::default(), &about(false)).is_ok();
            let other: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(&row);
            prop_assert_eq!(mine, other.is_ok());
        }
    }
}
