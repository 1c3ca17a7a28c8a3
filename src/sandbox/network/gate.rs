//! The decisions of one run: on a name, on the addresses it has, on the address that is dialed.
//!
//! The attack: a name that is granted resolves to a public address when it is looked at and to a
//! private one when it is dialed; or a connector dials an address that was meant for another name's
//! port. What was handed out under which name is remembered, and so is what kind of place a name was.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use super::address::{AddressClass, canonical};
use super::denied::NetworkDenied;
use super::host::NetworkHost;
use super::{NetworkGrants, NetworkPattern};

/// Addresses of names that are remembered; the oldest are forgotten and must be looked up again.
const REMEMBERED: usize = 4096;

/// What the grants open, and what they opened so far. One a run: its operations share it.
#[derive(Debug)]
pub struct NetworkGate {
    grants: NetworkGrants,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Which address was given out under which name.
    given: VecDeque<(IpAddr, String)>,
    /// Whether the first answer for an exactly granted name was public. As many as there are grants.
    public: HashMap<String, bool>,
}

/// A grant that opened something, as in the audit trail: `allow-net db.example:5432`.
fn rule(pattern: &NetworkPattern) -> String {
    format!("allow-net {}", pattern.text())
}

impl NetworkGate {
    /// A gate that opens what is granted.
    #[must_use]
    pub fn new(grants: NetworkGrants) -> Self {
        Self { grants, memory: Mutex::default() }
    }

    /// What is granted.
    #[must_use]
    pub fn grants(&self) -> &NetworkGrants {
        &self.grants
    }

    /// Whether a name may be looked up; for a port, where that is known already. Gives its one
    /// spelling and the grant. An address in any spelling is no name: it is given back as what it is,
    /// if it is granted.
    ///
    /// # Errors
    /// The refusal: nothing may be resolved.
    pub fn lookup(
        &self,
        text: &str,
        port: Option<u16>,
    ) -> Result<(NetworkHost, String), NetworkDenied> {
        let shown = port.map_or_else(|| text.to_owned(), |port| format!("{text}:{port}"));
        let host =
            NetworkHost::parse(text).map_err(|_| NetworkDenied::new(&shown, "invalid-name"))?;
        let granted = self.grants.patterns.iter().find(|pattern| {
            port.is_none_or(|port| pattern.has_port(port))
                && match &host {
                    NetworkHost::Name(name) => pattern.has_name(name),
                    NetworkHost::Address(address) => pattern.has_address(*address),
                }
        });
        match granted {
            Some(pattern) => Ok((host, rule(pattern))),
            None => {
                let word = match &host {
                    NetworkHost::Name(_) => "not-granted",
                    NetworkHost::Address(address) => AddressClass::of(*address).rule(),
                };
                let target = port.map_or_else(|| host.to_string(), |port| host.with_port(port));
                Err(NetworkDenied::new(target, word).granted_by(&host, port))
            }
        }
    }

    /// The addresses of a name that a guest may be given, and may dial from now on.
    ///
    /// # Errors
    /// The refusal, when none of them is open.
    pub fn resolved(
        &self,
        name: &str,
        addresses: Vec<IpAddr>,
    ) -> Result<Vec<IpAddr>, NetworkDenied> {
        let open = self.vet(name, None, addresses)?;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        for address in &open {
            let entry = (*address, name.to_owned());
            memory.given.retain(|known| *known != entry);
            if memory.given.len() >= REMEMBERED {
                memory.given.pop_front();
            }
            memory.given.push_back(entry);
        }
        Ok(open)
    }

    /// The addresses of a granted name that may be dialed, at once and by this host only.
    ///
    /// # Errors
    /// The refusal, when none of them is open.
    pub fn vet(
        &self,
        name: &str,
        port: Option<u16>,
        addresses: Vec<IpAddr>,
    ) -> Result<Vec<IpAddr>, NetworkDenied> {
        let host = NetworkHost::Name(name.to_owned());
        let target = port.map_or_else(|| name.to_owned(), |port| host.with_port(port));
        let addresses: Vec<IpAddr> = addresses.into_iter().map(canonical).collect();
        let public = |a: &IpAddr| AddressClass::of(*a) == AddressClass::Public;
        // A name has addresses of the internet or of a network of the operator's. Of a mix, the
        // latter are somebody's attempt to get in.
        let is_public = addresses.iter().any(public);
        let kept = addresses.iter().filter(|a| public(a) == is_public);
        let mut open: Vec<IpAddr> =
            kept.copied().filter(|address| self.opens(name, *address, port)).collect();
        open.dedup();
        let Some(first) = open.first() else {
            let class = addresses.iter().copied().map(AddressClass::of).max();
            let denied =
                NetworkDenied::new(target, class.map_or("not-granted", AddressClass::rule));
            // The name by itself opens what is the operator's own; the rest no name opens.
            return Err(match class {
                Some(class) if !class.opened_by_name() => denied,
                _ => denied.granted_by(&host, port),
            });
        };
        // Only an exact name opens what is not public: only such a name can change its kind.
        if self.grants.patterns.iter().any(|pattern| pattern.is_name(name)) {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            let before = *memory.public.entry(name.to_owned()).or_insert(public(first));
            if before != public(first) {
                return Err(NetworkDenied::new(target, "rebinding"));
            }
        }
        Ok(open)
    }

    /// Whether an address may be dialed: it is granted itself, or it was given out under a name that
    /// is granted with this port. Gives the address to dial and the grant.
    ///
    /// # Errors
    /// The refusal.
    pub fn connect(&self, address: SocketAddr) -> Result<(SocketAddr, String), NetworkDenied> {
        let (ip, port) = (canonical(address.ip()), address.port());
        let patterns = || self.grants.patterns.iter().filter(|pattern| pattern.has_port(port));
        // No scope and no flow: an address is all that was granted.
        let dialed = SocketAddr::new(ip, port);
        if let Some(pattern) = patterns().find(|pattern| pattern.has_address(ip)) {
            return Ok((dialed, rule(pattern)));
        }
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let names = || memory.given.iter().rev().filter(|(given, _)| *given == ip);
        for (_, name) in names() {
            if let Some(pattern) = patterns().find(|pattern| pattern.opens(name, ip)) {
                return Ok((dialed, rule(pattern)));
            }
        }
        let (host, word) = match names().next() {
            Some((_, name)) => (NetworkHost::Name(name.clone()), "not-granted"),
            None => (NetworkHost::Address(ip), AddressClass::of(ip).rule()),
        };
        Err(NetworkDenied::new(host.with_port(port), word).granted_by(&host, Some(port)))
    }

    fn opens(&self, name: &str, address: IpAddr, port: Option<u16>) -> bool {
        self.grants.patterns.iter().any(|pattern| {
            port.is_none_or(|port| pattern.has_port(port))
                && (pattern.opens(name, address) || pattern.has_address(address))
        })
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
