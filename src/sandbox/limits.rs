//! How much a connector may use. A connector that reaches a limit fails; it does not slow the
//! host down.

use std::time::Duration;

/// Every limit of one connector, with its unit. Guest-controlled sizes without one of these would
/// be sizes of the host's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory of one instance. 256 MiB: batches are 64 KiB, and a garbage-collected
    /// language needs tens of MiB to begin with.
    pub memory_bytes: usize,
    /// Elements of one table (function pointers and references). 200,000: JavaScript and Python
    /// engines have tens of thousands of functions.
    pub table_elements: usize,
    /// Core instances, memories and tables of one component. 128: a Python component links some 40
    /// libraries.
    pub instances: usize,
    /// Handles to host resources (files, streams, pollables) alive at once. 10,000: a connector
    /// with a file a stream and thousands of streams fits.
    pub handles: usize,
    /// Bytes that one call from the guest may make the host allocate. 80 MiB: one row of
    /// `row_bytes` and its envelope.
    pub host_call_bytes: usize,
    /// The same in `spec` and `check`. 4 MiB: a schema is read into a tree that takes many times its
    /// bytes.
    pub spec_bytes: usize,
    /// Bytes of random data one call may ask for. 64 KiB: keys and seeds are smaller.
    pub random_bytes: u64,
    /// Bytes of one row's `data`. 64 MiB; Airbyte's platform warns at 20 MB.
    pub row_bytes: usize,
    /// Bytes of one state. 32 MiB: it is kept in memory, in the state store and in the report's
    /// neighbourhood.
    pub state_bytes: usize,
    /// Bytes of one line on stdio: a row and its envelope. 72 MiB.
    pub line_bytes: usize,
    /// Streams in a discovered catalog. 100,000: more is a fault or an attack.
    pub streams: usize,
    /// Bytes of log messages of one operation that are kept. 16 MiB; the rest is dropped.
    pub log_bytes: usize,
    /// Bytes of one log message that are kept. 64 KiB: a long stack trace.
    pub log_message_bytes: usize,
    /// Wall time of `spec`. 10 s: a Python connector imports for up to 11 CPU-seconds, see
    /// `process_start`.
    pub spec_time: Duration,
    /// Wall time of `check` and `discover`. 60 s.
    pub check_time: Duration,
    /// Wall time of `read` and `write`; none: as long as rows keep moving.
    pub sync_time: Option<Duration>,
    /// Added to `spec_time` and `check_time` for a process: interpreters start slowly. 30 s.
    pub process_start: Duration,
    /// From SIGTERM to SIGKILL. 10 s, as PyAirbyte waits.
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            memory_bytes: 256 * MIB,
            table_elements: 200_000,
            instances: 128,
            handles: 10_000,
            host_call_bytes: 80 * MIB,
            spec_bytes: 4 * MIB,
            random_bytes: 64 << 10,
            row_bytes: 64 * MIB,
            state_bytes: 32 * MIB,
            line_bytes: 72 * MIB,
            streams: 100_000,
            log_bytes: 16 * MIB,
            log_message_bytes: 64 << 10,
            spec_time: Duration::from_secs(10),
            check_time: Duration::from_secs(60),
            sync_time: None,
            process_start: Duration::from_secs(30),
            stop_time: Duration::from_secs(10),
        }
    }
}
