//! Rows of JSON as destinations read them: members found in place, values by their text, nothing
//! rounded and nothing built. It is a library and no connector.

mod changes;
pub mod escape;
pub mod fields;
pub mod name;
pub mod number;
pub mod scan;
pub mod schema;
pub mod time;

pub use changes::{Change, Changes, NoMeta};
pub use schema::{ColumnType, of_schema};
