//! The attack: it connects to a server without a grant.

use hostile_guests::{Failure, Source};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        match std::net::TcpStream::connect("127.0.0.1:80") {
            Err(why) => hostile_guests::refused(why.kind()),
            Ok(_) => hostile_guests::reached("a server"),
        }
    }
}

hostile_guests::source!(Attack);
