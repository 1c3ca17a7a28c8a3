//! Floor 1: what a connector may reach and how much it may use. Pure decisions, without an
//! engine.
//!
//! The attack: a connector is a stranger's program that holds a database password. Whatever it is
//! not given here, it does not have: the default policy opens nothing, and every limit is set.

mod address;
pub mod fence;
mod grant;
mod limits;
mod logs;
mod needs;
mod network;
mod policy;
pub mod secrets;
mod tally;
mod text;

pub use address::redacted;
pub use grant::{Grant, shell, toml};
pub use limits::Limits;
pub use logs::LogBudget;
pub(crate) use needs::inside;
pub use needs::{
    JudgedNeed, NEED_NOT_GRANTED, NeedState, covers_directory, covers_network, judge_needs,
};
#[doc(hidden)]
pub use network::reference as network_reference;
pub use network::{
    AddressClass, NetworkDenied, NetworkGate, NetworkGrants, NetworkHost, NetworkPattern,
};
pub(crate) use policy::HOST_STATE;
pub use policy::{Access, DirectoryGrant, Fence, Policy, PolicyError};
pub use tally::{Noted, Tally, one_line};
pub use text::printable;
