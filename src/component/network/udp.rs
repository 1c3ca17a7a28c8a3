//! `wasi:sockets/udp`: there for guests whose standard library imports it, and always refused.
//!
//! The attack: a datagram needs no connection, so a socket that may send to one address sends to any
//! other (GHSA-hmmr-87qq-258j). There is no grant for it.

use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::DynPollable;

use super::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use super::bindings::sockets::{udp, udp_create_socket};
use super::lookup::NetworkHandle;
use crate::component::store::Guest;
use crate::protocol::Capability;

/// A resource that nobody has: what a handle to one would be.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum Never {}

type Answer<T> = Result<Result<T, ErrorCode>>;
type Socket = Resource<Never>;

/// A handle that the host never gave.
fn none<T>() -> Result<T> {
    Err(wasmtime::Error::msg("there are no UDP sockets"))
}

impl udp_create_socket::Host for Guest {
    fn create_udp_socket(&mut self, _: IpAddressFamily) -> Answer<Socket> {
        self.network.shared().forbidden(Capability::Socket, "udp", "no-udp");
        Ok(Err(ErrorCode::AccessDenied))
    }
}

impl udp::Host for Guest {}

impl udp::HostUdpSocket for Guest {
    fn start_bind(
        &mut self,
        _: Socket,
        _: Resource<NetworkHandle>,
        _: IpSocketAddress,
    ) -> Answer<()> {
        none()
    }

    fn finish_bind(&mut self, _: Socket) -> Answer<()> {
        none()
    }

    fn stream(
        &mut self,
        _: Socket,
        _: Option<IpSocketAddress>,
    ) -> Answer<(Resource<Never>, Resource<Never>)> {
        none()
    }

    fn local_address(&mut self, _: Socket) -> Answer<IpSocketAddress> {
        none()
    }

    fn remote_address(&mut self, _: Socket) -> Answer<IpSocketAddress> {
        none()
    }

    fn address_family(&mut self, _: Socket) -> Result<IpAddressFamily> {
        none()
    }

    fn unicast_hop_limit(&mut self, _: Socket) -> Answer<u8> {
        none()
    }

    fn set_unicast_hop_limit(&mut self, _: Socket, _: u8) -> Answer<()> {
        none()
    }

    fn receive_buffer_size(&mut self, _: Socket) -> Answer<u64> {
        none()
    }

    fn set_receive_buffer_size(&mut self, _: Socket, _: u64) -> Answer<()> {
        none()
    }

    fn send_buffer_size(&mut self, _: Socket) -> Answer<u64> {
        none()
    }

    fn set_send_buffer_size(&mut self, _: Socket, _: u64) -> Answer<()> {
        none()
    }

    fn subscribe(&mut self, _: Socket) -> Result<Resource<DynPollable>> {
        none()
    }

    fn drop(&mut self, _: Socket) -> Result<()> {
        none()
    }
}

impl udp::HostIncomingDatagramStream for Guest {
    fn receive(&mut self, _: Socket, _: u64) -> Answer<Vec<udp::IncomingDatagram>> {
        none()
    }

    fn subscribe(&mut self, _: Socket) -> Result<Resource<DynPollable>> {
        none()
    }

    fn drop(&mut self, _: Socket) -> Result<()> {
        none()
    }
}

impl udp::HostOutgoingDatagramStream for Guest {
    fn check_send(&mut self, _: Socket) -> Answer<u64> {
        none()
    }

    fn send(&mut self, _: Socket, _: Vec<udp::OutgoingDatagram>) -> Answer<u64> {
        none()
    }

    fn subscribe(&mut self, _: Socket) -> Result<Resource<DynPollable>> {
        none()
    }

    fn drop(&mut self, _: Socket) -> Result<()> {
        none()
    }
}
