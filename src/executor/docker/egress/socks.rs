//! SOCKS 4, 4a and 5, as far as connecting goes (RFC 1928). No authentication: who may ask is known
//! by where it asks from.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::peer::Peer;
use super::reach::Refusal;

/// Bytes of the longest greeting and the longest request: 2 + 255, and 7 + 255. A SOCKS 4 request
/// may have a user's name besides.
const LONGEST: usize = 1024;

/// Replies of SOCKS 5.
pub(super) const GRANTED: u8 = 0;
const FAILURE: u8 = 1;
const NOT_ALLOWED: u8 = 2;
const NETWORK_UNREACHABLE: u8 = 3;
const HOST_UNREACHABLE: u8 = 4;
const CONNECTION_REFUSED: u8 = 5;
const TTL_EXPIRED: u8 = 6;
pub(super) const COMMAND_NOT_SUPPORTED: u8 = 7;
const ADDRESS_NOT_SUPPORTED: u8 = 8;

/// How a tunnel was asked for, and is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Four,
    Five,
    Http,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Connect { host: String, port: u16, version: Version },
    Other { command: &'static str, version: Version },
}

/// Why a request is none. The reply that says so, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Malformed(Option<u8>);

/// What was read, and how many bytes of it were used. None: more is needed.
type Parsed<T> = Result<Option<(T, usize)>, Malformed>;

/// Reads what a peer asks for; says so itself where that is nothing.
pub(super) async fn ask(peer: &mut Peer) -> Option<Asked> {
    let version = match peer.buffer.first() {
        Some(5) => Version::Five,
        _ => Version::Four,
    };
    if version == Version::Five {
        let open = parsed(peer, version, greeting).await?;
        if !open {
            peer.farewell(&[5, 0xff]).await;
            return None;
        }
        peer.say(&[5, 0]).await.ok()?;
        parsed(peer, version, request_5).await
    } else {
        parsed(peer, version, request_4).await
    }
}

async fn parsed<T>(
    peer: &mut Peer,
    version: Version,
    parse: impl Fn(&[u8]) -> Parsed<T>,
) -> Option<T> {
    loop {
        match parse(&peer.buffer) {
            Ok(Some((value, used))) => {
                peer.buffer.drain(..used);
                return Some(value);
            }
            Ok(None) => peer.more(LONGEST).await.ok()?,
            Err(Malformed(code)) => {
                if let Some(code) = code {
                    peer.farewell(&reply(version, code)).await;
                }
                return None;
            }
        }
    }
}

/// The ways of authentication that are offered. Whether none is among them.
fn greeting(bytes: &[u8]) -> Parsed<bool> {
    let [5, count, rest @ ..] = bytes else { return start(bytes, 5) };
    let count = usize::from(*count);
    Ok(rest.get(..count).map(|methods| (methods.contains(&0), 2 + count)))
}

/// Too few bytes, or of another version.
fn start<T>(bytes: &[u8], version: u8) -> Parsed<T> {
    match bytes.first() {
        Some(first) if *first != version => Err(Malformed(None)),
        _ => Ok(None),
    }
}

fn request_5(bytes: &[u8]) -> Parsed<Asked> {
    let [5, command, reserved, kind, rest @ ..] = bytes else { return start(bytes, 5) };
    if *reserved != 0 {
        return Err(Malformed(Some(FAILURE)));
    }
    let (host, rest, used) = match kind {
        1 => match rest.split_first_chunk::<4>() {
            Some((address, rest)) => (Ipv4Addr::from(*address).to_string(), rest, 8),
            None => return Ok(None),
        },
        4 => match rest.split_first_chunk::<16>() {
            Some((address, rest)) => (Ipv6Addr::from(*address).to_string(), rest, 20),
            None => return Ok(None),
        },
        3 => match rest.split_first() {
            Some((0, _)) => return Err(Malformed(Some(FAILURE))),
            Some((length, rest)) => match rest.split_at_checked(usize::from(*length)) {
                Some((name, rest)) => (text(name), rest, 5 + name.len()),
                None => return Ok(None),
            },
            None => return Ok(None),
        },
        _ => return Err(Malformed(Some(ADDRESS_NOT_SUPPORTED))),
    };
    let Some((port, _)) = rest.split_first_chunk::<2>() else { return Ok(None) };
    let (port, version) = (u16::from_be_bytes(*port), Version::Five);
    let asked = match command {
        1 => Asked::Connect { host, port, version },
        2 => Asked::Other { command: "SOCKS BIND", version },
        3 => Asked::Other { command: "SOCKS UDP ASSOCIATE", version },
        _ => Asked::Other { command: "a SOCKS command", version },
    };
    Ok(Some((asked, used + 2)))
}

