//! Airbyte's protocol on stdin and stdout: lines, batches, echoes.

mod acks;
mod batcher;
mod decode;
mod encode;
mod lines;

pub use acks::{AckError, Acks};
pub use batcher::{Batcher, BatcherError};
pub use decode::SourceDecoder;
pub(super) use decode::{lines_error, note};
pub use encode::{Encoder, Lines, message};
pub use lines::{LineReader, LinesError};
