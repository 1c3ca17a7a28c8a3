//! Where a stream stands: the files that were read, and how far.

use std::collections::BTreeMap;

use lockgate_sdk::{Failure, SyncMode};
use serde::{Deserialize, Serialize};

use crate::config::Format;
use crate::place::Opened;

/// What is stored of a stream.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    /// A full refresh goes on from its own states only.
    pub(crate) kind: Kind,
    /// The files, by their names.
    #[serde(with = "as_list")]
    pub(crate) files: BTreeMap<String, FileState>,
    /// All were read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) done: bool,
}

/// Which read a state is of.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    FullRefresh,
    Incremental,
}

impl From<SyncMode> for Kind {
    fn from(mode: SyncMode) -> Self {
        match mode {
            SyncMode::FullRefresh => Self::FullRefresh,
            SyncMode::Incremental => Self::Incremental,
        }
    }
}

/// A file that was read, whole or in part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct FileState {
    /// Its bytes when it was opened; a server may not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// When it was written, or what its server said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stamp: Option<String>,
    /// The digest of its start and of what is before `mark`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) print: Option<String>,
    /// Bytes of the file that `print` is about; those of all of it where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<u64>,
    /// Where a later read goes on.
    #[serde(flatten)]
    pub(crate) place: Position,
    /// Where the last row begins, if nothing ended it: it may go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<Position>,
    /// There is more of it to read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) part: bool,
}

/// A place in a file, between two rows.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Position {
    /// Bytes of text before it, decompressed; 0 in Parquet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) offset: u64,
    /// Rows before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) row: u64,
    /// Line ends before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) line: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// A list of objects with the name as a member: names as keys would be properties without end.
mod as_list {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::FileState;

    #[derive(Deserialize, Serialize)]
    struct Entry<'a> {
        file: Cow<'a, str>,
        #[serde(flatten)]
        state: Cow<'a, FileState>,
    }

    pub(crate) fn serialize<S: Serializer>(
        files: &BTreeMap<String, FileState>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            files.iter().map(|(file, state)| Entry {
                file: Cow::Borrowed(file),
                state: Cow::Borrowed(state),
            }),
        )
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, FileState>, D::Error> {
        let entries: Vec<Entry<'static>> = Vec::deserialize(deserializer)?;
        Ok(entries.into_iter().map(|e| (e.file.into_owned(), e.state.into_owned())).collect())
    }
}

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is as it was, and was read.
    Skip,
    /// It is as it was up to where it was read.
    Continue,
    /// It was never read.
    Read,
    /// It was read, and is another now.
    ReadAgain,
}

/// Compares a file with what was known of it.
pub(crate) fn step(
    known: Option<&FileState>,
    file: &Opened,
    format: Format,
) -> Result<Step, Failure> {
    let Some(known) = known else { return Ok(Step::Read) };
    let same_stamp = match (&known.stamp, &file.stamp) {
        (Some(then), Some(now)) => Some(then == now),
        _ => None,
    };
    let same_print = || -> Result<Option<bool>, Failure> {
        let (Some(then), Some(mark)) = (&known.print, known.mark.or(known.size)) else {
            return Ok(None);
        };
        if file.size.is_some_and(|size| size < mark) {
            return Ok(Some(false));
        }
        Ok(file.print(mark)?.map(|now| now == *then))
    };
    let same_size = known.size.is_some() && known.size == file.size;
    let longer = matches!((known.size, file.size), (Some(then), Some(now)) if now > then);
    if same_size || (known.size.is_none() && file.size.is_none()) {
        let same = match same_stamp {
            Some(true) => true,
            other => match same_print()? {
                Some(same) => same,
                // Its size is all that is known of it.
                None => other.is_none() && same_size,
            },
        };
        return Ok(match (same, known.part) {
            (true, true) => Step::Continue,
            (true, false) => Step::Skip,
            (false, _) => Step::ReadAgain,
        });
    }
    // Parquet is not appended to.
    if longer && format != Format::Parquet && same_print()? == Some(true) {
        return Ok(Step::Continue);
    }
    Ok(Step::ReadAgain)
}
