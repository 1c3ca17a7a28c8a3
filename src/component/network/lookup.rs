//! `wasi:sockets/ip-name-lookup`, and the handle to the network.
//!
//! The attack: the labels of a name carry data out to whoever serves its domain. A name that no grant
//! covers is refused without a question to anybody.

use std::net::IpAddr;
use std::vec;

use async_trait::async_trait;
use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::address::to_wit;
use super::bindings::sockets::network::ErrorCode;
use super::bindings::sockets::{instance_network, ip_name_lookup, network};
use super::shared::Refused;
use crate::component::store::Guest;
use crate::protocol::Capability;
use crate::sandbox::NetworkHost;

/// The guest's `network`: holding it grants nothing.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct NetworkHandle;

/// The guest's `resolve-address-stream`.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum Addresses {
    Asked(AbortOnDropJoinHandle<Result<Vec<IpAddr>, ErrorCode>>),
    Known(vec::IntoIter<IpAddr>),
    Failed(ErrorCode),
}

impl Addresses {
    fn settle(&mut self, answer: Result<Vec<IpAddr>, ErrorCode>) {
        *self = match answer {
            Ok(addresses) => Self::Known(addresses.into_iter()),
            Err(code) => Self::Failed(code),
        };
    }
}

#[async_trait]
impl Pollable for Addresses {
    async fn ready(&mut self) {
        if let Self::Asked(question) = self {
            let answer = question.await;
            self.settle(answer);
        }
    }
}

/// What a guest hears of a refusal.
pub(super) fn code(refused: Refused) -> ErrorCode {
    match refused {
        Refused::Denied => ErrorCode::AccessDenied,
        Refused::Limit => ErrorCode::NewSocketLimit,
        Refused::Timeout => ErrorCode::Timeout,
        Refused::Unresolvable => ErrorCode::NameUnresolvable,
    }
}

impl network::Host for Guest {
    fn network_error_code(
        &mut self,
        error: Resource<wasmtime_wasi_io::streams::Error>,
    ) -> Result<Option<ErrorCode>> {
        let error = self.ctx().table.get(&error)?;
        Ok(error.downcast_ref::<std::io::Error>().map(super::address::error_code))
    }
}

impl network::HostNetwork for Guest {
    fn drop(&mut self, handle: Resource<NetworkHandle>) -> Result<()> {
        self.ctx().table.delete(handle)?;
        Ok(())
    }
}

impl instance_network::Host for Guest {
    fn instance_network(&mut self) -> Result<Resource<NetworkHandle>> {
        Ok(self.ctx().table.push(NetworkHandle)?)
    }
}

impl ip_name_lookup::Host for Guest {
    fn resolve_addresses(
        &mut self,
        handle: Resource<NetworkHandle>,
        name: String,
    ) -> Result<Result<Resource<Addresses>, ErrorCode>> {
        self.ctx().table.get(&handle)?;
        let shared = self.network.shared();
        let (host, rule) = match shared.run.gate.lookup(&name, None) {
            Ok(granted) => granted,
            Err(denied) => return Ok(Err(code(shared.denied(Capability::Lookup, &denied)))),
        };
        let addresses = match host {
            NetworkHost::Address(address) => Addresses::Known(vec![address].into_iter()),
            NetworkHost::Name(name) => {
                if let Err(refused) = shared.count_lookup() {
                    return Ok(Err(code(refused)));
                }
                shared.allowed(Capability::Lookup, &name, &rule);
                Addresses::Asked(wasmtime_wasi::runtime::spawn(async move {
                    let addresses = shared.resolve(&name).await.map_err(code)?;
                    let open = shared.run.gate.resolved(&name, addresses);
                    open.map_err(|denied| code(shared.denied(Capability::Lookup, &denied)))
                }))
            }
        };
        Ok(Ok(self.ctx().table.push(addresses)?))
    }
}

impl ip_name_lookup::HostResolveAddressStream for Guest {
    fn resolve_next_address(
        &mut self,
        stream: Resource<Addresses>,
    ) -> Result<Result<Option<network::IpAddress>, ErrorCode>> {
        let addresses = self.ctx().table.get_mut(&stream)?;
        if let Addresses::Asked(question) = addresses {
            match wasmtime_wasi::runtime::poll_noop(std::pin::Pin::new(question)) {
                Some(answer) => addresses.settle(answer),
                None => return Ok(Err(ErrorCode::WouldBlock)),
            }
        }
        Ok(match addresses {
            Addresses::Known(left) => Ok(left.next().map(to_wit)),
            Addresses::Failed(code) => Err(*code),
            Addresses::Asked(_) => Err(ErrorCode::WouldBlock),
        })
    }

    fn subscribe(&mut self, stream: Resource<Addresses>) -> Result<Resource<DynPollable>> {
        subscribe(self.ctx().table, stream)
    }

    fn drop(&mut self, stream: Resource<Addresses>) -> Result<()> {
        self.ctx().table.delete(stream)?;
        Ok(())
    }
}
