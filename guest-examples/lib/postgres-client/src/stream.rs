//! The bytes of a connection, encrypted or not.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};

use bytes::BytesMut;
use lockgate_sdk::Failure;
use postgres_protocol::message::frontend;
use rustls::{ClientConnection, StreamOwned};

use crate::error::{lost, no_longer};
use crate::server::{Server, SslMode};
use crate::tls;

/// What messages travel over.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Connects, and encrypts as far as the configuration says.
pub(crate) fn open(server: &Server<'_>) -> Result<Stream, Failure> {
    // What is wrong with the certificates is said before anybody is called.
    let tls = match server.sslmode {
        SslMode::Disable => None,
        mode => Some(tls::Client::new(mode, server.root_certificate, server.host)?),
    };
    let mut tcp = connect(server)?;
    // Each message is written at once; a system without the setting does without.
    let _ = tcp.set_nodelay(true);
    let Some(tls) = tls else { return Ok(Stream::Plain(tcp)) };
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    tcp.write_all(&request).map_err(lost)?;
    // One byte and not one more: what follows belongs to TLS, or nobody put it there who may.
    let mut answer = [0];
    tcp.read_exact(&mut answer).map_err(lost)?;
    match &answer {
        b"S" => Ok(Stream::Tls(Box::new(tls.handshake(tcp)?))),
        b"N" if server.sslmode == SslMode::Prefer => Ok(Stream::Plain(tcp)),
        b"N" => Err(Failure::config(
            "the server has no TLS, and `sslmode` says that the connection must be encrypted",
        )),
        _ => Err(no_longer("it answered the request for TLS with something else")),
    }
}

fn connect(server: &Server<'_>) -> Result<TcpStream, Failure> {
    let Server { host, port, side, .. } = *server;
    let denied = || {
        Failure::config(format!(
            "the connection to {host}:{port} is not granted: pass --allow-net {host}:{port} (in sync: \
             --{side}-allow-net)"
        ))
    };
    let addresses = (host, port).to_socket_addrs().map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => denied(),
        _ => Failure::transient(format!(
            "the host {host} was not found, or --allow-net does not grant {host}:{port}"
        ))
        .with_detail(error),
    })?;
    let mut failure = Failure::transient(format!("the host {host} has no address"));
    for address in addresses {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => failure = denied(),
            Err(error) => {
                failure = Failure::transient(format!("cannot connect to {host}:{port}"))
                    .with_detail(error);
            }
        }
    }
    Err(failure)
}
