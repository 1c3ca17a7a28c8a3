//! What there may be at most. A component has 256 MiB in all.

/// Streams of a configuration: each is listed and sampled by `discover`, which has a minute.
pub(crate) const STREAMS: usize = 1000;
/// Files of a stream: a state names each.
pub(crate) const FILES: usize = 100_000;
/// Names in directories that are looked at for one stream: links can lead in circles.
pub(crate) const NAMES: usize = 1_000_000;
/// Directories within directories: links can lead in circles.
pub(crate) const DEPTH: usize = 32;
/// Bytes that are read at once: a call to the host costs little beside it.
pub(crate) const READ_BYTES: usize = 256 << 10;
/// Bytes of a row of text. It may be held three times: as it was read, in parts, and as JSON.
pub(crate) const ROW_BYTES: usize = 32 << 20;
/// Columns of a CSV file: each has a place in every row.
pub(crate) const COLUMNS: usize = 100_000;
/// Bytes that a zstd frame asks to be kept for its window: what `zstd -19` wants is 8 MiB.
pub(crate) const ZSTD_WINDOW_BYTES: u64 = 32 << 20;
/// Bytes of text of one file that its types are found out from, beside the configured rows: `discover`
/// has a minute for all streams.
pub(crate) const SAMPLE_BYTES: u64 = 4 << 20;
/// Files of a stream that are sampled, half of them the first and half the last.
pub(crate) const SAMPLE_FILES: usize = 8;
/// Bytes at the start of a file, and before where it was read to, that tell whether it is the same
/// file still.
pub(crate) const PRINT_BYTES: u64 = 4096;
/// Bytes of a Parquet file that a server without ranges may have: it is held whole.
pub(crate) const WHOLE_BYTES: u64 = 64 << 20;
/// Bytes of a Parquet file that are asked of a server at once.
pub(crate) const BLOCK_BYTES: u64 = 512 << 10;
/// Blocks of them that are kept: columns are read side by side.
pub(crate) const BLOCKS: usize = 64;
/// Bytes of Parquet rows that are decoded at once, by what the file says of its rows.
pub(crate) const DECODED_BYTES: u64 = 1 << 20;
/// Rows of Parquet that are decoded at once.
pub(crate) const DECODED_ROWS: u64 = 4096;
/// Bytes of a Parquet page that is decompressed from zstd: a page has about 1 MiB.
pub(crate) const PAGE_BYTES: u64 = 64 << 20;
