//! The text of a file: decompressed as it is read, in a buffer that lines are found in.

mod zstd;

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use lockgate_sdk::{Failure, log};

use crate::config::Compression;
use crate::limits;
use crate::place::Opened;
use crate::progress::Start;
use crate::state::Position;

/// The text of a file, from a place on.
pub(crate) struct Text {
    inner: Box<dyn Read>,
    name: String,
    compression: Compression,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The place in the text of the first byte in the buffer that was not taken.
    offset: u64,
    ended: bool,
}

impl Text {
    /// Opens the text at a place in it, in bytes. A place in what is compressed is reached by reading
    /// all before it.
    ///
    /// # Errors
    /// The file cannot be read, or is not compressed as the configuration says.
    pub(crate) fn open(
        file: &Opened,
        compression: Compression,
        offset: u64,
    ) -> Result<Self, Failure> {
        let compression = match compression {
            Compression::Auto => detect(file)?,
            known => known,
        };
        let plain = compression == Compression::None;
        let raw = file.reader(if plain { offset } else { 0 });
        let buffered = |raw| BufReader::with_capacity(limits::READ_BYTES, raw);
        let inner: Box<dyn Read> = match compression {
            Compression::Gzip => Box::new(MultiGzDecoder::new(buffered(raw))),
            Compression::Zstd => Box::new(zstd::Frames::new(buffered(raw))),
            Compression::None | Compression::Auto => raw,
        };
        let mut text = Self {
            inner,
            name: file.name.clone(),
            compression,
            buffer: vec![0; limits::READ_BYTES],
            start: 0,
            end: 0,
            offset: if plain { offset } else { 0 },
            ended: false,
        };
        while text.offset < offset {
            let left = usize::try_from(offset - text.offset).unwrap_or(usize::MAX);
            let count = text.fill()?.len().min(left);
            if count == 0 {
                return Err(Failure::config(format!(
                    "the file {} ends before byte {offset} of its text, where it was read to before: \
                     clear the stream's state to read it again",
                    file.name
                )));
            }
            text.take(count);
        }
        if text.offset == 0 {
            text.skip_mark()?;
        }
        Ok(text)
    }

    /// Is what is read what is in the file?
    pub(crate) fn is_plain(&self) -> bool {
        self.compression == Compression::None
    }

    /// The place of the first byte that was not taken.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// What is there and was not taken; reads where there is nothing. Empty at the end.
    pub(crate) fn fill(&mut self) -> Result<&[u8], Failure> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.more()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Takes bytes.
    pub(crate) fn take(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// The bytes up to the next line feed, without it, and how many are to be taken for them. At the end
    /// what is left, where `ended` says so; none when there is nothing.
    ///
    /// # Errors
    /// The line is longer than [`limits::ROW_BYTES`]; `line` is its number.
    pub(crate) fn line(&mut self, line: u64) -> Result<Option<Line<'_>>, Failure> {
        let mut looked = 0;
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[self.start + looked..self.end]);
            if let Some(at) = found {
                let length = looked + at;
                let bytes = &self.buffer[self.start..self.start + length];
                return Ok(Some(Line { bytes, taken: length + 1, ended: true }));
            }
            looked = self.end - self.start;
            if looked > limits::ROW_BYTES {
                return Err(Failure::config(format!(
                    "{}, line {line}: the line is longer than {} bytes",
                    self.name,
                    limits::ROW_BYTES
                )));
            }
            if self.more()? == 0 {
                let bytes = &self.buffer[self.start..self.end];
                return Ok((looked > 0).then_some(Line { bytes, taken: looked, ended: false }));
            }
        }
    }

    /// Reads behind what is there.
    fn more(&mut self) -> Result<usize, Failure> {
        if self.ended {
            return Ok(0);
        }
        if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end * 2 > self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        let count = loop {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failure(error, &self.name, self.compression)),
                Ok(count) => break count,
            }
        };
        self.ended = count == 0;
        self.end += count;
        Ok(count)
    }

    /// Skips the mark of UTF-8 at the start, and refuses those of other encodings.
    fn skip_mark(&mut self) -> Result<(), Failure> {
        while self.end - self.start < 3 && self.more()? > 0 {}
        let start = &self.buffer[self.start..self.end];
        if start.starts_with(b"\xef\xbb\xbf") {
            self.take(3);
        } else if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            return Err(Failure::config(format!(
                "the file {} is in UTF-16: only UTF-8 is read, so convert it",
                self.name
            )));
        }
        Ok(())
    }
}

/// A line of a text.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// Its bytes without the line feed.
    pub(crate) bytes: &'a [u8],
    /// How many bytes it has with it.
    pub(crate) taken: usize,
    /// It has a line feed.
    pub(crate) ended: bool,
}

/// Decompresses zstd that is in memory.
pub(crate) fn zstd_reader(bytes: &[u8]) -> impl Read + use<'_> {
    zstd::Frames::new(bytes)
}

/// Where a read of a text begins that was read before. A row that nothing ended then, and that goes on,
/// is read again.
pub(crate) fn begin(
    file: &Opened,
    compression: Compression,
    start: Start,
) -> Result<Position, Failure> {
    let Some(last) = start.last else { return Ok(start.place) };
    let mut text = Text::open(file, compression, start.place.offset)?;
    match text.fill()?.first() {
        None | Some(b'\n' | b'\r') => Ok(start.place),
        Some(_) => {
            log::warn(format_args!(
                "{}, line {}: the row was read before it was whole, and is read again",
                file.name,
                last.line + 1
            ));
            Ok(last)
        }
    }
}

/// What the first bytes of a file say: no text begins so.
fn detect(file: &Opened) -> Result<Compression, Failure> {
    let mut start = [0; 4];
    let count = match file.read_at(&mut start, 0)? {
        Some(count) => count,
        None => {
            let mut part = file.reader(0).take(4);
            let mut count = 0;
            while count < start.len() {
                match part.read(&mut start[count..]) {
                    Ok(0) => break,
                    Ok(more) => count += more,
                    Err(error) => return Err(failure(error, &file.name, Compression::None)),
                }
            }
            count
        }
    };
    Ok(match &start[..count] {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        // A frame, or one that is to be skipped.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
        _ => Compression::None,
    })
}

fn failure(error: io::Error, name: &str, compression: Compression) -> Failure {
    // What a decoder was given may be in an error of its own.
    if let Some(failure) = Failure::carried(&error) {
        return failure.clone();
    }
    let what = match compression {
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
        Compression::None | Compression::Auto => {
            return Failure::system(format!("cannot read {name}: {error}"));
        }
    };
    let mut source: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|e| e as _);
    while let Some(inner) = source {
        let io = inner.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof) {
            return cut(name, what);
        }
        source = inner.source();
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return cut(name, what);
    }
    Failure::config(format!("the file {name} is not {what}, or it is damaged: {error}"))
}

fn cut(name: &str, what: &str) -> Failure {
    Failure::config(format!(
        "the file {name} ends in the middle of its {what} data: it is cut off, or is still being written"
    ))
}
