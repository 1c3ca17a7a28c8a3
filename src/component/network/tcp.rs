//! `wasi:sockets/tcp`: connecting, and nothing else.
//!
//! The attack: a guest that may connect also binds, listens or accepts, or connects to an address that
//! was checked as another. The gate sees the address that is dialed, and only connecting is there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, poll_noop};
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::address::{error_code, from_wit, socket_to_wit};
use super::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use super::bindings::sockets::{tcp, tcp_create_socket};
use super::connection::{Connection, Incoming, Outgoing};
use super::lookup::{NetworkHandle, code};
use crate::component::store::Guest;
use crate::protocol::Capability;

type Answer<T> = Result<Result<T, ErrorCode>>;
type Socket = Resource<TcpSocket>;
type Dialed = io::Result<Arc<Connection>>;

/// The guest's `tcp-socket`.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct TcpSocket {
    family: IpAddressFamily,
    state: State,
    keep_alive: KeepAlive,
    hop_limit: u8,
    receive_buffer: u64,
    send_buffer: u64,
}

enum State {
    New,
    Dialing(AbortOnDropJoinHandle<Dialed>),
    Dialed(Dialed),
    Connected(Arc<Connection>),
    Closed,
}

/// What a guest may say of keep-alive. Only whether it is on is passed on to the system.
struct KeepAlive {
    enabled: bool,
    idle: u64,
    interval: u64,
    count: u32,
}

#[async_trait]
impl Pollable for TcpSocket {
    async fn ready(&mut self) {
        if let State::Dialing(dialing) = &mut self.state {
            let dialed = dialing.await;
            self.state = State::Dialed(dialed);
        }
    }
}

