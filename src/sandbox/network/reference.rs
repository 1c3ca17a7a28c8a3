//! The rules once more, slow and plain, to be compared with. Shares no code with the gate: grants are
//! read from their text, addresses are judged by their bits. It knows only what the grammar of tests
//! and fuzz targets makes: lower-case names, addresses and ranges in their usual spelling.

use std::net::{IpAddr, Ipv4Addr};

/// Whether dialing may be allowed: `grants` is the text of all grants, `answers` every answer a
/// resolver gave so far, as name and address. False: it must be denied.
#[must_use]
pub fn may_dial(grants: &[String], answers: &[(String, IpAddr)], to: IpAddr, port: u16) -> bool {
    let to = unmapped(to);
    for grant in grants {
        let Some((host, ports)) = grant.rsplit_once(':') else { continue };
        if !port_fits(ports, port) {
            continue;
        }
        let host = host.trim_matches(['[', ']']);
        if let Some((base, length)) = host.split_once('/') {
            let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else {
                continue;
            };
            if same_bits(base, to, length) && (is_public(to) || length >= 4 && !is_public(base)) {
                return true;
            }
        } else if let Ok(address) = host.parse::<IpAddr>() {
            if unmapped(address) == to {
                return true;
            }
        } else if host == "*" {
            if is_public(to) {
                return true;
            }
        } else {
            for (name, address) in answers {
                let named = match host.strip_prefix("*.") {
                    Some(suffix) => name.ends_with(&format!(".{suffix}")) && is_public(to),
                    None => name == host && !is_never_by_name(to),
                };
                if named && unmapped(*address) == to {
                    return true;
                }
            }
        }
    }
    // `*` also grants every name, whose public addresses the first loop covers.
    false
}

/// Whether a lookup may be allowed.
#[must_use]
pub fn may_look_up(grants: &[String], name: &str) -> bool {
    grants.iter().filter_map(|grant| grant.rsplit_once(':')).any(|(host, _)| {
        let below = host.strip_prefix("*.").is_some_and(|s| name.ends_with(&format!(".{s}")));
        host == "*" || host == name || below
    })
}

fn port_fits(ports: &str, port: u16) -> bool {
    if ports == "*" {
        return port > 0;
    }
    let mut ends = ports.split('-').filter_map(|end| end.parse::<u16>().ok());
    match (ends.next(), ends.next()) {
        (Some(first), Some(last)) => first <= port && port <= last,
        (Some(only), None) => only == port,
        _ => false,
    }
}

fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn bits(address: IpAddr) -> Vec<bool> {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    octets.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect()
}

fn same_bits(a: IpAddr, b: IpAddr, length: u32) -> bool {
    let (a, b) = (bits(a), bits(b));
    a.len() == b.len() && a.iter().zip(&b).take(length as usize).all(|(a, b)| a == b)
}

/// Whether an address is one of the internet: not within a range of the special-purpose registries,
/// and holding no such address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            let v4 = |at: usize| {
                Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3])
            };
            let starts = |hex: &str| {
                let all: String = octets.iter().map(|byte| format!("{byte:02x}")).collect();
                all.starts_with(hex)
            };
            if starts("000000000000000000000000") || starts("00000000000000000000ffff") {
                return is_public_v4(v4(12)) && octets[12..] != [0, 0, 0, 1];
            }
            if starts("0064ff9b0000000000000000") || starts("0000000000000000ffff0000") {
                return is_public_v4(v4(12));
            }
            let global = starts("2") || starts("3");
            let documentation = starts("20010db8") || starts("3fff0");
            let protocols = starts("2001") && octets[2] < 2 && !starts("20010000");
            let tunnel = starts("2002") && !is_public_v4(v4(2));
            let turned = v4(12).octets().map(|byte| !byte);
            let teredo =
                starts("20010000") && !(is_public_v4(v4(4)) && is_public_v4(turned.into()));
            let isatap = octets[9] == 0
                && octets[10] == 0x5e
                && octets[11] == 0xfe
                && matches!(octets[8], 0 | 2)
                && !is_public_v4(v4(12));
            global && !documentation && !protocols && !tunnel && !teredo && !isatap
        }
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let closed = [
        ("0.0.0.0", 8),
        ("10.0.0.0", 8),
        ("100.64.0.0", 10),
        ("127.0.0.0", 8),
        ("168.63.129.16", 32),
        ("169.254.0.0", 16),
        ("172.16.0.0", 12),
        ("192.0.0.0", 24),
        ("192.0.2.0", 24),
        ("192.88.99.0", 24),
        ("192.168.0.0", 16),
        ("198.18.0.0", 15),
        ("198.51.100.0", 24),
        ("203.0.113.0", 24),
        ("224.0.0.0", 3),
    ];
    !closed.iter().any(|(base, length)| {
        base.parse::<IpAddr>().is_ok_and(|base| same_bits(base, v4.into(), *length))
    })
}

/// What no name opens, however it is granted: link-local, metadata, multicast, unspecified.
fn is_never_by_name(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_multicast()
                || v4.is_unspecified()
                || ["100.100.100.200", "168.63.129.16"].contains(&v4.to_string().as_str())
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_multicast()
                || v6.octets()[0] == 0xfe && v6.octets()[1] & 0xc0 == 0x80
                || v6.to_string() == "fd00:ec2::254"
        }
    }
}
