//! What a connector may reach.
//!
//! The attack: a connector asks for more than it needs and gets it by default. Here the default
//! is nothing, a grant names one thing, and what a connector says it needs is only shown to the
//! operator.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::secrets::Variable;
use super::{Limits, NetworkGrants, NetworkPattern};
use crate::fault::{ExitClass, Fault};

/// Names of files in which the host keeps what a connector must not change or read: states and
/// records of runs, and the policy itself. They are the host's wherever they are.
pub(crate) const HOST_STATE: [&str; 2] = [".lockgate", "lockgate.toml"];

/// What may be done in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Read, create, change and remove.
    ReadWrite,
}

/// One directory of the host, under a name in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryGrant {
    /// Where it is on the host. Must exist when the connector starts.
    pub host: PathBuf,
    /// What the guest calls it: an absolute path.
    pub guest: String,
    /// What may be done there.
    pub access: Access,
}

impl DirectoryGrant {
    /// As a rule of the audit trail: `allow-dir HOST::GUEST:ro` or `:rw`.
    #[must_use]
    pub fn rule(&self) -> String {
        let ending = match self.access {
            Access::Read => ":ro",
            Access::ReadWrite => ":rw",
        };
        format!("allow-dir {}::{}{ending}", self.host.display(), self.guest)
    }
}

/// How much a connector that is a process must be fenced in by the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fence {
    /// The whole fence, or it is not run.
    #[default]
    Require,
    /// As much of it as this kernel has.
    BestEffort,
    /// None: it reaches what its user reaches.
    Off,
}

impl Fence {
    /// `require`, `best-effort` or `off`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::BestEffort => "best-effort",
            Self::Off => "off",
        }
    }
}

impl std::str::FromStr for Fence {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        [Self::Require, Self::BestEffort, Self::Off]
            .into_iter()
            .find(|fence| fence.word() == text)
            .ok_or_else(|| PolicyError::Fence(text.to_owned()))
    }
}

/// Why a grant cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    /// Not `HOST_DIR::GUEST_DIR[:ro|rw]`.
    #[error(
        "the directory grant {0:?} is not HOST_DIR::GUEST_DIR or DIR, with :ro or :rw behind it or nothing"
    )]
    Directory(String),
    /// A guest path that is relative or has dots.
    #[error("the guest directory {0:?} is not an absolute path without . and ..")]
    GuestPath(String),
    /// Two grants under one guest path.
    #[error("the guest directory {0} is granted twice")]
    Twice(String),
    /// Not `NAME=VALUE`; the value is not shown.
    #[error("the environment grant for {0:?} is not NAME=VALUE")]
    Environment(String),
    /// Not a pattern of hosts and ports.
    #[error("the network grant {grant:?} cannot be used: {why}")]
    Network {
        /// As it was written.
        grant: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not a level of the fence.
    #[error("sandbox {0:?} is not one of require, best-effort and off")]
    Fence(String),
}

impl Fault for PolicyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Directory(_) | Self::GuestPath(_) | Self::Twice(_) => "GRANT_DIRECTORY",
            Self::Environment(_) => "GRANT_ENVIRONMENT",
            Self::Network { .. } => "GRANT_NETWORK",
            Self::Fence(_) => "GRANT_SANDBOX",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Environment(_) => "write --env NAME=VALUE".into(),
            Self::Network { .. } => {
                "for example --allow-net db.example:5432, *.example.com:443 or 10.0.0.0/8:5432"
                    .into()
            }
            Self::Fence(_) => "write --sandbox best-effort".into(),
            _ => "for example --allow-dir ./out::/out, or ./in::/in:ro to read only".into(),
        })
    }

    fn exit(&self) -> ExitClass {
        ExitClass::Usage
    }
}

/// Everything one connector is granted, and its limits. The default grants nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Directories.
    pub directories: Vec<DirectoryGrant>,
    /// Environment variables, name and value. Nothing of the host's own environment passes.
    pub environment: Vec<(String, Variable)>,
    /// Names and addresses.
    pub network: NetworkGrants,
    /// Whether a container is on the host's network, where nothing that it reaches is enforced.
    pub host_network: bool,
    /// The directory that a container knows as `/local`, to read and to write.
    pub local: Option<PathBuf>,
    /// How much of a fence a process must have.
    pub fence: Fence,
    /// Whether it is run although it says that it needs more than it is granted.
    pub allow_missing_needs: bool,
    /// How much it may use.
    pub limits: Limits,
}

