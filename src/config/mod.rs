//! Floor 2: what the operator wrote. `lockgate.toml`, options of a connector, configurations in
//! files or inline, sizes and durations. Into plain data: nothing here starts anything.

mod document;
mod edit;
mod error;
mod file;
mod limits;
mod options;
mod units;
mod write_back;

pub use document::{config_digest, merge_members, read_config, read_json_object};
pub use error::ConfigError;
pub use file::{
    ConnectionSettings, ConnectorSettings, Isolation, Project, Strategy, StreamSelection,
};
pub use limits::{LIMIT_NAMES, limits_as_text, set_limit};
pub use options::{ConnectorOptions, ConnectorReference};
pub use units::{parse_duration, parse_size};
pub use write_back::{ConfigFile, ConfigPlace, WriteBackError, Written};
