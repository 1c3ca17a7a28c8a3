//! By the standard library.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};

use lockgate_sdk::tcp;
use serde_json::{Value, json};

fn text(error: std::io::Error) -> String {
    error.to_string()
}

pub(crate) fn talk(to: &str, send: &str) -> Result<Value, String> {
    let mut stream = TcpStream::connect(to).map_err(text)?;
    stream.write_all(send.as_bytes()).map_err(text)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(text)?;
    Ok(String::from_utf8_lossy(&answer[..answer.len().min(1000)]).into())
}

pub(crate) fn sdk(host: &str, port: u16, send: &str, millis: u64) -> Result<Value, String> {
    let time = std::time::Duration::from_millis(millis);
    let timeouts = tcp::Timeouts { connect: time, read: time, write: time };
    let said = |error: tcp::Error| format!("{:?}: {error}", error.kind());
    let failed = |error| said(tcp::Error::of(host, port, error));
    let mut stream = tcp::connect(host, port, timeouts).map_err(said)?;
    stream.write_all(send.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    Ok(answer.into())
}

pub(crate) fn pour(to: &str, bytes: u64) -> Result<Value, String> {
    let mut stream = TcpStream::connect(to).map_err(text)?;
    let chunk = vec![b'x'; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(chunk.len() as u64);
        let part = chunk.get(..usize::try_from(now).unwrap_or(0)).unwrap_or_default();
        stream.write_all(part).map_err(text)?;
        left -= now;
    }
    stream.shutdown(std::net::Shutdown::Write).map_err(text)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(text)?;
    Ok(answer.into())
}

pub(crate) fn flood(to: &str, connections: usize) -> Result<Value, String> {
    let mut open = Vec::new();
    for _ in 0..connections {
        match TcpStream::connect(to) {
            Ok(stream) => open.push(stream),
            Err(error) => return Ok(json!({ "open": open.len(), "error": text(error) })),
        }
    }
    Ok(json!({ "open": open.len() }))
}

pub(crate) fn resolve(name: &str) -> Result<Value, String> {
    let addresses = (name, 1).to_socket_addrs().map_err(text)?;
    Ok(addresses.map(|address| address.ip().to_string()).collect())
}

pub(crate) fn listen(at: &str) -> Result<Value, String> {
    let listener = TcpListener::bind(at).map_err(text)?;
    Ok(listener.local_addr().map_err(text)?.to_string().into())
}

pub(crate) fn datagram(to: &str) -> Result<Value, String> {
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(text)?;
    Ok(socket.send_to(b"hello", to).map_err(text)?.into())
}
