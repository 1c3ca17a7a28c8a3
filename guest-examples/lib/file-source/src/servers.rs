//! What a component that reaches servers brings along.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use lockgate_sdk::{Failure, http, retry};

/// Asks servers for files. A component that reaches none has none, and imports nothing of HTTP.
pub trait Servers: fmt::Debug {
    /// Looks at a file; `name` is what messages call it.
    ///
    /// # Errors
    /// It is not there, or may not be read.
    fn open(
        &self,
        url: &http::Url,
        name: &str,
        policy: retry::Policy,
    ) -> Result<Arc<dyn Remote>, Failure>;
}

/// A file on a server.
pub trait Remote: fmt::Debug + Send + Sync {
    /// Its size in bytes, if the server says.
    fn size(&self) -> Option<u64>;

    /// What changes when the file does, if the server says.
    fn stamp(&self) -> Option<&str>;

    /// Does the server answer with parts of it?
    fn has_ranges(&self) -> bool;

    /// Fills `buffer` from a place on; fewer bytes only at the end. None: there are no parts.
    ///
    /// # Errors
    /// What broke the answer off.
    fn read_at(&self, buffer: &mut [u8], start: u64) -> Result<Option<usize>, Failure>;

    /// Reads it from a place on.
    fn reader(self: Arc<Self>, start: u64) -> Box<dyn Read>;
}
