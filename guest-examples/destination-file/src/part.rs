//! A file as it is written.

use std::io;

use lockgate_sdk::fs;

/// Bytes that are handed to the host at once.
const WRITE_BYTES: usize = 256 << 10;

/// A file as it is written.
#[derive(Debug)]
pub(crate) struct Part {
    file: fs::File,
    /// Bytes that were written.
    at: u64,
    buffer: Vec<u8>,
}

impl Part {
    pub(crate) fn new(file: fs::File) -> Self {
        Self { file, at: 0, buffer: Vec::new() }
    }

    /// Bytes that it has.
    pub(crate) fn size(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    /// Puts all of it on the disk.
    pub(crate) fn sync(mut self) -> Result<(), fs::Error> {
        self.hand_over()?;
        self.file.sync_data()
    }

    fn hand_over(&mut self) -> Result<(), fs::Error> {
        self.file.write_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl io::Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.is_empty() && bytes.len() >= WRITE_BYTES {
            // A batch that is large enough takes no detour.
            self.file.write_at(bytes, self.at)?;
            self.at += bytes.len() as u64;
            return Ok(bytes.len());
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES {
            self.hand_over()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
