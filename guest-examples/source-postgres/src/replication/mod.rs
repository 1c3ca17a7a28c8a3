//! Change data capture by logical replication.

mod lsn;
mod pgoutput;