impl TcpSocket {
    fn connection(&self) -> Result<&Arc<Connection>, ErrorCode> {
        match &self.state {
            State::Connected(connection) => Ok(connection),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    fn keep_alive(&mut self, enabled: bool) {
        self.keep_alive.enabled = enabled;
        if let State::Connected(connection) = &self.state {
            // A wish; where the system has none, the connection is as good.
            let _ = rustix::net::sockopt::set_socket_keepalive(&connection.stream, enabled);
        }
    }
}

impl Guest {
    fn socket(&mut self, socket: &Socket) -> Result<&mut TcpSocket> {
        Ok(self.ctx().table.get_mut(socket)?)
    }

    /// The answer to everything but connecting.
    fn no_listening<T>(&mut self, what: &str) -> Answer<T> {
        self.network.shared().forbidden(Capability::Socket, what, "no-listening");
        Ok(Err(ErrorCode::AccessDenied))
    }

    /// Sets a number that must not be zero.
    fn set<T: Default + PartialEq>(
        &mut self,
        socket: &Socket,
        value: T,
        set: impl FnOnce(&mut TcpSocket, T),
    ) -> Answer<()> {
        let socket = self.socket(socket)?;
        if value == T::default() {
            return Ok(Err(ErrorCode::InvalidArgument));
        }
        set(socket, value);
        Ok(Ok(()))
    }
}

impl tcp_create_socket::Host for Guest {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> Answer<Socket> {
        const SECOND: u64 = 1_000_000_000;
        let socket = TcpSocket {
            family,
            state: State::New,
            keep_alive: KeepAlive {
                enabled: false,
                idle: 7200 * SECOND,
                interval: 75 * SECOND,
                count: 9,
            },
            hop_limit: 64,
            receive_buffer: 64 << 10,
            send_buffer: 64 << 10,
        };
        Ok(Ok(self.ctx().table.push(socket)?))
    }
}

impl tcp::Host for Guest {}

impl tcp::HostTcpSocket for Guest {
    fn start_bind(
        &mut self,
        _: Socket,
        _: Resource<NetworkHandle>,
        address: IpSocketAddress,
    ) -> Answer<()> {
        self.no_listening(&format!("bind {}", from_wit(address)))
    }

    fn finish_bind(&mut self, _: Socket) -> Answer<()> {
        Ok(Err(ErrorCode::NotInProgress))
    }

    fn start_connect(
        &mut self,
        socket: Socket,
        network: Resource<NetworkHandle>,
        address: IpSocketAddress,
    ) -> Answer<()> {
        self.ctx().table.get(&network)?;
        let shared = self.network.shared();
        let address = from_wit(address);
        let socket = self.socket(&socket)?;
        match socket.state {
            State::New => {}
            State::Dialing(_) | State::Dialed(_) => return Ok(Err(ErrorCode::ConcurrencyConflict)),
            State::Connected(_) | State::Closed => return Ok(Err(ErrorCode::InvalidState)),
        }
        if address.is_ipv4() != matches!(socket.family, IpAddressFamily::Ipv4)
            || address.port() == 0
        {
            return Ok(Err(ErrorCode::InvalidArgument));
        }
        let (dialed, rule) = match shared.run.gate.connect(address) {
            Ok(granted) => granted,
            Err(denied) => return Ok(Err(code(shared.denied(Capability::Connect, &denied)))),
        };
        let place = match shared.place() {
            Ok(place) => place,
            Err(refused) => return Ok(Err(code(refused))),
        };
        shared.allowed(Capability::Connect, &dialed.to_string(), &rule);
        socket.state = State::Dialing(wasmtime_wasi::runtime::spawn(async move {
            let limit = shared.limits.connect_time;
            let stream = shared.dial(dialed, limit).await.inspect_err(|e| {
                if e.kind() == io::ErrorKind::TimedOut {
                    shared.time_limit("connect-time", limit);
                }
            })?;
            Ok(Connection::new(stream, shared, place))
        }));
        Ok(Ok(()))
    }

    fn finish_connect(
        &mut self,
        this: Socket,
    ) -> Answer<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let socket = self.socket(&this)?;
        let dialed = match &mut socket.state {
            State::Dialing(dialing) => match poll_noop(std::pin::Pin::new(dialing)) {
                Some(dialed) => dialed,
                None => return Ok(Err(ErrorCode::WouldBlock)),
            },
            State::Dialed(_) => match std::mem::replace(&mut socket.state, State::Closed) {
                State::Dialed(dialed) => dialed,
                _ => return Ok(Err(ErrorCode::NotInProgress)),
            },
            _ => return Ok(Err(ErrorCode::NotInProgress)),
        };
        let connection = match dialed {
            Ok(connection) => connection,
            Err(error) => {
                socket.state = State::Closed;
                return Ok(Err(error_code(&error)));
            }
        };
        socket.state = State::Connected(connection.clone());
        let enabled = socket.keep_alive.enabled;
        if enabled {
            socket.keep_alive(enabled);
        }
        let table = self.ctx().table;
        let input: DynInputStream = Box::new(Incoming::new(connection.clone()));
        let output: DynOutputStream = Box::new(Outgoing::new(connection));
        Ok(Ok((table.push_child(input, &this)?, table.push_child(output, &this)?)))
    }

    fn start_listen(&mut self, _: Socket) -> Answer<()> {
        self.no_listening("listen")
    }

    fn finish_listen(&mut self, _: Socket) -> Answer<()> {
        Ok(Err(ErrorCode::NotInProgress))
    }

    fn accept(
        &mut self,
        _: Socket,
    ) -> Answer<(Socket, Resource<DynInputStream>, Resource<DynOutputStream>)> {
        self.no_listening("accept")
    }

    /// The port only: which addresses this machine has is nothing a guest needs.
    fn local_address(&mut self, socket: Socket) -> Answer<IpSocketAddress> {
        Ok(self.socket(&socket)?.connection().and_then(|connection| {
            let local = connection.stream.local_addr().map_err(|e| error_code(&e))?;
            let unspecified: IpAddr = match local.ip() {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            Ok(socket_to_wit(SocketAddr::new(unspecified, local.port())))
        }))
    }

    fn remote_address(&mut self, socket: Socket) -> Answer<IpSocketAddress> {
        Ok(self.socket(&socket)?.connection().and_then(|connection| {
            connection.stream.peer_addr().map(socket_to_wit).map_err(|e| error_code(&e))
        }))
    }

    fn is_listening(&mut self, _: Socket) -> Result<bool> {
        Ok(false)
    }

    fn address_family(&mut self, socket: Socket) -> Result<IpAddressFamily> {
        Ok(self.socket(&socket)?.family)
    }

    fn set_listen_backlog_size(&mut self, _: Socket, _: u64) -> Answer<()> {
        self.no_listening("listen")
    }

    fn keep_alive_enabled(&mut self, socket: Socket) -> Answer<bool> {
        Ok(Ok(self.socket(&socket)?.keep_alive.enabled))
    }

    fn set_keep_alive_enabled(&mut self, socket: Socket, value: bool) -> Answer<()> {
        self.socket(&socket)?.keep_alive(value);
        Ok(Ok(()))
    }

    fn keep_alive_idle_time(&mut self, socket: Socket) -> Answer<u64> {
        Ok(Ok(self.socket(&socket)?.keep_alive.idle))
    }

    fn set_keep_alive_idle_time(&mut self, socket: Socket, value: u64) -> Answer<()> {
        self.set(&socket, value, |s, value| s.keep_alive.idle = value)
    }

    fn keep_alive_interval(&mut self, socket: Socket) -> Answer<u64> {
        Ok(Ok(self.socket(&socket)?.keep_alive.interval))
    }

    fn set_keep_alive_interval(&mut self, socket: Socket, value: u64) -> Answer<()> {
        self.set(&socket, value, |s, value| s.keep_alive.interval = value)
    }

    fn keep_alive_count(&mut self, socket: Socket) -> Answer<u32> {
        Ok(Ok(self.socket(&socket)?.keep_alive.count))
    }

    fn set_keep_alive_count(&mut self, socket: Socket, value: u32) -> Answer<()> {
        self.set(&socket, value, |s, value| s.keep_alive.count = value)
    }

    fn hop_limit(&mut self, socket: Socket) -> Answer<u8> {
        Ok(Ok(self.socket(&socket)?.hop_limit))
    }

    fn set_hop_limit(&mut self, socket: Socket, value: u8) -> Answer<()> {
        self.set(&socket, value, |s, value| s.hop_limit = value)
    }

    fn receive_buffer_size(&mut self, socket: Socket) -> Answer<u64> {
        Ok(Ok(self.socket(&socket)?.receive_buffer))
    }

    fn set_receive_buffer_size(&mut self, socket: Socket, value: u64) -> Answer<()> {
        self.set(&socket, value, |s, value| s.receive_buffer = value)
    }

    fn send_buffer_size(&mut self, socket: Socket) -> Answer<u64> {
        Ok(Ok(self.socket(&socket)?.send_buffer))
    }

    fn set_send_buffer_size(&mut self, socket: Socket, value: u64) -> Answer<()> {
        self.set(&socket, value, |s, value| s.send_buffer = value)
    }

    fn subscribe(&mut self, socket: Socket) -> Result<Resource<DynPollable>> {
        subscribe(self.ctx().table, socket)
    }

    fn shutdown(&mut self, socket: Socket, how: tcp::ShutdownType) -> Answer<()> {
        use tcp::ShutdownType as S;
        let reads = matches!(how, S::Receive | S::Both);
        let writes = matches!(how, S::Send | S::Both);
        Ok(self
            .socket(&socket)?
            .connection()
            .and_then(|connection| connection.shutdown(reads, writes).map_err(|e| error_code(&e))))
    }

    fn drop(&mut self, socket: Socket) -> Result<()> {
        self.ctx().table.delete(socket)?;
        Ok(())
    }
}
