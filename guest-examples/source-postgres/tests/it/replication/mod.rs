//! Changes, by logical replication.

mod changes;
mod faults;
mod resume;
mod scene;
mod values;
