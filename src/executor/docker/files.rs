//! The files a container is given, readable for its user and for nobody else.
//!
//! The attack: a configuration holds a database password. Made readable for everybody it is read by
//! any user of this machine; made readable for us alone it is not read by the connector, which runs as
//! another user.
//!
//! They are in a private folder of ours (0700), and each is mounted by itself, read-only: a mount of a
//! file passes its folder by, and nothing else of the folder is seen within. Where we are root the
//! files are the container user's, and 0400. Where we are not they stay ours and are 0444: the folder
//! keeps everybody out but the container. So they are, too, where the engine maps users to others
//! that we do not know.

use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt;

use super::engine::Engine;
use crate::executor::process::RunFolder;
use crate::executor::session::CallFile;

/// Bytes of an image's `/etc/passwd`, in its archive.
const PASSWD: usize = 1 << 20;
/// A block of an archive.
const BLOCK: usize = 512;

/// The files of one run.
#[derive(Debug)]
pub(super) struct Files {
    // The files go with it.
    _folder: RunFolder,
    paths: Vec<(PathBuf, String)>,
}

impl Files {
    /// Writes them for nobody but us.
    pub(super) fn write(files: &[CallFile]) -> io::Result<Self> {
        let folder = RunFolder::create()?;
        let mut paths = Vec::new();
        for file in files {
            let name = format!("{}.json", file.name);
            let path = folder.write(&name, &file.text)?;
            paths.push((path, format!("{}/{name}", super::container::FILES)));
        }
        Ok(Self { _folder: folder, paths })
    }

    /// Where they are, and what they are called within.
    pub(super) fn paths(&self) -> &[(PathBuf, String)] {
        &self.paths
    }

    /// Gives them to the container's user.
    pub(super) async fn give(&self, engine: &Engine, id: &str, user: &str) -> io::Result<()> {
        let ours = !rustix::process::geteuid().is_root() || engine.maps_users;
        let uid = if ours || self.paths.is_empty() { None } else { uid(engine, id, user).await };
        for (path, _) in &self.paths {
            if let Some(uid) = uid {
                std::fs::set_permissions(path, PermissionsExt::from_mode(0o400))?;
                chown(path, Some(uid), None)?;
            } else {
                std::fs::set_permissions(path, PermissionsExt::from_mode(0o444))?;
            }
        }
        Ok(())
    }
}

/// The number of an image's user: `1000`, `1000:1000`, `airbyte`, or nobody said, which is root.
async fn uid(engine: &Engine, id: &str, user: &str) -> Option<u32> {
    let name = user.split(':').next().unwrap_or_default().trim();
    if matches!(name, "" | "root") {
        return Some(0);
    }
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let options = DownloadFromContainerOptionsBuilder::default().path("/etc/passwd").build();
    let mut archive = Vec::new();
    let reading = async {
        let mut parts = engine.docker.download_from_container(id, Some(options));
        while let Some(part) = parts.next().await {
            archive.extend_from_slice(&part?);
            if archive.len() > PASSWD {
                break;
            }
        }
        Ok(())
    };
    engine.ask(reading).await.ok()?;
    uid_in(&file_of(&archive)?, name)
}

/// The first file of an archive.
fn file_of(archive: &[u8]) -> Option<String> {
    let header = archive.get(..BLOCK)?;
    // A plain file: what is behind a link is not in here.
    if !matches!(header[156], b'0' | 0) {
        return None;
    }
    let size = std::str::from_utf8(header.get(124..136)?).ok()?;
    let size = usize::from_str_radix(size.trim_matches(['\0', ' ']), 8).ok()?;
    let bytes = archive.get(BLOCK..BLOCK.checked_add(size)?)?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

fn uid_in(passwd: &str, name: &str) -> Option<u32> {
    let mut users = passwd.lines().map(|line| line.split(':'));
    users.find_map(|mut fields| {
        (fields.next() == Some(name)).then(|| fields.nth(1).and_then(|uid| uid.parse().ok()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_an_archive() {
        let passwd = "root:x:0:0::/:/bin/sh\nairbyte:x:1001:1002::/:/bin/sh\n";
        let mut archive = vec![0; BLOCK];
        archive[124..136].copy_from_slice(format!("{:011o}\0", passwd.len()).as_bytes());
        archive[156] = b'0';
        archive.extend_from_slice(passwd.as_bytes());
        let text = file_of(&archive).unwrap();
        assert_eq!(uid_in(&text, "airbyte"), Some(1001));
        assert_eq!(uid_in(&text, "air"), None);
        archive[156] = b'2';
        assert_eq!(file_of(&archive), None);
        assert_eq!(file_of(&[]), None);
        assert_eq!(file_of(&[0xff; BLOCK]), None);
    }
}
