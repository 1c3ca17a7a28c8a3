//! An object on its way, of a size that nobody knows yet.

use std::fmt;
use std::sync::Arc;

use crate::bucket::{Bucket, Condition};
use crate::error::{Error, Reason};

/// The least that S3 takes for a part which is not the last.
pub const MIN_PART_BYTES: usize = 5 << 20;

/// The most parts of an object.
pub const MAX_PARTS: usize = 10_000;

/// An object on its way. What is pushed is kept until it is a part; an object of less than one part is
/// written by one request. Nobody sees anything of it until [`Upload::finish`] returns. When it is dropped
/// before, its parts are forgotten as far as that works at once.
pub struct Upload {
    bucket: Arc<Bucket>,
    key: String,
    media_type: &'static str,
    part_bytes: usize,
    buffer: Vec<u8>,
    /// Bytes in parts that were sent.
    sent: u64,
    /// The upload's id, once there is one.
    id: Option<String>,
    tags: Vec<String>,
}

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub bytes: u64,
}

impl Upload {
    /// Begins an object; nothing is sent. `part_bytes` is at least [`MIN_PART_BYTES`], and is so much of
    /// memory.
    #[must_use]
    pub fn new(
        bucket: Arc<Bucket>,
        key: impl Into<String>,
        media_type: &'static str,
        part_bytes: usize,
    ) -> Self {
        let part_bytes = part_bytes.max(MIN_PART_BYTES);
        Self {
            bucket,
            key: key.into(),
            media_type,
            part_bytes,
            buffer: Vec::new(),
            sent: 0,
            id: None,
            tags: Vec::new(),
        }
    }

    /// Bytes that are held in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Bytes the object has so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sent + self.buffer.len() as u64
    }

    /// Adds bytes. Waits for the service where they fill parts.
    ///
    /// # Errors
    /// What a part was refused with: the object cannot be finished any more.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            // A full part waits for more: as the last one it would need no upload of parts.
            if self.buffer.len() >= self.part_bytes {
                self.send()?;
            }
            let room = self.part_bytes - self.buffer.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            // Growth by doubling, but never beyond a part.
            let (length, capacity) = (self.buffer.len(), self.buffer.capacity());
            if length + now.len() > capacity {
                let wanted = (2 * capacity).clamp(length + now.len(), self.part_bytes);
                self.buffer.reserve_exact(wanted - length);
            }
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Error> {
        if self.tags.len() >= MAX_PARTS {
            return Err(Error::new(
                "UploadPart",
                &self.bucket.url(&self.key),
                Reason::TooManyParts,
            ));
        }
        let id = match &self.id {
            Some(id) => id,
            None => self.id.insert(self.bucket.begin(&self.key, self.media_type)?),
        };
        let number = u32::try_from(self.tags.len() + 1).unwrap_or(u32::MAX);
        let tag = self.bucket.put_part(&self.key, id, number, &self.buffer)?;
        self.tags.push(tag);
        self.sent += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes it visible.
    ///
    /// # Errors
    /// What it was refused with; then nothing of it is visible, or all, where only the answer was lost.
    pub fn finish(mut self) -> Result<Uploaded, Error> {
        if self.id.is_some() {
            self.send()?;
        }
        let bytes = self.bytes();
        match &self.id {
            None => {
                let (body, kind) = (&self.buffer, self.media_type);
                self.bucket.put(&self.key, body, kind, &Condition::None)?;
            }
            Some(id) => self.bucket.complete(&self.key, id, &self.tags, bytes)?,
        }
        self.id = None;
        Ok(Uploaded { key: std::mem::take(&mut self.key), bytes })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(id) = self.id.take()
            && !self.bucket.is_silent()
        {
            // Why it was dropped is what is told; the next sync aborts what stays.
            let _ = self.bucket.abort_once(&self.key, &id);
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("key", &self.key)
            .field("bytes", &self.bytes())
            .field("parts", &self.tags.len())
            .finish_non_exhaustive()
    }
}
