//! From a name and options to the one way of running a connector, and why it is that one.
//!
//! The attack: a name that somebody else can fill. What is looked up by a bare name is taken from the
//! nearest and best contained place first (a component of the project, a program of this machine),
//! and from the registry only when nothing else has it; what an option or the name's own form says is
//! never overruled by what happens to lie on `PATH`. Two answers to one question are an error, not a
//! choice. A name becomes a part of paths, images and requirements only when it is plain.
//!
//! Everything is decided before anything is started, and the world is asked through [`Surroundings`].

mod claims;
mod error;
mod fits;
mod image;
mod lookup;
mod package;
mod program;
mod surroundings;

use std::path::PathBuf;

use serde::Serialize;

pub use error::ResolveError;
pub use surroundings::{Here, Registered, Surroundings};

use crate::component::Kind;
use crate::config::{ConnectorOptions, ConnectorReference, version_name};
use crate::executor::{DockerSettings, PythonSettings};
use crate::sandbox::redacted;

/// A way of running a connector, with what is needed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// A component file.
    Component(PathBuf),
    /// A program.
    Process(PathBuf),
    /// A Python package.
    Python(PythonSettings),
    /// An image.
    Docker(DockerSettings),
    /// Nothing runs: the registry has its specification.
    Registered {
        /// As the registry knows it.
        name: String,
        /// Which version; none: the newest.
        version: Option<String>,
    },
    /// The built-in destination that keeps nothing.
    Noop,
}

impl Method {
    /// As reports name it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Component(_) => "component",
            Self::Process(_) => "process",
            Self::Python(_) => "python",
            Self::Docker(_) => "docker",
            Self::Registered { .. } => "none",
            Self::Noop => "noop",
        }
    }

    /// What it comes to, for people: without the credentials of an address.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::Component(path) | Self::Process(path) => path.display().to_string(),
            Self::Python(settings) => redacted(&settings.requirement.join(" ")),
            Self::Docker(settings) => settings.image.clone(),
            Self::Registered { name, version } => match version {
                Some(version) => format!("{name} {version} of the registry"),
                None => format!("{name} of the registry"),
            },
            Self::Noop => "built in".to_owned(),
        }
    }
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// How it is run.
    pub method: Method,
    /// Why so: one sentence without its full stop.
    pub why: String,
    /// What went wrong on the way and was helped.
    pub warnings: Vec<String>,
}

/// What was decided, for reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// `component`, `process`, `python`, `docker`, `none` or `noop`.
    pub method: &'static str,
    /// What runs: a file, an image, a requirement.
    pub target: String,
    /// Why so.
    pub why: String,
}

impl Choice {
    fn new(method: Method, why: String) -> Self {
        Self { method, why, warnings: Vec::new() }
    }

    /// Without what it takes to run it.
    #[must_use]
    pub fn chosen(&self) -> Chosen {
        let (method, target) = (self.method.word(), self.method.target());
        Chosen { method, target, why: self.why.clone() }
    }
}

/// How a connector named `name` is run. `wanted` is what it must be, where that is known.
///
/// # Errors
/// [`ResolveError`], which names every option that is in the way of another.
pub fn resolve(
    name: &str,
    options: &ConnectorOptions,
    wanted: Option<Kind>,
    around: &dyn Surroundings,
) -> Result<Choice, ResolveError> {
    let reference = ConnectorReference::parse(name)?;
    if let Some(version) = &options.version {
        version_name(version)?;
    }
    let asking = Asking { name, reference: &reference, options, wanted, around };
    let choice = match claims::claim(&reference, options)? {
        Some(claim) => asking.claimed(&claim)?,
        None => asking.looked_up()?,
    };
    let mut warnings = around.warnings();
    if options.use_host_network {
        let more = if options.allow_net.is_empty() { "" } else { ", allow-net included" };
        warnings.push(format!("on the host's network nothing that it reaches is enforced{more}"));
    }
    Ok(Choice { warnings, ..choice })
}

/// What was asked, and who is asked in turn.
#[derive(Clone, Copy)]
struct Asking<'a> {
    name: &'a str,
    reference: &'a ConnectorReference,
    options: &'a ConnectorOptions,
    wanted: Option<Kind>,
    around: &'a dyn Surroundings,
}
