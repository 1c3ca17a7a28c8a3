//! What is fuzzed: one function a parser, which must neither panic nor break its property whatever
//! bytes it is given. The fuzz targets call them, and so does `tests/fuzz_bodies.rs`, always.

pub(crate) mod component_header;
pub(crate) mod network_gate;
pub(crate) mod network_pattern;
pub(crate) mod policy_file;
pub(crate) mod protocol_message;
pub(crate) mod specification;
pub(crate) mod state_file;

/// One of them.
pub(crate) type Body = fn(&[u8]);

/// Every body, by the name of its target and its corpus.
pub(crate) const ALL: &[(&str, Body)] = &[
    ("component_header", component_header::run),
    ("network_gate", network_gate::run),
    ("network_pattern", network_pattern::run),
    ("policy_file", policy_file::run),
    ("protocol_message", protocol_message::run),
    ("specification", specification::run),
    ("state_file", state_file::run),
];