impl Policy {
    /// Grants what `HOST_DIR::GUEST_DIR[:ro|rw]` says; without an ending, read and write.
    ///
    /// # Errors
    /// [`PolicyError`], when the text is not of that form.
    pub fn allow_dir(&mut self, grant: &str) -> Result<(), PolicyError> {
        let malformed = || PolicyError::Directory(grant.to_owned());
        // A host path may hold `::`; a guest path may not.
        let (host, guest) = grant.rsplit_once("::").ok_or_else(malformed)?;
        let (guest, access) = match guest.rsplit_once(':') {
            Some((guest, "ro")) => (guest, Access::Read),
            Some((guest, "rw")) => (guest, Access::ReadWrite),
            Some(_) => return Err(malformed()),
            None => (guest, Access::ReadWrite),
        };
        if host.is_empty() || guest.is_empty() {
            return Err(malformed());
        }
        self.grant_directory(DirectoryGrant {
            host: PathBuf::from(host),
            guest: guest.to_owned(),
            access,
        })
    }

    /// As [`Policy::allow_dir`], where relative host directories begin in `base`; and the short form
    /// `DIR[:ro|rw]`, whose guest path is the directory's own.
    ///
    /// # Errors
    /// [`PolicyError`], when the text is of neither form.
    pub fn allow_dir_in(&mut self, base: &Path, grant: &str) -> Result<(), PolicyError> {
        if grant.contains("::") {
            let last = self.directories.len();
            self.allow_dir(grant)?;
            for grant in &mut self.directories[last..] {
                // Without the `.` that many write.
                grant.host = base.join(&grant.host).components().collect();
            }
            return Ok(());
        }
        let malformed = || PolicyError::Directory(grant.to_owned());
        let (host, access) = match grant.rsplit_once(':') {
            Some((host, "ro")) => (host, Access::Read),
            Some((host, "rw")) => (host, Access::ReadWrite),
            Some(_) => return Err(malformed()),
            None => (grant, Access::ReadWrite),
        };
        if host.is_empty() {
            return Err(malformed());
        }
        let host = std::path::absolute(base.join(host)).map_err(|_| malformed())?;
        // `..` is left in by that, and may lead anywhere behind a link.
        let host = match host.components().any(|c| c == std::path::Component::ParentDir) {
            true => host.canonicalize().map_err(|_| malformed())?,
            false => host,
        };
        let guest = host.to_str().ok_or_else(malformed)?.to_owned();
        self.grant_directory(DirectoryGrant { host, guest, access })
    }

    /// Grants a directory.
    ///
    /// # Errors
    /// [`PolicyError`], when the guest path cannot be one or is taken.
    pub fn grant_directory(&mut self, mut grant: DirectoryGrant) -> Result<(), PolicyError> {
        let steps: Vec<&str> = grant.guest.split('/').filter(|s| !s.is_empty()).collect();
        let plain = |s: &str| !matches!(s, "." | "..") && !s.contains('\0');
        if !grant.guest.starts_with('/') || !steps.iter().copied().all(plain) {
            return Err(PolicyError::GuestPath(grant.guest));
        }
        grant.guest = format!("/{}", steps.join("/"));
        if self.directories.iter().any(|d| d.guest == grant.guest) {
            return Err(PolicyError::Twice(grant.guest));
        }
        self.directories.push(grant);
        Ok(())
    }

    /// The grants, as text: two policies that open the same have the same.
    #[must_use]
    pub fn grants(&self) -> Vec<String> {
        let directories = self.directories.iter().map(|d| {
            let host = d.host.canonicalize().unwrap_or_else(|_| d.host.clone());
            format!("directory {}::{}", host.display(), d.guest)
        });
        // Which value it is counts, and nobody shall read it.
        let environment = self.environment.iter().map(|(name, value)| {
            format!("env {name} sha256:{}", hex::encode(Sha256::digest(value.written())))
        });
        let network = self.network.patterns.iter().map(|p| format!("network {}", p.text()));
        let mut grants: Vec<String> = directories.chain(environment).chain(network).collect();
        grants.sort();
        grants
    }

