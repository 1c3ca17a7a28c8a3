//! By `wasi:sockets` itself: spellings and calls that a standard library does not make.

use std::net::SocketAddr;

use serde_json::Value;

use crate::bindings::wasi::io::streams::StreamError;
use crate::bindings::wasi::sockets::instance_network::instance_network;
use crate::bindings::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::bindings::wasi::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use crate::bindings::wasi::sockets::tcp_create_socket::create_tcp_socket;

fn code(code: ErrorCode) -> String {
    code.name().to_owned()
}

pub(crate) fn resolve(name: &str) -> Result<Value, String> {
    let stream = resolve_addresses(&instance_network(), name).map_err(code)?;
    let ready = stream.subscribe();
    let mut addresses = Vec::new();
    loop {
        match stream.resolve_next_address() {
            Err(ErrorCode::WouldBlock) => ready.block(),
            Err(error) => return Err(code(error)),
            Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => {
                addresses.push(format!("{a}.{b}.{c}.{d}"));
            }
            Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                addresses.push(std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string());
            }
            Ok(None) => return Ok(addresses.into()),
        }
    }
}

pub(crate) fn talk(to: &str, empty_writes: u32, send: &str) -> Result<Value, String> {
    let address: SocketAddr = to.parse().map_err(|_| "no address".to_owned())?;
    let (family, address) = match address {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            let address = Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) };
            (IpAddressFamily::Ipv4, IpSocketAddress::Ipv4(address))
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            let address = Ipv6SocketAddress {
                port: v6.port(),
                flow_info: 0,
                address: (a, b, c, d, e, f, g, h),
                scope_id: 0,
            };
            (IpAddressFamily::Ipv6, IpSocketAddress::Ipv6(address))
        }
    };
    let socket = create_tcp_socket(family).map_err(code)?;
    let network = instance_network();
    socket.start_connect(&network, address).map_err(code)?;
    let ready = socket.subscribe();
    let (input, output) = loop {
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => ready.block(),
            other => break other.map_err(code)?,
        }
    };
    let stream = |error: StreamError| format!("{error:?}");
    for _ in 0..empty_writes {
        output.write(&[]).map_err(stream)?;
    }
    output.blocking_write_and_flush(send.as_bytes()).map_err(stream)?;
    let mut answer = Vec::new();
    loop {
        match input.blocking_read(1000) {
            Ok(bytes) => answer.extend(bytes),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(stream(error)),
        }
    }
    // Once more, on a socket that is connected.
    match socket.start_connect(&network, address) {
        Err(ErrorCode::InvalidState) => {}
        other => return Err(format!("connected twice: {other:?}")),
    }
    Ok(String::from_utf8_lossy(&answer).into())
}
