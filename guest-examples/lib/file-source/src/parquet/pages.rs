//! The pages of a row group. Those that are compressed by zstd are decompressed here: the library's own
//! zstd is C, which is not built for a component.
//!
//! The attack: a page of a few bytes that becomes gigabytes.

use std::io::{self, Read as _};
use std::iter;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::SerializedPageReader;

use super::chunk::Chunks;
use crate::limits;
use crate::text::zstd_reader;

/// One row group of a file.
pub(super) struct Group<'a> {
    pub(super) chunks: Arc<Chunks>,
    pub(super) metadata: &'a ParquetMetaData,
    pub(super) group: &'a RowGroupMetaData,
}

impl RowGroups for Group<'_> {
    fn num_rows(&self) -> usize {
        usize::try_from(self.group.num_rows()).unwrap_or_default()
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let column = self.group.columns().get(column).ok_or_else(|| {
            ParquetError::General("a row group has fewer columns than the schema".to_owned())
        })?;
        let read =
            |column| SerializedPageReader::new(self.chunks.clone(), column, self.num_rows(), None);
        let pages: Box<dyn PageReader> = if matches!(column.compression(), Compression::ZSTD(_)) {
            // So that its pages come as they are.
            let plain = column.clone().into_builder();
            let plain = plain.set_compression(Compression::UNCOMPRESSED).build()?;
            Box::new(Zstd(read(&plain)?))
        } else {
            Box::new(read(column)?)
        };
        Ok(Box::new(One(Some(pages))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(iter::once(self.group))
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.metadata
    }
}

/// The pages of one column in one row group.
struct One(Option<Box<dyn PageReader>>);

impl Iterator for One {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for One {}

/// Pages that are compressed by zstd.
struct Zstd(SerializedPageReader<Chunks>);

/// Decompresses what is behind the first `plain` bytes.
fn decompress(bytes: &Bytes, plain: usize) -> Result<Bytes> {
    let (start, rest) = bytes
        .split_at_checked(plain)
        .ok_or_else(|| ParquetError::General("a page is shorter than its levels".to_owned()))?;
    let mut out = start.to_vec();
    // A page of nulls has no values.
    if !rest.is_empty() {
        let most = limits::PAGE_BYTES;
        let mut reader = zstd_reader(rest).take(most + 1);
        let count = reader.read_to_end(&mut out).map_err(|error| {
            ParquetError::External(Box::new(io::Error::other(format!(
                "a page is no zstd: {error}"
            ))))
        })?;
        if count as u64 > most {
            return Err(ParquetError::General(format!("a page has more than {most} bytes")));
        }
    }
    Ok(out.into())
}

fn decompressed(mut page: Page) -> Result<Page> {
    match &mut page {
        Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = decompress(buf, 0)?,
        Page::DataPageV2 {
            buf, def_levels_byte_len, rep_levels_byte_len, is_compressed, ..
        } => {
            if *is_compressed {
                let levels = u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len);
                *buf = decompress(buf, usize::try_from(levels).unwrap_or(usize::MAX))?;
                *is_compressed = false;
            }
        }
    }
    Ok(page)
}

impl Iterator for Zstd {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Zstd {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.0.get_next_page()?.map(decompressed).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.0.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.0.skip_next_page()
    }

    fn supports_deferred_dictionary(&self) -> bool {
        self.0.supports_deferred_dictionary()
    }

    fn take_deferred_dictionary(&mut self) -> Result<Option<Page>> {
        self.0.take_deferred_dictionary()?.map(decompressed).transpose()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.0.at_record_boundary()
    }
}