fn request_4(bytes: &[u8]) -> Parsed<Asked> {
    let [4, command, high, low, a, b, c, d, rest @ ..] = bytes else { return start(bytes, 4) };
    let (port, version) = (u16::from_be_bytes([*high, *low]), Version::Four);
    let Some(user) = rest.iter().position(|byte| *byte == 0) else { return Ok(None) };
    let (mut host, mut used) = (Ipv4Addr::new(*a, *b, *c, *d).to_string(), 8 + user + 1);
    // 4a: an address that cannot be says that a name follows.
    if [*a, *b, *c] == [0, 0, 0] && *d != 0 {
        let rest = &rest[user + 1..];
        let Some(end) = rest.iter().position(|byte| *byte == 0) else { return Ok(None) };
        host = text(&rest[..end]);
        used += end + 1;
    }
    let asked = match command {
        1 => Asked::Connect { host, port, version },
        2 => Asked::Other { command: "SOCKS BIND", version },
        _ => Asked::Other { command: "a SOCKS command", version },
    };
    Ok(Some((asked, used)))
}

/// A name as it came. What is no text is no name either, and the gate says so.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The answer, in the words of a version. The address that it holds says nothing: nobody listens.
pub(super) fn reply(version: Version, code: u8) -> Vec<u8> {
    match version {
        Version::Four => vec![0, if code == GRANTED { 0x5a } else { 0x5b }, 0, 0, 0, 0, 0, 0],
        _ => vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0],
    }
}

/// The answer to what was refused or went wrong.
pub(super) fn refused(version: Version, refusal: &Refusal) -> Vec<u8> {
    use io::ErrorKind as K;
    let code = match refusal {
        Refusal::Denied(_) | Refusal::Failed(K::PermissionDenied) => NOT_ALLOWED,
        Refusal::Unresolvable | Refusal::Failed(K::HostUnreachable) => HOST_UNREACHABLE,
        Refusal::Failed(K::ConnectionRefused) => CONNECTION_REFUSED,
        Refusal::Failed(K::NetworkUnreachable | K::NetworkDown) => NETWORK_UNREACHABLE,
        Refusal::Timeout => TTL_EXPIRED,
        Refusal::Limit | Refusal::Failed(_) => FAILURE,
    };
    reply(version, code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_say_where_to() {
        let v4 = request_5(&[5, 1, 0, 1, 10, 0, 0, 1, 1, 187, 9]).unwrap().unwrap();
        let connect =
            |host: &str, port, version| Asked::Connect { host: host.into(), port, version };
        assert_eq!(v4, (connect("10.0.0.1", 443, Version::Five), 10));
        let mut v6 = vec![5, 1, 0, 4];
        v6.extend([0; 15]);
        v6.extend([1, 0, 80]);
        let v6 = request_5(&v6).unwrap().unwrap();
        assert_eq!(v6, (connect("::1", 80, Version::Five), 22));
        let name = request_5(b"\x05\x01\x00\x03\x04a.bc\x00\x50more").unwrap().unwrap();
        assert_eq!(name, (connect("a.bc", 80, Version::Five), 11));
        let old = request_4(b"\x04\x01\x00\x50\x01\x02\x03\x04me\x00more").unwrap().unwrap();
        assert_eq!(old, (connect("1.2.3.4", 80, Version::Four), 11));
        let named =
            request_4(b"\x04\x01\x00\x50\x00\x00\x00\x01\x00a.bc\x00more").unwrap().unwrap();
        assert_eq!(named, (connect("a.bc", 80, Version::Four), 14));
        // 0.0.0.0 is an address, and no sign of a name.
        let none = request_4(b"\x04\x01\x00\x50\x00\x00\x00\x00\x00").unwrap().unwrap();
        assert_eq!(none, (connect("0.0.0.0", 80, Version::Four), 9));
    }

    #[test]
    fn what_is_none_is_said_to_be_none() {
        assert_eq!(greeting(b"\x05\x02\x01\x02"), Ok(Some((false, 4))));
        assert_eq!(greeting(b"\x05\x02\x01\x00\x05"), Ok(Some((true, 4))));
        assert_eq!(greeting(b"\x05\x00"), Ok(Some((false, 2))));
        assert_eq!(greeting(b"\x05\x02\x00"), Ok(None));
        assert_eq!(request_5(b"\x04"), Err(Malformed(None)));
        assert_eq!(request_5(b"\x05\x01\x01\x01"), Err(Malformed(Some(FAILURE))));
        assert_eq!(request_5(b"\x05\x01\x00\x02"), Err(Malformed(Some(ADDRESS_NOT_SUPPORTED))));
        assert_eq!(request_5(b"\x05\x01\x00\x03\x00"), Err(Malformed(Some(FAILURE))));
        assert_eq!(request_5(b"\x05\x01\x00\x03\x05a.bc\x00"), Ok(None));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(0_u8..=5, 0..300)) {
            for parse in [request_5, request_4] {
                if let Ok(Some((_, used))) = parse(&bytes) {
                    proptest::prop_assert!(used <= bytes.len());
                }
            }
        }
    }
}
