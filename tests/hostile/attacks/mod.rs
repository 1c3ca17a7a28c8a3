//! The attacks: each row is one behaviour, what it ends in, and the items of the checklist it covers.

mod allocations;
mod contract;
mod files;
mod host;
mod network;
mod network_setting;
mod processes;
mod resources;
mod secrets;
mod setting;

mod prelude {
    pub(super) use super::network_setting::*;
    pub(super) use super::setting::*;
    pub(super) use crate::harness::Attack;
    pub(super) use crate::harness::Attacker::*;
    pub(super) use crate::harness::Operation::*;
}

use crate::harness::Attack;

/// Every attack, in the order of the table in docs/security.md.
pub(crate) fn all() -> impl Iterator<Item = &'static Attack> {
    [
        resources::ATTACKS,
        allocations::ATTACKS,
        files::ATTACKS,
        network::ATTACKS,
        host::ATTACKS,
        secrets::ATTACKS,
        contract::ATTACKS,
        processes::ATTACKS,
    ]
    .into_iter()
    .flatten()
}
