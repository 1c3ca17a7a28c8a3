//! How a connector is run: every option alone and every two together, against the tables of
//! `docs/connectors.md`; each refusal as a snapshot; what exactly is made of a name; and the same
//! through the real binary.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[path = "resolve/closed.rs"]
mod closed;
#[path = "resolve/commands.rs"]
mod commands;
mod common;
#[path = "resolve/place.rs"]
mod place;
#[path = "resolve/settings.rs"]
mod settings;
#[path = "resolve/table.rs"]
mod table;
#[path = "resolve/world.rs"]
mod world;
