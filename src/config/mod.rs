//! Floor 2: what the operator wrote. `lockgate.toml`, options of a connector, configurations in
//! files or inline, sizes and durations. Into plain data: nothing here starts anything.

mod connector;
mod document;
mod edit;
mod environment;
mod error;
mod file;
mod image;
mod limits;
mod method;
mod options;
mod reference;
mod streams;
mod units;
mod write_back;

pub use connector::component_folders;
pub use document::{config_digest, merge_members, read_config, read_json_object};
pub use edit::ConfigPlace;
pub use environment::{Environment, RegistryVariable};
pub use error::ConfigError;
pub use file::{
    ConnectionSettings, ConnectorSettings, Isolation, Project, Strategy, StreamSelection,
};
pub(crate) use image::{is_image, is_pinned, repository};
pub use limits::{LIMIT_NAMES, limits_as_text, set_limit};
pub use method::{DockerImage, LocalExecutable, UsePython};
pub(crate) use method::{requirement_words, version_name};
pub use options::ConnectorOptions;
pub use reference::ConnectorReference;
pub(crate) use reference::is_plain;
pub use streams::StreamOptions;
pub use units::{parse_duration, parse_size};
pub use write_back::{ConfigFile, WriteBackError, Written};
