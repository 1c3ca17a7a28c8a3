//! Floor 3: for those who write connectors. A new project from an example ([`new_project`]), and what
//! makes a component of one ([`build_project`]).
//!
//! The examples are those of `guest-examples`, which are built and run by the tests of this repository;
//! the program brings them along, with the SDK that the ones in Rust need, so that a new project is
//! complete without this repository.

mod build;
mod error;
mod manifest;
mod project;

pub use build::{Built, build_project};
pub use error::AuthorError;
pub use project::{Language, NewProject, new_project};