    /// Grants what `HOST:PORT` says, its `${config.path}` taken from the configuration; `*` as a
    /// host only if any network is allowed.
    ///
    /// # Errors
    /// [`PolicyError`], when the text is not of that form.
    pub fn allow_net(
        &mut self,
        grant: &str,
        config: &serde_json::Value,
        allow_any: bool,
    ) -> Result<(), PolicyError> {
        let pattern = NetworkPattern::fill(grant, config, allow_any)?;
        if !self.network.patterns.contains(&pattern) {
            self.network.patterns.push(pattern);
        }
        Ok(())
    }

    /// Grants what `NAME=VALUE` says.
    ///
    /// # Errors
    /// [`PolicyError`], when the text is not of that form.
    pub fn allow_env(&mut self, grant: &str) -> Result<(), PolicyError> {
        match grant.split_once('=') {
            Some((name, value)) if !name.is_empty() && !grant.contains('\0') => {
                self.environment.retain(|(known, _)| known != name);
                self.environment.push((name.to_owned(), Variable::new(value)));
                Ok(())
            }
            // Without a `=` all of it may be the value.
            _ => {
                let name = grant.split_once('=').map_or("", |(name, _)| name);
                Err(PolicyError::Environment(name.replace('\0', "")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_grants_nothing() {
        let policy = Policy::default();
        assert!(policy.directories.is_empty());
        assert!(policy.environment.is_empty());
    }

    #[test]
    fn grants_of_directories() {
        let mut policy = Policy::default();
        policy.allow_dir("out::/out").unwrap();
        policy.allow_dir("a::b::/in/:ro").unwrap();
        assert_eq!(policy.directories[0].access, Access::ReadWrite);
        assert_eq!(policy.directories[1].host, PathBuf::from("a::b"));
        assert_eq!(policy.directories[1].guest, "/in");
        assert_eq!(policy.directories[1].access, Access::Read);
        assert_eq!(policy.allow_dir("x:://out//"), Err(PolicyError::Twice("/out".into())));
        for bad in ["out", "out:/out", "::/out", "out::", "out::/out:wo"] {
            assert!(matches!(policy.allow_dir(bad), Err(PolicyError::Directory(_))), "{bad}");
        }
        for bad in ["out::out", "out::/../x", "out::/a/./b"] {
            assert!(matches!(policy.allow_dir(bad), Err(PolicyError::GuestPath(_))), "{bad}");
        }
    }

    #[test]
    fn a_directory_under_its_own_name() {
        let mut policy = Policy::default();
        let base = Path::new("/p");
        policy.allow_dir_in(base, "./in:ro").unwrap();
        policy.allow_dir_in(base, "/data").unwrap();
        policy.allow_dir_in(base, "x::/y").unwrap();
        let granted = |n: usize| {
            let grant = &policy.directories[n];
            (grant.host.to_str().unwrap(), grant.guest.as_str(), grant.access)
        };
        assert_eq!(granted(0), ("/p/in", "/p/in", Access::Read));
        assert_eq!(granted(1), ("/data", "/data", Access::ReadWrite));
        assert_eq!(granted(2), ("/p/x", "/y", Access::ReadWrite));
        for bad in ["", ":ro", "out:/out", "out:wo"] {
            let refused = Policy::default().allow_dir_in(base, bad);
            assert!(matches!(refused, Err(PolicyError::Directory(_))), "{bad}");
        }
    }

    #[test]
    fn a_value_is_never_in_an_error() {
        for grant in ["=hunter2", "hunter2"] {
            let error = Policy::default().allow_env(grant).unwrap_err();
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_grant_or_an_error(text in ".{0,60}") {
            let mut policy = Policy::default();
            if policy.allow_dir(&text).is_ok() {
                let guest = &policy.directories[0].guest;
                prop_assert!(guest.starts_with('/'));
                prop_assert!(guest.split('/').all(|s| s != ".." && s != "."));
            }
        }
    }
}
