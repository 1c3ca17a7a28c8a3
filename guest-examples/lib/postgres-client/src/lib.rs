//! Speaks to a PostgreSQL server from inside a component: what the connectors that read and write it
//! share. It is a library and no connector.
//!
//! The frontend/backend protocol 3.0 over `std::net` (in a component, `wasi:sockets`), encrypted by TLS
//! 1.3 in pure Rust, with SCRAM in which the server proves that it knows the password as well.
//!
//! The attack: a server that is not the one meant, or turned. It asks for the password in clear, sends
//! something before the encryption begins, or announces a message of 2 GB. The password is only ever
//! proven (SCRAM), unless the connection is encrypted or the operator allows it; nothing is read ahead
//! of TLS; messages have a size. Failures name the table and the SQLSTATE, never a value.

mod auth;
mod connection;
mod error;
mod query;
mod replication;
mod server;
mod sql;
mod stream;
mod tls;

pub use self::connection::{COPY_HEADER, Connection, Row};
pub use self::query::{Fields, Parameter, Query, ROW_BYTES};
pub use self::replication::{Heard, Replication};
pub use self::server::{Server, Side, SslMode};
pub use self::sql::{literal, quote};
