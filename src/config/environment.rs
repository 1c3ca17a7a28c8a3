//! The variables of this process's environment that say where connectors come from. They are read
//! here and nowhere else; an option that says the same goes before them.

use std::path::{Path, PathBuf};

/// A registry that the environment names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RegistryVariable {
    /// It names none.
    #[default]
    Unset,
    /// None shall be asked.
    Off,
    /// A URL or a file.
    At(String),
}

/// What the environment says. The default says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `AIRBYTE_LOCAL_REGISTRY`: a URL or a file; `0`, `F` or `FALSE` for none.
    pub registry: RegistryVariable,
    /// `AIRBYTE_OFFLINE_MODE`: the registry is not asked over the network.
    pub offline: bool,
    /// `AIRBYTE_INSTALL_DIR`: the folder that Python environments are in.
    pub install_root: Option<PathBuf>,
    /// `LOCKGATE_CACHE_DIR`, or `lockgate` in `XDG_CACHE_HOME`, or in `HOME`'s `.cache`: where what
    /// the registry said is kept.
    pub cache: Option<PathBuf>,
    /// `LOCKGATE_CONNECTORS_DIR`, or the folders beside this program: where the components that come
    /// with Lockgate are.
    pub connectors: Vec<PathBuf>,
    /// The folders of `PATH`; relative ones are left out: what a bare name means does not depend on
    /// the folder one is in.
    pub path: Vec<PathBuf>,
}

/// Where the components are that come with a program in this folder: as packages put them, and as
/// scripts/build-guests does.
fn beside(folder: &Path) -> Vec<PathBuf> {
    let above = folder.parent().unwrap_or(folder);
    vec![above.join("share/lockgate/components"), above.join("guests")]
}

impl Environment {
    /// Reads the environment of this process.
    #[must_use]
    pub fn read() -> Self {
        #[expect(clippy::disallowed_methods, reason = "these variables, by name")]
        let mut said = Self::of(|name| std::env::var_os(name).filter(|value| !value.is_empty()));
        if said.connectors.is_empty()
            && let Ok(program) = std::env::current_exe()
            && let Some(folder) = program.parent()
        {
            said.connectors = beside(folder);
        }
        match std::env::current_dir() {
            Ok(here) => said.seen_from(&here),
            Err(_) => said,
        }
    }

    /// What it says of files that are relative is relative to the folder one is in, wherever the
    /// project is.
    fn seen_from(mut self, here: &Path) -> Self {
        if let RegistryVariable::At(location) = &mut self.registry
            && !location.contains("://")
        {
            *location = here.join(location.as_str()).display().to_string();
        }
        self.install_root = self.install_root.map(|root| here.join(root));
        self.connectors = self.connectors.iter().map(|folder| here.join(folder)).collect();
        self
    }

    fn of(read: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let text = |name: &str| read(name).and_then(|value| value.into_string().ok());
        let path = read("PATH").unwrap_or_default();
        Self {
            registry: match text("AIRBYTE_LOCAL_REGISTRY") {
                None => RegistryVariable::Unset,
                Some(off) if matches!(off.to_ascii_uppercase().as_str(), "0" | "F" | "FALSE") => {
                    RegistryVariable::Off
                }
                Some(location) => RegistryVariable::At(location),
            },
            offline: text("AIRBYTE_OFFLINE_MODE").is_some_and(|value| {
                let value = value.to_ascii_lowercase();
                !matches!(value.as_str(), "0" | "false" | "f" | "no" | "n" | "off")
            }),
            install_root: read("AIRBYTE_INSTALL_DIR").map(PathBuf::from),
            cache: read("LOCKGATE_CACHE_DIR")
                .map(PathBuf::from)
                .or_else(|| Some(Path::new(&read("XDG_CACHE_HOME")?).join("lockgate")))
                .or_else(|| Some(Path::new(&read("HOME")?).join(".cache/lockgate"))),
            connectors: read("LOCKGATE_CONNECTORS_DIR").map(PathBuf::from).into_iter().collect(),
            path: std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Environment {
        Environment::of(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn what_is_set_and_what_is_not() {
        assert_eq!(read(&[]), Environment::default());
        for off in ["0", "F", "f", "False"] {
            let set = read(&[("AIRBYTE_LOCAL_REGISTRY", off)]);
            assert_eq!(set.registry, RegistryVariable::Off, "{off}");
        }
        let set = read(&[("AIRBYTE_LOCAL_REGISTRY", "r.json"), ("AIRBYTE_INSTALL_DIR", "/opt")]);
        assert_eq!(set.registry, RegistryVariable::At("r.json".into()));
        assert_eq!(set.install_root, Some("/opt".into()));
        for (value, offline) in [("1", true), ("true", true), ("0", false), ("False", false)] {
            assert_eq!(read(&[("AIRBYTE_OFFLINE_MODE", value)]).offline, offline, "{value}");
        }
    }

    #[test]
    fn files_are_where_one_is() {
        let from = |registry: &str| {
            let set = read(&[("AIRBYTE_LOCAL_REGISTRY", registry), ("AIRBYTE_INSTALL_DIR", "i")]);
            set.seen_from(Path::new("/h"))
        };
        assert_eq!(from("r.json").registry, RegistryVariable::At("/h/r.json".into()));
        assert_eq!(from("/r.json").registry, RegistryVariable::At("/r.json".into()));
        let url = "https://h.example/r.json";
        assert_eq!(from(url).registry, RegistryVariable::At(url.into()));
        assert_eq!(from("0").registry, RegistryVariable::Off);
        assert_eq!(from("0").install_root, Some("/h/i".into()));
    }

    #[test]
    fn folders() {
        let set = read(&[("HOME", "/h"), ("PATH", "/a::.:bin:/b")]);
        assert_eq!(set.cache, Some("/h/.cache/lockgate".into()));
        assert_eq!(set.path, [PathBuf::from("/a"), PathBuf::from("/b")]);
        let set = read(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]);
        assert_eq!(set.cache, Some("/x/lockgate".into()));
        let set = read(&[("XDG_CACHE_HOME", "/x"), ("LOCKGATE_CACHE_DIR", "/l")]);
        assert_eq!(set.cache, Some("/l".into()));
    }
}
