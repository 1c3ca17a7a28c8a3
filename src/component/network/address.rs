//! Addresses and errors between the system and `wasi:sockets`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::bindings::sockets::network::{
    ErrorCode, IpAddress, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};

pub(super) fn to_wit(address: IpAddr) -> IpAddress {
    match address {
        IpAddr::V4(v4) => IpAddress::Ipv4(v4.octets().into()),
        IpAddr::V6(v6) => IpAddress::Ipv6(v6.segments().into()),
    }
}

/// Without scope and flow: they are no part of what is granted.
pub(super) fn from_wit(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) }) => {
            SocketAddr::from((Ipv4Addr::new(a, b, c, d), port))
        }
        IpSocketAddress::Ipv6(Ipv6SocketAddress { port, address, .. }) => {
            let (a, b, c, d, e, f, g, h) = address;
            SocketAddr::from((Ipv6Addr::new(a, b, c, d, e, f, g, h), port))
        }
    }
}

pub(super) fn socket_to_wit(address: SocketAddr) -> IpSocketAddress {
    let port = address.port();
    match to_wit(address.ip()) {
        IpAddress::Ipv4(address) => IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }),
        IpAddress::Ipv6(address) => {
            IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
        }
    }
}

pub(super) fn error_code(error: &io::Error) -> ErrorCode {
    use io::ErrorKind as K;
    match error.kind() {
        K::ConnectionRefused => ErrorCode::ConnectionRefused,
        K::ConnectionReset | K::BrokenPipe => ErrorCode::ConnectionReset,
        K::ConnectionAborted => ErrorCode::ConnectionAborted,
        K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown => ErrorCode::RemoteUnreachable,
        K::TimedOut => ErrorCode::Timeout,
        K::PermissionDenied => ErrorCode::AccessDenied,
        K::QuotaExceeded => ErrorCode::NewSocketLimit,
        K::NotConnected => ErrorCode::InvalidState,
        K::InvalidInput => ErrorCode::InvalidArgument,
        _ => ErrorCode::Unknown,
    }
}
