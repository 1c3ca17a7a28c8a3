//! What a destination can be given.

use crate::connector::Source;

use super::ReadResult;

/// Where the rows of a write come from. `&source` and `&read_result` become one by themselves.
#[derive(Debug, Clone, Copy)]
pub enum SourceData<'a> {
    /// A source, which is read.
    Source(&'a Source),
    /// What was read into a cache before; nothing is read.
    ReadResult(&'a ReadResult),
}

impl<'a> From<&'a Source> for SourceData<'a> {
    fn from(source: &'a Source) -> Self {
        Self::Source(source)
    }
}

impl<'a> From<&'a ReadResult> for SourceData<'a> {
    fn from(result: &'a ReadResult) -> Self {
        Self::ReadResult(result)
    }
}
