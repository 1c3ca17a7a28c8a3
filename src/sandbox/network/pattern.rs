//! `HOST:PORT` as an operator grants it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::address::{AddressClass, canonical, is_closed_range};
use super::host::NetworkHost;
use super::template;
use crate::sandbox::PolicyError;

/// Which hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    Any,
    Name(String),
    /// What stands before a dot and this; not this itself.
    Below(String),
    Address(IpAddr),
    Range(IpNet),
}

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPattern {
    text: String,
    hosts: Hosts,
    first_port: u16,
    last_port: u16,
}

const ANY: &str = "it opens every host: that needs allow-any-network";

impl NetworkPattern {
    /// Reads `HOST:PORT`. HOST is a name, `*.suffix` (what is below it, not itself), an address, a
    /// range of addresses (IPv6 in brackets: `[fd00::/8]:443`), or `*` where any network is allowed.
    /// PORT is a number, `FIRST-LAST` or `*`.
    ///
    /// # Errors
    /// [`PolicyError::Network`].
    pub fn parse(text: &str, allow_any: bool) -> Result<Self, PolicyError> {
        read(text, allow_any).map_err(|why| PolicyError::Network { grant: text.to_owned(), why })
    }

    /// Reads a pattern with `${path.in.config}` or `${config.path.in.config}` in it, which stands
    /// for that member of the configuration. A member stands for one name, address or port, or a part
    /// of a name: it cannot hold a `*`, a range or anything else that opens more than one host.
    ///
    /// # Errors
    /// [`PolicyError::Network`], with the pattern as it was written: the value is not shown.
    pub fn fill(text: &str, config: &Value, allow_any: bool) -> Result<Self, PolicyError> {
        let refused = |why| PolicyError::Network { grant: text.to_owned(), why };
        if !text.contains("${") {
            return Self::parse(text, allow_any);
        }
        let (host, port) = split(text).map_err(refused)?;
        let filled_host = template::fill_host(host, config).map_err(refused)?;
        let port = template::fill_port(port, config).map_err(refused)?;
        let filled = match filled_host.parse() {
            Ok(IpAddr::V6(v6)) => format!("[{v6}]:{port}"),
            _ => format!("{filled_host}:{port}"),
        };
        let pattern = read(&filled, allow_any).map_err(refused)?;
        match pattern.hosts {
            // The operator wrote no address, so the operator did not mean these.
            Hosts::Address(a) if host.contains("${") && !AddressClass::of(a).opened_by_name() => {
                Err(refused("the configuration's address is one that must be granted by itself"))
            }
            _ => Ok(pattern),
        }
    }

    /// As it was written, templates filled.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a port is granted.
    #[must_use]
    pub fn has_port(&self, port: u16) -> bool {
        port != 0 && (self.first_port..=self.last_port).contains(&port)
    }

    /// Whether a name, in its one spelling, is granted.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        match &self.hosts {
            Hosts::Any => true,
            Hosts::Name(granted) => granted == name,
            Hosts::Below(suffix) => name
                .strip_suffix(suffix.as_str())
                .and_then(|front| front.strip_suffix('.'))
                .is_some_and(|front| !front.is_empty()),
            Hosts::Address(_) | Hosts::Range(_) => false,
        }
    }

    /// Whether it is this one name and no other.
    #[must_use]
    pub fn is_name(&self, name: &str) -> bool {
        matches!(&self.hosts, Hosts::Name(granted) if granted == name)
    }

    /// Whether it grants an address by itself, without a name. `*` does, where it is public.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        let class = AddressClass::of(address);
        match &self.hosts {
            Hosts::Any => class == AddressClass::Public,
            Hosts::Address(granted) => *granted == address,
            Hosts::Range(range) => {
                range.contains(&address)
                    && (class == AddressClass::Public
                        || (is_closed_range(range)
                            // What hands out credentials is granted by its address only.
                            && (class != AddressClass::Metadata
                                || range.prefix_len() == range.max_prefix_len())))
            }
            Hosts::Name(_) | Hosts::Below(_) => false,
        }
    }

    /// Whether an address that a granted name has is open. An exact name may be one of the
    /// operator's own network; behind a `*` everything is public.
    #[must_use]
    pub(super) fn opens(&self, name: &str, address: IpAddr) -> bool {
        let class = AddressClass::of(canonical(address));
        self.has_name(name)
            && match self.hosts {
                Hosts::Name(_) => {
                    class.opened_by_name()
                        || (name == "metadata.google.internal" && class == AddressClass::Metadata)
                }
                _ => class == AddressClass::Public,
            }
    }

    /// Whether everything that another one grants is granted by this one, as far as it can be told
    /// from the two alone.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let hosts = match (&self.hosts, &other.hosts) {
            (ours, theirs) if ours == theirs => true,
            (Hosts::Any, Hosts::Address(address)) => {
                AddressClass::of(*address) == AddressClass::Public
            }
            (Hosts::Any, Hosts::Below(_)) => true,
            (Hosts::Any | Hosts::Below(_), Hosts::Name(name)) => self.has_name(name),
            (Hosts::Below(suffix), Hosts::Below(theirs)) => theirs.ends_with(&format!(".{suffix}")),
            (Hosts::Range(_), Hosts::Address(address)) => self.has_address(*address),
            _ => false,
        };
        hosts && self.first_port <= other.first_port && other.last_port <= self.last_port
    }
}

