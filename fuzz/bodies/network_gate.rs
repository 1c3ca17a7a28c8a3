//! What the gate of the network lets through, against the rules written down once more.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lockgate::sandbox::network_reference::{may_dial, may_look_up};
use lockgate::sandbox::{NetworkGate, NetworkGrants, NetworkPattern};

/// Names, some of them below others. That of a metadata service is not among them: it has a rule of
/// its own, which the reference does not know.
const NAMES: &[&str] =
    &["a.b", "c.a.b", "d.c.a.b", "b", "x.y", "z.x.y", "ba.b", "xn--bcher-kva.x", "_s._tcp.a.b"];

/// How IPv4 addresses stand in IPv6 ones, and other beginnings that a rule is about; in segments.
const PREFIXES: &[&[u16]] = &[
    &[],
    &[0, 0, 0, 0, 0, 0xffff],
    &[0, 0, 0, 0, 0, 0],
    &[0, 0, 0, 0, 0xffff, 0],
    &[0x64, 0xff9b, 0, 0, 0, 0],
    &[0x64, 0xff9b, 1],
    &[0x2002],
    &[0x2001, 0],
    &[0x2001, 0xdb8],
    &[0x2606, 0x4700, 0, 0, 0, 0x5efe],
    &[0x2606, 0x4700, 0, 0, 0x200, 0x5efe],
    &[0xfe80],
    &[0xfd00, 0xec2, 0, 0, 0, 0, 0],
    &[0xff02],
    &[0x3fff],
];

/// IPv4 addresses at the ends of ranges; the fourth byte is added.
const V4: &[[u8; 4]] = &[
    [1, 1, 1, 0],
    [127, 0, 0, 0],
    [10, 0, 0, 0],
    [169, 254, 169, 254],
    [100, 100, 100, 200],
    [168, 63, 129, 16],
    [100, 64, 0, 0],
    [100, 127, 255, 255],
    [172, 15, 255, 255],
    [172, 31, 255, 255],
    [192, 168, 0, 0],
    [198, 17, 255, 255],
    [0, 0, 0, 0],
    [223, 255, 255, 255],
    [224, 0, 0, 0],
    [255, 255, 255, 255],
];

/// Takes an input apart. What is missing at its end is zero.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    fn v4(&mut self) -> Ipv4Addr {
        match self.byte() {
            kind if kind.is_multiple_of(2) => Ipv4Addr::from([(); 4].map(|()| self.byte())),
            _ => {
                let [a, b, c, d] = self.one_of(V4);
                Ipv4Addr::new(a, b, c, d.wrapping_add(self.byte()))
            }
        }
    }

    fn v6(&mut self) -> Ipv6Addr {
        let prefix = self.one_of(PREFIXES);
        let mut segments = [0; 8];
        for segment in &mut segments {
            *segment = u16::from_be_bytes([self.byte(), self.byte()]);
        }
        segments[..prefix.len()].copy_from_slice(prefix);
        if self.byte().is_multiple_of(2) {
            // One that is within: at the end, or turned over as in Teredo.
            let [a, b, c, d] = self.v4().octets();
            let turn = if self.byte().is_multiple_of(2) { 0 } else { u16::MAX };
            segments[6] = u16::from_be_bytes([a, b]) ^ turn;
            segments[7] = u16::from_be_bytes([c, d]) ^ turn;
        }
        Ipv6Addr::from(segments)
    }

    fn address(&mut self) -> IpAddr {
        if self.byte().is_multiple_of(2) { self.v4().into() } else { self.v6().into() }
    }

    fn port(&mut self) -> u16 {
        u16::from(self.byte() % 4)
    }

    /// A grant as an operator writes it; not every one can be read.
    fn grant(&mut self) -> String {
        let host = match self.byte() % 6 {
            0 => "*".to_owned(),
            1 => format!("*.{}", self.one_of(NAMES)),
            2 => self.one_of(NAMES).to_owned(),
            3 => match self.address() {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("[{v6}]"),
            },
            4 => {
                let (length, bits) = (u32::from(self.byte()) % 33, self.v4().to_bits());
                let base = Ipv4Addr::from(bits & u32::MAX.checked_shl(32 - length).unwrap_or(0));
                format!("{base}/{length}")
            }
            _ => {
                let (length, bits) = (u32::from(self.byte()) % 129, self.v6().to_bits());
                let base = Ipv6Addr::from(bits & u128::MAX.checked_shl(128 - length).unwrap_or(0));
                format!("[{base}/{length}]")
            }
        };
        match self.byte() % 4 {
            0 => format!("{host}:*"),
            1 => format!("{host}:{}-{}", self.port(), self.port()),
            _ => format!("{host}:{}", self.port()),
        }
    }
}

/// Grants, then a run: names are looked up and resolve to whatever an attacker's resolver says, and
/// addresses are dialed. Nothing is allowed that the reference denies.
pub(crate) fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let texts: Vec<String> = (0..bytes.byte() % 5).map(|_| bytes.grant()).collect();
    let patterns: Vec<NetworkPattern> =
        texts.iter().filter_map(|text| NetworkPattern::parse(text, true).ok()).collect();
    let texts: Vec<String> = patterns.iter().map(|pattern| pattern.text().to_owned()).collect();
    let gate = NetworkGate::new(NetworkGrants { patterns, ..NetworkGrants::default() });
    let mut answers: Vec<(String, IpAddr)> = Vec::new();
    for _ in 0..16 {
        if bytes.0.is_empty() {
            return;
        }
        if bytes.byte() % 2 == 0 {
            let name = bytes.one_of(NAMES);
            if gate.lookup(name, None).is_ok() {
                assert!(may_look_up(&texts, name), "{texts:?} opens {name}");
                let given: Vec<IpAddr> = (0..bytes.byte() % 4).map(|_| bytes.address()).collect();
                answers.extend(given.iter().map(|address| (name.to_owned(), *address)));
                let _ = gate.resolved(name, given);
            }
        } else {
            // Sometimes an address that was given out.
            let given = answers.get(usize::from(bytes.byte())).map(|(_, address)| *address);
            let (address, port) = (given.unwrap_or_else(|| bytes.address()), bytes.port());
            if gate.connect(SocketAddr::new(address, port)).is_ok() {
                let may = may_dial(&texts, &answers, address, port);
                assert!(may, "{texts:?} after {answers:?} opens {address} at {port}");
            }
        }
    }
}
