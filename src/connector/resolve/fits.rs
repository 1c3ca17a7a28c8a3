//! Whether the options that do not say how a connector is run fit the way it is.

use super::claims::Way;
use super::{Asking, ResolveError};

/// A way, asked for or found.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// None: it is built in.
    pub(super) way: Option<Way>,
    /// What messages call it beside an option.
    pub(super) by: String,
    /// Why it was chosen.
    pub(super) why: String,
    /// Whether it was looked up, so that an option could say something else.
    pub(super) found: bool,
    /// Whether what is installed was given as a requirement.
    pub(super) requirement: bool,
}

impl Asking<'_> {
    /// Whether every option fits. `pinned` is an image whose name says its version.
    pub(super) fn fits(&self, given: &Given, pinned: Option<&str>) -> Result<(), ResolveError> {
        let options = self.options;
        let excluded = |option, why: &str| {
            let (by, why) = (given.by.clone(), why.to_owned());
            Err(ResolveError::Excluded { option, by, why, found: given.found })
        };
        if options.version.is_some() {
            match given.way {
                Some(Way::Component) => return excluded("version", "a file is the version it is"),
                Some(Way::Process) => return excluded("version", "a program is the version it is"),
                None => return excluded("version", "what is built in has Lockgate's version"),
                Some(Way::Python) if given.requirement => {
                    return excluded("version", "the requirement says the version itself");
                }
                Some(Way::Docker) => {
                    if let Some(image) = pinned {
                        return excluded("version", &format!("{image} says its version itself"));
                    }
                }
                Some(Way::Python | Way::Registered) => {}
            }
        }
        if given.way != Some(Way::Docker)
            && let Some(option) = self.of_containers()
        {
            return excluded(option, "it is for containers");
        }
        if given.way != Some(Way::Python) && options.install_root.is_some() {
            return excluded("install-root", "it is for Python packages");
        }
        Ok(())
    }

    /// Whether the options that say nothing of a way can be meant for the same one: known before a
    /// name is looked up.
    pub(super) fn fit_together(&self) -> Result<(), ResolveError> {
        match self.of_containers() {
            Some(option) if self.options.install_root.is_some() => Err(ResolveError::Excluded {
                option,
                by: "install-root".to_owned(),
                why: "one is for containers, the other for Python packages".to_owned(),
                found: false,
            }),
            _ => Ok(()),
        }
    }

    /// An option that is there, and that only a container has a use for.
    fn of_containers(&self) -> Option<&'static str> {
        let options = self.options;
        let all = [
            (options.use_host_network, "use-host-network"),
            (options.docker_local.is_some(), "docker-local"),
            (options.docker_writable_root, "docker-writable-root"),
        ];
        all.into_iter().find_map(|(set, option)| set.then_some(option))
    }
}
