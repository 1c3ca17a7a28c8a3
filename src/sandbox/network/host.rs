//! Names and addresses in one spelling.
//!
//! The attack: `DB.Example.`, `db%2eexample`, `0x7f.1` and `2130706433` are spellings that a
//! resolver understands and a comparison does not. Everything is brought into the one form that
//! WHATWG's URL standard gives a host, and compared in that form only.

use std::net::IpAddr;

use super::address::canonical;

/// A host in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NetworkHost {
    /// A name: lower case, punycode, without a dot at its end.
    Name(String),
    /// An address, in whatever way it was written.
    Address(IpAddr),
}

impl NetworkHost {
    /// Reads a name or an address; IPv6 with or without brackets.
    ///
    /// # Errors
    /// What is wrong with it, without quoting it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        // Longer texts are no names, and not worth the work of finding out.
        if text.len() > 1000 {
            return Err("it is longer than a name can be");
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(canonical(address)));
        }
        if text.contains('%') && text.contains(':') {
            return Err("an address with a zone cannot be granted or reached");
        }
        let name = match url::Host::parse(text) {
            Ok(url::Host::Ipv4(v4)) => return Ok(Self::Address(v4.into())),
            Ok(url::Host::Ipv6(v6)) => return Ok(Self::Address(canonical(v6.into()))),
            Ok(url::Host::Domain(name)) => name,
            Err(_) => return Err("it is no name and no address"),
        };
        let name = name.strip_suffix('.').unwrap_or(&name);
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.is_empty() || name.len() > 253 || !name.split('.').all(label) {
            return Err("it is no name: labels of letters, digits and hyphens, with dots between");
        }
        Ok(Self::Name(name.to_owned()))
    }

    /// `HOST:PORT`, with brackets where they are needed.
    #[must_use]
    pub fn with_port(&self, port: impl std::fmt::Display) -> String {
        match self {
            Self::Address(IpAddr::V6(v6)) => format!("[{v6}]:{port}"),
            other => format!("{other}:{port}"),
        }
    }
}

impl std::fmt::Display for NetworkHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        let name = |t: &str| NetworkHost::parse(t).map(|h| h.to_string());
        for text in ["db.example", "DB.Example", "db.example.", "db%2Eexample", "ｄｂ。example"]
        {
            assert_eq!(name(text).as_deref(), Ok("db.example"), "{text}");
        }
        assert_eq!(name("BÜCHER.example").as_deref(), Ok("xn--bcher-kva.example"));
        for text in
            ["127.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "127.0.0.1.", "[::ffff:7f00:1]"]
        {
            assert_eq!(name(text).as_deref(), Ok("127.0.0.1"), "{text}");
        }
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "a@b",
            "a:1",
            "*",
            "*.a",
            "fe80::1%eth0",
            "a\0b",
            "1.2.3.4.5",
        ] {
            assert!(name(text).is_err(), "{text:?}");
        }
        assert!(name(&"a".repeat(64)).is_err());
        assert!(name(&"a.".repeat(140)).is_err());
    }
}
