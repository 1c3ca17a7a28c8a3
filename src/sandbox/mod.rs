//! Floor 1: what a connector may reach and how much it may use. Pure decisions, without an
//! engine.
//!
//! The attack: a connector is a stranger's program that holds a database password. Whatever it is
//! not given here, it does not have: the default policy opens nothing, and every limit is set.

pub mod fence;
mod limits;
mod logs;
mod network;
mod policy;
pub mod secrets;
mod text;

pub use limits::Limits;
pub use logs::LogBudget;
#[doc(hidden)]
pub use network::reference as network_reference;
pub use network::{
    AddressClass, NetworkDenied, NetworkGate, NetworkGrants, NetworkHost, NetworkPattern,
};
pub use policy::{Access, DirectoryGrant, Fence, Policy, PolicyError};
pub use text::printable;
