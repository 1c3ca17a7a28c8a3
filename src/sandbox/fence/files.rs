//! Files and ports, by Landlock.
//!
//! The attack: a path that leads elsewhere by the time it is used. A rule holds the file itself,
//! opened here; what a name leads to later does not matter.

use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, PathFdError, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
    make_bitflags,
};

use super::{FenceError, FencePlan, KernelSupport, TcpAccess};

/// The newest interface that this was tested with; later ones only add kinds of access.
fn abi(kernel: KernelSupport) -> Option<ABI> {
    Some(match kernel.landlock {
        0 => return None,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        _ => ABI::V7,
    })
}

/// The ruleset; none where the kernel has no Landlock.
pub(super) fn ruleset(
    plan: &FencePlan,
    kernel: KernelSupport,
) -> Result<Option<OwnedFd>, FenceError> {
    let Some(abi) = abi(kernel) else { return Ok(None) };
    let build = |e: landlock::RulesetError| FenceError::Build(e.to_string());
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .map_err(build)?;
    if abi >= ABI::V4 {
        let net = match plan.connect {
            TcpAccess::Any => BitFlags::from(AccessNet::BindTcp),
            TcpAccess::None | TcpAccess::Ports(_) => AccessNet::BindTcp | AccessNet::ConnectTcp,
        };
        ruleset = ruleset.handle_access(net).map_err(build)?;
    }
    if abi >= ABI::V6 {
        ruleset = ruleset.scope(Scope::from_all(abi)).map_err(build)?;
    }
    let mut ruleset = ruleset.create().map_err(build)?;
    let read = AccessFs::from_read(abi);
    for path in &plan.read {
        ruleset = allow(ruleset, path, read, abi, false)?;
    }
    // Neither device nodes, which would be the disk itself for a superuser, nor what devices do
    // besides being written to.
    let nodes = make_bitflags!(AccessFs::{MakeChar | MakeBlock | IoctlDev});
    let write = AccessFs::from_all(abi) & !nodes;
    for path in &plan.write {
        ruleset = allow(ruleset, path, write, abi, true)?;
    }
    if let (TcpAccess::Ports(ports), true) = (&plan.connect, abi >= ABI::V4) {
        for port in ports {
            ruleset =
                ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp)).map_err(build)?;
        }
    }
    Ok(ruleset.into())
}

fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
    abi: ABI,
    must: bool,
) -> Result<RulesetCreated, FenceError> {
    let failed = |reason: String| FenceError::Path { path: path.to_owned(), reason };
    let opened = match PathFd::new(path) {
        Ok(opened) => opened,
        Err(_) if !must => return Ok(ruleset),
        Err(PathFdError::OpenCall { source, .. }) => return Err(failed(source.to_string())),
        Err(e) => return Err(failed(e.to_string())),
    };
    let folder = rustix::fs::fstat(&opened)
        .map(|facts| rustix::fs::FileType::from_raw_mode(facts.st_mode).is_dir())
        .map_err(|e| failed(e.to_string()))?;
    // Rights of folders over a file would be an error.
    let access = if folder { access } else { access & AccessFs::from_file(abi) };
    ruleset.add_rule(PathBeneath::new(opened, access)).map_err(|e| failed(e.to_string()))
}
