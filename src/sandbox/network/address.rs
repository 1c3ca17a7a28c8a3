//! What kind of place an address is.
//!
//! The attack: `127.0.0.1` is refused, and `::ffff:127.0.0.1`, `64:ff9b::7f00:1` or
//! `2002:7f00:1::` arrive at the same place. An address within an address counts as what it holds,
//! and what no registry has given out is closed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What kind of place an address is. All but [`AddressClass::Public`] are closed unless granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AddressClass {
    /// Somewhere on the internet.
    Public,
    /// A network of the operator's, or a range that no host of the internet has (RFC 6890).
    Private,
    /// This machine.
    Loopback,
    /// This machine's link: where routers, printers and metadata services are.
    LinkLocal,
    /// A cloud's metadata service, which hands out credentials.
    Metadata,
    /// Many machines at once.
    Multicast,
    /// No address: some systems take it for this machine.
    Unspecified,
}

impl AddressClass {
    /// The class of an address; that of the address within it where there is one.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => of_v4(v4),
            IpAddr::V6(v6) => of_v6(v6),
        }
    }

    /// The rule that refuses it.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::Public => "not-granted",
            Self::Private => "private-range",
            Self::Loopback => "loopback-range",
            Self::LinkLocal => "link-local-range",
            Self::Metadata => "metadata-address",
            Self::Multicast => "multicast-range",
            Self::Unspecified => "unspecified-address",
        }
    }

    /// Whether an exact name that is granted opens it.
    #[must_use]
    pub(super) fn opened_by_name(self) -> bool {
        matches!(self, Self::Public | Self::Private | Self::Loopback)
    }
}

/// The address that is dialed: an IPv4 address in IPv6 clothes is that IPv4 address.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn of_v4(ip: Ipv4Addr) -> AddressClass {
    use AddressClass as C;
    match ip.octets() {
        [169, 254, 169, 254] | [100, 100, 100, 200] | [168, 63, 129, 16] => C::Metadata,
        [0, 0, 0, 0] => C::Unspecified,
        [127, ..] => C::Loopback,
        [169, 254, ..] => C::LinkLocal,
        [224..=239, ..] => C::Multicast,
        // This network, private, shared (CGNAT), protocol assignments, documentation, 6to4 relays,
        // benchmarks, reserved and broadcast.
        [0 | 10 | 240..=255, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [100, 64..=127, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => C::Private,
        _ => C::Public,
    }
}

fn of_v6(ip: Ipv6Addr) -> AddressClass {
    use AddressClass as C;
    let s = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => return C::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => return C::Loopback,
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] => return C::Metadata,
        // IPv4-mapped, IPv4-compatible, IPv4-translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => return v4(high, low),
        _ => {}
    }
    let class = match s[0] {
        0xfe80..=0xfebf => C::LinkLocal,
        0xff00..=0xffff => C::Multicast,
        // Documentation (twice), and what the registry keeps for protocols; Teredo is among that.
        0x2001 if s[1] == 0x0db8 || s[1] < 0x0200 && s[1] != 0 => C::Private,
        0x3fff if s[1] < 0x1000 => C::Private,
        0x2000..=0x3fff => C::Public,
        // NAT64 within a network of the operator's (RFC 8215) is among these, too.
        // Unique local, site-local, discard, and everything that was never given out.
        _ => C::Private,
    };
    // Where a range has several places for an address within, or more than one, the worst counts.
    let mut within = vec![class];
    match (s[0], s[1]) {
        (0x2002, _) => within.push(v4(s[1], s[2])),
        (0x2001, 0) => within.extend([v4(s[2], s[3]), v4(!s[6], !s[7])]),
        (0x64, 0xff9b) if s[2] == 1 => {
            // The last 32 bits (a /96), or RFC 6052's place for a /48, around its eight zero bits.
            let places = [(s[6], s[7]), (s[3], (s[4] << 8) | (s[5] >> 8))];
            within
                .extend(places.iter().filter(|p| **p != (0, 0)).map(|(high, low)| v4(*high, *low)));
        }
        _ => {}
    }
    // ISATAP: whatever the prefix is.
    if matches!((s[4], s[5]), (0 | 0x0200, 0x5efe)) {
        within.push(v4(s[6], s[7]));
    }
    within.into_iter().max().unwrap_or(C::Private)
}

/// Ranges that are closed as a whole, for grants of ranges: [`AddressClass::of`] says the same of
/// each address.
const CLOSED: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "2001:db8::/32",
    "3fff::/20",
];

/// Whether all of a range is closed, so that who grants it means a closed range.
pub(super) fn is_closed_range(range: &IpNet) -> bool {
    CLOSED.iter().filter_map(|text| text.parse::<IpNet>().ok()).any(|closed| closed.contains(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> AddressClass {
        AddressClass::of(text.parse().unwrap())
    }

    #[test]
    fn every_spelling_of_loopback_is_loopback() {
        for text in [
            "127.0.0.1",
            "127.255.0.9",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::127.0.0.1",
            "64:ff9b:1:7f00:0:100::",
            "2002:7f00:1::",
            "2002:7f00:1:5::9",
            // Teredo: the client is written with every bit turned round; or as the server.
            "2001:0:102:304:0:0:80ff:fffe",
            "2001:0:7f00:1:0:0:fefd:fcfb",
            "2606:4700::5efe:127.0.0.1",
            "2606:4700::200:5efe:127.0.0.1",
        ] {
            assert_eq!(class(text), AddressClass::Loopback, "{text}");
        }
    }

    #[test]
    fn every_spelling_of_metadata_is_metadata() {
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "::ffff:0:168.63.129.16",
        ] {
            assert_eq!(class(text), AddressClass::Metadata, "{text}");
        }
    }

    #[test]
    fn other_ranges() {
        use AddressClass as C;
        for (text, expected) in [
            ("0.0.0.0", C::Unspecified),
            ("::", C::Unspecified),
            ("::ffff:0.0.0.0", C::Unspecified),
            ("0.1.2.3", C::Private),
            ("10.1.2.3", C::Private),
            ("100.127.0.1", C::Private),
            ("198.19.1.1", C::Private),
            ("203.0.113.9", C::Private),
            ("240.0.0.1", C::Private),
            ("255.255.255.255", C::Private),
            ("224.0.0.1", C::Multicast),
            ("ff02::1", C::Multicast),
            ("fe80::1", C::LinkLocal),
            ("fec0::1", C::Private),
            ("fd12::1", C::Private),
            ("2001:db8::1", C::Private),
            ("2001:20::1", C::Private),
            ("100::1", C::Private),
            ("4000::1", C::Private),
            ("64:ff9b::10.0.0.1", C::Private),
            ("64:ff9b::1.1.1.1", C::Public),
            ("2002:101:101::1", C::Public),
            ("1.1.1.1", C::Public),
            ("100.128.0.1", C::Public),
            ("172.32.0.1", C::Public),
            ("2606:4700::1111", C::Public),
            ("2001:4860:4860::8888", C::Public),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
    }

    #[test]
    fn closed_ranges_hold_closed_addresses_only() {
        for text in CLOSED {
            let range: IpNet = text.parse().unwrap();
            for address in [range.network(), range.broadcast()] {
                assert_ne!(AddressClass::of(address), AddressClass::Public, "{address}");
            }
            assert!(is_closed_range(&range));
        }
        for open in ["0.0.0.0/0", "8.0.0.0/6", "::/0", "64:ff9b::/96", "1.0.0.0/24"] {
            assert!(!is_closed_range(&open.parse().unwrap()), "{open}");
        }
    }
}