impl fmt::Display for NetworkPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The host, with its brackets, and the port.
fn split(text: &str) -> Result<(&str, &str), &'static str> {
    const FORM: &str = "it is not HOST:PORT";
    match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']').ok_or("the [ of an address has no ]")?;
            let port = rest[end + 1..].strip_prefix(':').ok_or(FORM)?;
            Ok((&text[..end + 2], port))
        }
        None => text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).ok_or(FORM),
    }
}

fn read(text: &str, allow_any: bool) -> Result<NetworkPattern, &'static str> {
    let (host, port) = split(text)?;
    let (first_port, last_port) = read_port(port)?;
    let hosts = read_host(host, allow_any)?;
    Ok(NetworkPattern { text: text.to_owned(), hosts, first_port, last_port })
}

fn read_port(text: &str) -> Result<(u16, u16), &'static str> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let port = text.parse::<u16>().ok().filter(|port| digits && *port > 0);
        port.ok_or("its port is not a number from 1 to 65535, FIRST-LAST or *")
    };
    match text.split_once('-') {
        None if text == "*" => Ok((1, u16::MAX)),
        None => number(text).map(|port| (port, port)),
        Some((first, last)) => match (number(first)?, number(last)?) {
            (first, last) if first <= last => Ok((first, last)),
            _ => Err("its range of ports ends before it begins"),
        },
    }
}

fn read_host(text: &str, allow_any: bool) -> Result<Hosts, &'static str> {
    if text == "*" {
        return if allow_any { Ok(Hosts::Any) } else { Err(ANY) };
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Some(suffix) = text.strip_prefix("*.") {
        return match NetworkHost::parse(suffix)? {
            NetworkHost::Name(suffix) => Ok(Hosts::Below(suffix)),
            NetworkHost::Address(_) => Err("*. stands before a name only"),
        };
    }
    if text.contains('*') {
        return Err("* stands alone or as the first label, as in *.example.com");
    }
    if bare.is_none() && text.contains(':') {
        return Err("an IPv6 address is written in brackets: [::1]:5432, [fd00::/8]:5432");
    }
    if text.contains('/') {
        let range: IpNet =
            bare.unwrap_or(text).parse().map_err(|_| "its range of addresses cannot be read")?;
        if bare.is_some() != matches!(range, IpNet::V6(_)) {
            return Err("brackets are for IPv6, and IPv6 needs them");
        }
        if range.addr() != range.network() {
            return Err("its range has bits behind its length: 10.0.0.0/8, not 10.1.2.3/8");
        }
        if matches!(range, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some()) {
            return Err("a range of IPv4 addresses is written as IPv4");
        }
        if range.prefix_len() == 0 && !allow_any {
            return Err(ANY);
        }
        return Ok(Hosts::Range(range));
    }
    Ok(match NetworkHost::parse(text)? {
        NetworkHost::Name(name) => Hosts::Name(name),
        NetworkHost::Address(address) => Hosts::Address(address),
    })
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
