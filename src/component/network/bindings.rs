//! `wasi:sockets` 0.2, bound to resources of our own.

wasmtime::component::bindgen!({
    path: "src/component/network/wit",
    world: "lockgate:network-host/sockets",
    imports: { default: trappable },
    with: {
        "wasi:io/error": wasmtime_wasi_io::bindings::wasi::io::error,
        "wasi:io/poll": wasmtime_wasi_io::bindings::wasi::io::poll,
        "wasi:io/streams": wasmtime_wasi_io::bindings::wasi::io::streams,
        "wasi:clocks/monotonic-clock": wasmtime_wasi::p2::bindings::clocks::monotonic_clock,
        "wasi:sockets/network.network": super::lookup::NetworkHandle,
        "wasi:sockets/ip-name-lookup.resolve-address-stream": super::lookup::Addresses,
        "wasi:sockets/tcp.tcp-socket": super::tcp::TcpSocket,
        "wasi:sockets/udp.udp-socket": super::udp::Never,
        "wasi:sockets/udp.incoming-datagram-stream": super::udp::Never,
        "wasi:sockets/udp.outgoing-datagram-stream": super::udp::Never,
    },
    require_store_data_send: true,
});

pub(super) use self::wasi::sockets;
