//! Names: of streams and their members as PostgreSQL can have them.
//!
//! The attack: a stream whose name ends the quotes it stands in, or one that is written into another
//! one's table. A name stays as it is where it can, quoted. One that is too long, empty, or taken by
//! the system is cut and ends with a part of its SHA-256, so that no two share one.

use std::fmt::Write as _;

pub(crate) use postgres_client::{literal, quote};
use sha2::{Digest, Sha256};

/// Bytes of an identifier; the server cuts longer ones silently, and two could become one.
pub(crate) const LONGEST: usize = 63;

/// Hexadecimal digits of a hash in a name: 48 bits tell the names of a database apart.
const HASH: usize = 12;

/// Columns that every table has, of the system or of this connector.
const TAKEN: [&str; 12] = [
    "tableoid",
    "xmin",
    "cmin",
    "xmax",
    "cmax",
    "ctid",
    RAW_ID,
    EXTRACTED_AT,
    META,
    GENERATION_ID,
    ADDITIONAL,
    "_airbyte_loaded_at",
];

/// Names a row.
pub(crate) const RAW_ID: &str = "_airbyte_raw_id";
/// When the source read the row.
pub(crate) const EXTRACTED_AT: &str = "_airbyte_extracted_at";
/// What was changed on its way.
pub(crate) const META: &str = "_airbyte_meta";
/// The stream's generation.
pub(crate) const GENERATION_ID: &str = "_airbyte_generation_id";
/// Members that the stream's schema does not declare.
pub(crate) const ADDITIONAL: &str = "_airbyte_additional_properties";

/// A stream's or namespace's name as an identifier.
pub(crate) fn identifier(name: &str) -> String {
    let plain = !name.is_empty() && name.len() <= LONGEST && !name.contains('\0');
    if plain { name.to_owned() } else { hashed(name) }
}

/// A member's name as that of a column.
pub(crate) fn column(member: &str) -> String {
    if TAKEN.contains(&member) { hashed(member) } else { identifier(member) }
}

/// The start of a name and its hash, for what must be short or apart from the name itself.
pub(crate) fn hashed(name: &str) -> String {
    let mut end = name.len().min(LONGEST - 1 - HASH);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{}", name[..end].replace('\0', ""), &digest(&[name])[..HASH])
}

/// The SHA-256 of some texts, each told apart from the next, in hexadecimal.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A number for `pg_advisory_lock` that stands for some texts.
pub(crate) fn lock_number(parts: &[&str]) -> i64 {
    u64::from_str_radix(&digest(parts)[..16], 16).unwrap_or_default().cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_names_stay_as_they_are() {
        for name in ["orders", "Order Items", "größe", "a.b", "select", "x\"y", &"a".repeat(63)] {
            assert_eq!(identifier(name), name);
            assert_eq!(column(name), name);
        }
    }

    #[test]
    fn odd_names_end_with_a_hash() {
        assert_eq!(identifier(""), "_af5570f5a181");
        let long = "a".repeat(64);
        let cut = identifier(&long);
        assert_eq!(cut.len(), LONGEST);
        assert!(cut.starts_with(&"a".repeat(50)), "{cut}");
        assert!(!identifier("a\0b").contains('\0'));
        assert_ne!(column("ctid"), "ctid");
        assert_ne!(column(META), META);
        // A character is not cut in two.
        assert!(identifier(&"ü".repeat(40)).len() <= LONGEST);
    }

    proptest! {
        #[test]
        fn no_two_names_share_one(
            a in "[a\0]{0,3}|a{60,70}|\\PC{0,80}", b in "[a\0]{0,3}|a{60,70}|\\PC{0,80}",
        ) {
            prop_assert_eq!(identifier(&a) == identifier(&b), a == b);
            prop_assert!(identifier(&a).len() <= LONGEST);
        }
    }
}
