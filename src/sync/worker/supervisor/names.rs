//! The addresses of names, for a worker: its fence is no reason to ask others than its parent would.
//!
//! The attack: labels of a name carry data out to whoever serves it, and a worker that was taken
//! over asks for any. So a name is looked up when a grant of that side covers it, as often as its
//! limit allows, and a few at once.

use std::sync::Arc;
use std::time::Duration;

use super::broken;
use crate::component::{Component, Resolver};
use crate::sandbox::{NetworkGate, NetworkHost, Policy};
use crate::sync::worker::WorkerError;
use crate::sync::worker::message::Answer;

/// Answers that may be awaited at once, of both sides.
pub(super) const AT_ONCE: usize = 64;
/// Addresses of one name that a worker is told of.
const ADDRESSES: usize = 64;

/// What one side may look up.
pub(super) struct Names {
    gate: NetworkGate,
    resolver: Arc<dyn Resolver>,
    /// Names it may still ask for.
    left: u64,
    time: Duration,
}

impl Names {
    /// Of a side with so many operations.
    pub(super) fn new((component, policy): &(Component, Policy), operations: u64) -> Self {
        Self {
            gate: NetworkGate::new(policy.network.clone()),
            resolver: component.resolver(),
            left: policy.limits.lookups.saturating_mul(operations),
            time: policy.limits.connect_time,
        }
    }

    /// Looks a name up, where the worker may ask for it: it refuses what is not granted itself.
    pub(super) fn look_up(
        &mut self,
        name: &str,
    ) -> Result<impl Future<Output = Answer> + Send + use<>, WorkerError> {
        let Ok((NetworkHost::Name(name), _)) = self.gate.lookup(name, None) else {
            return Err(broken("it asks for a name that it is not granted"));
        };
        self.left =
            self.left.checked_sub(1).ok_or_else(|| broken("it asks for names without end"))?;
        let (resolver, time) = (self.resolver.clone(), self.time);
        Ok(async move {
            match tokio::time::timeout(time, resolver.resolve(&name)).await {
                Ok(Ok(mut addresses)) => {
                    addresses.truncate(ADDRESSES);
                    Answer::Addresses(addresses)
                }
                Ok(Err(error)) => Answer::Failed(error.to_string()),
                Err(_) => Answer::Failed("nobody answered in time".into()),
            }
        })
    }
}
