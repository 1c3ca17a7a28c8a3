//! What is in an environment: a file in it, written last, by which it is known to be whole and to
//! be Lockgate's.

use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file's name.
pub(super) const FILE: &str = "lockgate.json";
/// The number of its form: an environment of another one is made anew.
pub(super) const FORMAT: u32 = 1;
/// Bytes of it that are read. A thousand packages have a tenth of that.
const LONGEST: u64 = 1 << 20;

/// An environment as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The number of this form.
    pub format: u32,
    /// The environment: the name of its folder.
    pub id: String,
    /// The connector, by the name of its package.
    pub name: String,
    /// What was installed, as pip reads it, without credentials.
    pub requirement: Vec<String>,
    /// Which Python was asked for: `any`, a version or a path.
    pub interpreter: String,
    /// The Python that it is: `3.11.7`.
    pub python: String,
    /// The uv that made it.
    pub uv: String,
    /// The version of the package that was asked for, where it has one.
    pub version: Option<String>,
    /// The programs of that package.
    pub programs: Vec<String>,
    /// All packages, as `uv pip freeze` lists them: `orjson==3.11.4`.
    pub packages: Vec<String>,
    /// The digest of that list: `sha256:…`.
    pub digest: String,
    /// Bytes of its files when it was made.
    pub size: u64,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
}

impl Manifest {
    /// That of an environment, if it is whole.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        let file = std::fs::File::open(folder.join(FILE)).ok()?;
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        let manifest: Self = serde_json::from_str(&text).ok()?;
        let folder = folder.file_name()?.to_str()?;
        (manifest.format == FORMAT && manifest.id == folder).then_some(manifest)
    }

    /// Writes it, whole or not at all.
    pub(super) fn store(&self, folder: &Path) -> std::io::Result<()> {
        // Our own types always serialise.
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        // What is not read again was not installed.
        if text.len() as u64 > LONGEST {
            let why = format!("its manifest has {} bytes, more than {LONGEST}", text.len());
            return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
        }
        let mut file = tempfile::Builder::new().prefix(".lockgate-").tempfile_in(folder)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(folder.join(FILE)).map(drop).map_err(|e| e.error)
    }

    /// What was installed, in one line, with its version and Python:
    /// `airbyte-source-faker==7.2.1 (python 3.11.7)`.
    #[must_use]
    pub fn reference(&self) -> String {
        let line = self.requirement.join(" ");
        let version = self.version.as_ref().filter(|version| !line.contains(version.as_str()));
        let version = version.map_or_else(String::new, |version| format!(" {version}"));
        format!("{line}{version} (python {})", self.python)
    }
}

/// The digest of a list of packages.
pub(super) fn digest(packages: &[String]) -> String {
    let mut digest = Sha256::new();
    for package in packages {
        digest.update(package.as_bytes());
        digest.update([b'\n']);
    }
    format!("sha256:{}", hex::encode(digest.finalize()))
}

/// The version of a package in such a list.
pub(super) fn version_in(packages: &[String], name: &str) -> Option<String> {
    packages.iter().filter_map(|line| line.split_once("==")).find_map(|(package, version)| {
        let same = package.to_lowercase().replace(['_', '.'], "-") == name;
        same.then(|| version.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let packages = vec!["airbyte-source_x==0.1".to_owned(), "orjson==3".to_owned()];
        Manifest {
            format: FORMAT,
            id: "source-x-0123456789ab".into(),
            name: "source-x".into(),
            requirement: vec!["airbyte-source-x".into()],
            interpreter: "any".into(),
            python: "3.11.7".into(),
            uv: "0.13.9".into(),
            version: version_in(&packages, "airbyte-source-x"),
            programs: vec!["source-x".into()],
            digest: digest(&packages),
            packages,
            size: 1,
            created_ms: 2,
        }
    }

    #[test]
    fn it_is_read_where_it_was_written_and_nowhere_else() {
        let root = tempfile::tempdir().unwrap();
        let manifest = manifest();
        let folder = root.path().join(&manifest.id);
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(Manifest::of(&folder), None);
        manifest.store(&folder).unwrap();
        assert_eq!(Manifest::of(&folder), Some(manifest.clone()));
        // A copy under another name has programs that lead to the first.
        let copy = root.path().join("source-x-000000000000");
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(folder.join(FILE), copy.join(FILE)).unwrap();
        assert_eq!(Manifest::of(&copy), None);
        std::fs::write(folder.join(FILE), "{").unwrap();
        assert_eq!(Manifest::of(&folder), None);
        let long = Manifest { packages: vec!["x".repeat(1 << 20)], ..manifest.clone() };
        assert!(long.store(&folder).is_err());
        Manifest { format: FORMAT + 1, ..manifest }.store(&folder).unwrap();
        assert_eq!(Manifest::of(&folder), None);
    }

    #[test]
    fn versions_are_shown_once() {
        let open = manifest();
        assert_eq!(open.reference(), "airbyte-source-x 0.1 (python 3.11.7)");
        let pinned = Manifest { requirement: vec!["airbyte-source-x==0.1".into()], ..open };
        assert_eq!(pinned.reference(), "airbyte-source-x==0.1 (python 3.11.7)");
    }
}
