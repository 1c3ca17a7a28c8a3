//! How much a connector may use. A connector that reaches a limit fails; it does not slow the
//! host down.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Every limit of one connector, with its unit. Guest-controlled sizes without one of these would
/// be sizes of the host's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Bytes of a component's file. 256 MiB: a component written in Python has 20 MB.
    pub component_bytes: usize,
    /// Bytes that compiling a component may use, in a process of its own. 2 GiB: a component written
    /// in Python takes a third of that.
    pub compile_bytes: usize,
    /// Time that compiling a component may take. 120 s: a component written in Python takes 17
    /// CPU-seconds.
    pub compile_time: Duration,
    /// CPU time of one operation of a component; none: `spec`, `check` and `discover` end by their
    /// wall time, and a sync computes as long as rows move.
    pub cpu_time: Option<Duration>,
    /// Bytes of random data one call may ask for. 64 KiB: keys and seeds are smaller.
    pub random_bytes: u64,
    /// Files and directories one operation may have open at once. 1,000: a file a stream and room to
    /// spare.
    pub open_files: usize,
    /// Files and directories one operation may create. 100,000: more is a disk's inodes used up.
    pub created_files: usize,
    /// Bytes one operation may write to its directories. 1 TiB.
    pub written_bytes: u64,
    /// Bytes that stay free on the disk of a directory that is written to. 256 MiB: the host and its
    /// neighbours need some.
    pub disk_reserve_bytes: u64,
    /// TCP connections open at once. 64: a pool for each of a few dozen tables.
    pub connections: usize,
    /// TCP connections one operation may open in all. 100,000: an HTTP API asked page by page.
    pub connections_total: u64,
    /// Names one operation may look up. 100,000: one a connection.
    pub lookups: u64,
    /// Bytes one operation may send and receive over the network. 1 TiB.
    pub network_bytes: u64,
    /// Time to open a connection, its TLS included. 30 s.
    pub connect_time: Duration,
    /// Time from a request to the first byte of its answer. 10 min: a database sorts before it
    /// answers.
    pub first_byte_time: Duration,
    /// Time a connection may be waited on while nothing comes or goes. 10 min.
    pub network_idle_time: Duration,
    /// Bytes of the headers of one HTTP message. 128 KiB.
    pub http_header_bytes: usize,
    /// Bytes of the body of one HTTP message. 16 GiB: a large file is one body.
    pub http_body_bytes: u64,
    /// Bytes of one row's `data`. 64 MiB; Airbyte's platform warns at 20 MB.
    pub row_bytes: usize,
    /// Bytes of one state. 32 MiB: it is kept in memory, in the state store and in the report's
    /// neighbourhood.
    pub state_bytes: usize,
    /// Bytes of one line on stdio: a row and its envelope. 72 MiB.
    pub line_bytes: usize,
    /// Streams in a discovered catalog. 100,000: more is a fault or an attack.
    pub streams: usize,
    /// Bytes of everything a source answers to `discover`. 64 MiB: it is read into a tree that takes
    /// several times its bytes.
    pub discover_bytes: usize,
    /// Decisions of one operation that are kept in the audit trail, equal ones as one. 10,000; the
    /// rest is counted.
    pub decisions: usize,
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
    /// Bytes of memory of one process of a connector that is a process. 4 GiB: pandas on a large table.
    pub process_bytes: u64,
    /// Files a connector that is a process may have open at once. 4,096.
    pub process_files: u64,
    /// Bytes of memory of one container, its `/tmp` and swap included. 2 GiB: a JVM takes a quarter of it
    /// for its heap.
    pub container_memory: u64,
    /// Processes and threads of one container. 1,024: a JVM has a hundred, a pool of workers some more.
    pub container_pids: u64,
    /// Processors of one container; never more than the engine has. 4: a sync is two connectors and
    /// neighbours.
    pub container_cpus: u64,
    /// Bytes of a container's `/tmp`, which is memory. 1 GiB: files that are staged before they are
    /// loaded.
    pub container_tmp: u64,
    /// Time that pulling an image may take. 10 min: a gigabyte over a slow line.
    pub pull_time: Duration,
    /// Time that a container engine may take to answer. 30 s: starting a container on a busy machine.
    pub engine_time: Duration,
    /// Time that the command behind a secret may take. 30 s.
    pub secret_time: Duration,
    /// Time that installing a Python connector may take. 10 min: hundreds of megabytes over a slow line,
    /// and packages that are built from source.
    pub install_time: Duration,
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
            component_bytes: 256 * MIB,
            compile_bytes: 2048 * MIB,
            compile_time: Duration::from_secs(120),
            cpu_time: None,
            random_bytes: 64 << 10,
            open_files: 1000,
            created_files: 100_000,
            written_bytes: 1 << 40,
            disk_reserve_bytes: 256 << 20,
            connections: 64,
            connections_total: 100_000,
            lookups: 100_000,
            network_bytes: 1 << 40,
            connect_time: Duration::from_secs(30),
            first_byte_time: Duration::from_secs(600),
            network_idle_time: Duration::from_secs(600),
            http_header_bytes: 128 << 10,
            http_body_bytes: 16 << 30,
            row_bytes: 64 * MIB,
            state_bytes: 32 * MIB,
            line_bytes: 72 * MIB,
            streams: 100_000,
            discover_bytes: 64 * MIB,
            decisions: 10_000,
            log_bytes: 16 * MIB,
            log_message_bytes: 64 << 10,
            spec_time: Duration::from_secs(10),
            check_time: Duration::from_secs(60),
            sync_time: None,
            process_start: Duration::from_secs(30),
            process_bytes: 4 << 30,
            process_files: 4096,
            container_memory: 2 << 30,
            container_pids: 1024,
            container_cpus: 4,
            container_tmp: 1 << 30,
            pull_time: Duration::from_secs(600),
            engine_time: Duration::from_secs(30),
            secret_time: Duration::from_secs(30),
            install_time: Duration::from_secs(600),
            stop_time: Duration::from_secs(10),
        }
    }
}
